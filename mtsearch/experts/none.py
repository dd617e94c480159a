"""No experts: every sequence goes through the same encoder."""

from __future__ import annotations

from typing import Literal

from mtsearch.config.base import Frozen
from mtsearch.model.extension import Extension, Host

__all__ = ["NoExperts"]


class NoExperts(Frozen):
    """The plain encoder."""

    name: Literal["none"] = "none"

    def build(self, host: Host) -> Extension | None:
        """Nothing."""
        return None
