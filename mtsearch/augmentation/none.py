"""No augmentation: the training examples as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example

__all__ = ["NoAugmentation"]


class NoAugmentation(Frozen):
    """The training examples as they are."""

    name: Literal["none"] = "none"

    @property
    def tasks(self) -> tuple[str, ...]:
        """None."""
        return ()

    def copies(self, examples: Sequence[Example], seed: int) -> list[Example]:
        """There are none."""
        return []

    def describe(self) -> str:
        """Nothing is used."""
        return self.name
