"""No unfreezing: everything trains from the start."""

from __future__ import annotations

from typing import Literal

from mtsearch.config.base import Frozen

__all__ = ["Everything"]


class Everything(Frozen):
    """The whole model trains from the first update to the last."""

    name: Literal["none"] = "none"

    @property
    def warmup_updates(self) -> int:
        """Nothing thaws."""
        return 0

    def trainable_depths(self, num_layers: int, epoch: int) -> frozenset[int]:
        """All depths, in every epoch."""
        return frozenset(range(num_layers + 2))

    def check(self, num_layers: int, epochs: int) -> list[str]:
        """There is nothing to warn of."""
        return []
