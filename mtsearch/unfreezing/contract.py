"""What the training loop asks of an unfreezing method."""

from __future__ import annotations

from typing import Protocol

__all__ = ["UnfreezingMethod"]


class UnfreezingMethod(Protocol):
    """Which depths of the model train in which epoch, as a frozen config.

    Depth 0 is the embeddings, 1 to N are the encoder's layers from the bottom to the top, and N + 1 is the
    task heads, which always train.
    """

    @property
    def warmup_updates(self) -> int:
        """Updates over which the rate of a depth rises after it thawed; 0 gives it the full rate at once."""

    def trainable_depths(self, num_layers: int, epoch: int) -> frozenset[int]:
        """The depths that train in the 0-based ``epoch``; a depth that trains goes on doing so."""

    def check(self, num_layers: int, epochs: int) -> list[str]:
        """Warnings, one line each, given the encoder's layers and the trial's epochs.

        Raises:
            ConfigError: there are not that many layers.
        """
