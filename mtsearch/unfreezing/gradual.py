"""Gradual unfreezing: the top layers first."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.errors import ConfigError

__all__ = ["Gradual"]


class Gradual(Frozen):
    """After every ``interval`` epochs one more layer thaws, from the top to the bottom, the embeddings last.

    Source: ULMFiT (Howard & Ruder 2018, arXiv 1801.06146, section 3.3), whose interval is 1. Its last layer is
    thawed together with the task head: ``initially: 1``.
    """

    name: Literal["gradual"] = "gradual"
    interval: int = Field(default=1, ge=1)
    """Epochs between two thaws."""
    initially: int = Field(default=0, ge=0)
    """Layers, counted from the top, that train from the start; 0 starts with the task heads alone."""
    warmup_updates: int = Field(default=0, ge=0)
    """Updates over which the rate of a newly thawed layer rises linearly to that of the schedule."""

    def trainable_depths(self, num_layers: int, epoch: int) -> frozenset[int]:
        """The task heads, and the top ``initially + epoch // interval`` of layers and embeddings."""
        num_thawed = min(self.initially + epoch // self.interval, num_layers + 1)
        return frozenset(range(num_layers + 1 - num_thawed, num_layers + 2))

    def check(self, num_layers: int, epochs: int) -> list[str]:
        """A warning that counts what the last epoch leaves frozen.

        Raises:
            ConfigError: ``initially`` is more than there are layers.
        """
        if self.initially > num_layers:
            raise ConfigError(
                f"unfreezing.initially: must be at most the encoder's layers ({num_layers}), but got {self.initially}; "
                "lower it, or train everything with unfreezing.name=none"
            )
        lowest = min(self.trainable_depths(num_layers, epochs - 1))
        if lowest == 0:
            return []
        frozen = f"{lowest - 1} of {num_layers} layers and the embeddings" if lowest > 1 else "the embeddings"
        needed = (num_layers + 1 - self.initially) * self.interval + 1
        return [
            f"unfreezing: with interval {self.interval}, {epochs} epochs leave {frozen} frozen to the end; "
            f"all would train from epoch {needed} on"
        ]
