"""What an augmentation method gives the training of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mtsearch.data.examples import Example

__all__ = ["AugmentationMethod"]


class AugmentationMethod(Protocol):
    """Altered copies of training examples, as a frozen config."""

    @property
    def tasks(self) -> tuple[str, ...] | None:
        """The tasks whose examples are copied; None means all whose labels belong to whole texts."""

    def copies(self, examples: Sequence[Example], seed: int) -> list[Example]:
        """The copies to train on beside the examples.

        A copy has its example's label, and its id with a suffix that marks the copy. Which copies there are of an
        example depends on the example, the seed and, where classes are balanced, the other examples; on their order
        never.

        Args:
            examples: a task's training examples, whose labels are classes (strings) or numbers.
            seed: ``training.seed``.

        Raises:
            ConfigError: something that the method needs is not on this machine.
        """

    def describe(self) -> str:
        """The method and what it used, in a few words: ``eda, shipped synonyms``.

        Raises:
            ConfigError: as :meth:`copies`.
        """
