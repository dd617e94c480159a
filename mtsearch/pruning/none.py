"""No pruning: every attention head stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mtsearch.config.base import Frozen
from mtsearch.model.extension import Host

__all__ = ["NoPruning"]


class NoPruning(Frozen):
    """The encoder as it is, without gates."""

    name: Literal["none"] = "none"

    @property
    def source(self) -> None:
        """Training starts anew."""

    def build(self, host: Host) -> None:
        """There are no gates."""

    def check(self, updates_per_epoch: Sequence[int], share_of_task: float) -> list[str]:
        """There is nothing to warn of."""
        return []
