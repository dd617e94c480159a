"""No adapters: the tasks share all of the encoder."""

from __future__ import annotations

from typing import Literal

from mtsearch.config.base import Frozen
from mtsearch.model.extension import Extension, Host

__all__ = ["NoAdapters"]


class NoAdapters(Frozen):
    """The encoder as it is, the same for all tasks."""

    name: Literal["none"] = "none"

    def build(self, host: Host) -> Extension | None:
        """Nothing."""
        return None
