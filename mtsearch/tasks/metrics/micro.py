"""Micro averages: counts of every example, summed over the corpus, and then one ratio.

What cannot be counted is 0, as in the official scorers: a ratio over an empty corpus, a precision without
predictions, the F1 of a corpus in which there is nothing to find and nothing was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MicroAverage", "f1", "matches", "precision", "recall", "share"]


@dataclass(frozen=True)
class MicroAverage:
    """A metric whose counts add up over examples, so that any sample of them is scored without counting again.

    Attributes:
        count: ``(gold, predicted) -> counts`` of one example, as many for each.
        ratio: ``(*sums) -> metric``.
    """

    count: Callable[[Any, Any], tuple[float, ...]]
    ratio: Callable[..., float]

    def __call__(self, gold: Sequence[Any], predicted: Sequence[Any]) -> float:
        """The metric over a corpus."""
        return self.ratio(*self.counts(gold, predicted).sum(axis=0)) if gold else 0.0

    def counts(self, gold: Sequence[Any], predicted: Sequence[Any]) -> npt.NDArray[np.float64]:
        """The counts of each example, [examples, counts]."""
        return np.array([self.count(*pair) for pair in zip(gold, predicted, strict=True)], dtype=np.float64)


def matches(gold: Iterable[Hashable], predicted: Iterable[Hashable]) -> tuple[int, int, int]:
    """How many things are in both, in gold, and predicted; each counts as often as it occurs."""
    of_gold, of_predicted = Counter(gold), Counter(predicted)
    return (of_gold & of_predicted).total(), of_gold.total(), of_predicted.total()


def share(part: float, whole: float) -> float:
    """A part of a whole, in [0, 1]."""
    return float(part / whole) if whole else 0.0


def precision(matched: float, gold: float, predicted: float) -> float:
    """The share of the predicted that is right, from what :func:`matches` counts."""
    return share(matched, predicted)


def recall(matched: float, gold: float, predicted: float) -> float:
    """The share of gold that was found, from what :func:`matches` counts."""
    return share(matched, gold)


def f1(matched: float, gold: float, predicted: float) -> float:
    """Harmonic mean of precision and recall, from what :func:`matches` counts."""
    return share(2 * matched, gold + predicted)
