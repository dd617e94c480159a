"""Random choices that come out the same on every platform and every Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A source of choices that is a function of its seed alone.

    Only ``random.Random.random`` and seeding by text are used: of the whole module, these two are what Python
    promises not to change between versions. No function of libm is called, since its last bits differ by platform.

    Args:
        seed: any text; equal texts give equal choices.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each equally likely."""
        return options[int(self._random.random() * len(options))]

    def weighted(self, options: Sequence[tuple[float, T]]) -> T:
        """One of the (weight, option) pairs' options, in proportion to its weight."""
        left = self._random.random() * sum(weight for weight, _ in options)
        for weight, option in options:
            left -= weight
            if left < 0:
                return option
        return options[-1][1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a random order."""
        rest = list(items)
        return [rest.pop(int(self._random.random() * len(rest))) for _ in range(len(rest))]

    def bell(self, width: float) -> float:
        """A number between -width and +width, most often near 0 (the mean of three uniform ones)."""
        return width * (sum(self._random.random() for _ in range(3)) * 2 / 3 - 1)
