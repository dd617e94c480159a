"""Classes, one for each example or one for each of its words: accuracy, macro F1 and Matthews' correlation.

An example's label is a string, or a sequence of strings: one tag for each word. Words count alike, whichever
sentence they stand in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn import metrics as sk

from mtsearch.tasks.metrics.contract import Metric
from mtsearch.tasks.metrics.micro import MicroAverage, share

__all__ = ["METRICS"]

_Label = str | Sequence[str]


def _right(gold: _Label, predicted: _Label) -> tuple[int, int]:
    """How many classes of an example are right, and how many there are."""
    pairs = _pairs(gold, predicted)
    return sum(one == other for one, other in pairs), len(pairs)


def _macro_f1(gold: Sequence[_Label], predicted: Sequence[_Label]) -> float:
    """Unweighted mean of the F1 of every class that occurs in gold or prediction; 0 where there is none."""
    pairs = [pair for labels in zip(gold, predicted, strict=True) for pair in _pairs(*labels)]
    return float(sk.f1_score(*zip(*pairs, strict=True), average="macro", zero_division=0.0)) if pairs else 0.0


def _pairs(gold: _Label, predicted: _Label) -> list[tuple[Any, Any]]:
    """Each class of an example, with what was predicted."""
    return list(zip(gold, predicted, strict=True)) if isinstance(gold, (list, tuple)) else [(gold, predicted)]


def _matthews(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Matthews' correlation; 0 where it is undefined."""
    return float(sk.matthews_corrcoef(gold, predicted))


_OF_TEXTS = ("classification", "pair_classification")

METRICS = (
    Metric("accuracy", "maximize", MicroAverage(_right, share), kinds=(*_OF_TEXTS, "tagging")),
    Metric("macro_f1", "maximize", _macro_f1, kinds=(*_OF_TEXTS, "tagging")),
    Metric("matthews", "maximize", _matthews, kinds=_OF_TEXTS),
)
