"""Classes: accuracy, macro F1 and Matthews' correlation."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn import metrics as sk

from mtsearch.tasks.metrics.contract import Metric

__all__ = ["METRICS"]


def _accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    return float(sk.accuracy_score(gold, predicted))


def _macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Unweighted mean of the F1 of every class that occurs in gold or prediction."""
    return float(sk.f1_score(gold, predicted, average="macro", zero_division=0.0))


def _matthews(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Matthews' correlation; 0 where it is undefined."""
    return float(sk.matthews_corrcoef(gold, predicted))


METRICS = (
    Metric("accuracy", "maximize", _accuracy),
    Metric("macro_f1", "maximize", _macro_f1),
    Metric("matthews", "maximize", _matthews),
)
