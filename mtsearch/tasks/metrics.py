"""Metrics over a whole corpus: from all gold labels and all predictions to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats
from sklearn import metrics as sk

__all__ = ["METRICS", "Direction", "Metric"]

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A metric: its name, which way is better, and the function over the corpus.

    Attributes:
        name: as configs and tables call it.
        direction: ``maximize`` or ``minimize``.
        compute: ``(gold, predicted) -> number``; ratios lie in [0, 1], correlations in [-1, 1].
    """

    name: str
    direction: Direction
    compute: Callable[[Sequence[Any], Sequence[Any]], float]


def _pearson(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Pearson's r; 0 where it is undefined, because one side is constant."""
    return 0.0 if _constant(gold) or _constant(predicted) else float(stats.pearsonr(gold, predicted).statistic)


def _spearman(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Spearman's rho; 0 where it is undefined, because one side is constant."""
    return 0.0 if _constant(gold) or _constant(predicted) else float(stats.spearmanr(gold, predicted).statistic)


def _constant(values: Sequence[float]) -> bool:
    # Not merely equal: below this spread of float32 predictions the correlation is rounding noise.
    array = np.asarray(values, dtype=float)
    return len(array) < 2 or float(np.ptp(array)) <= 1e-6 * max(1.0, float(np.abs(array).max()))


def _macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Unweighted mean of the F1 of every class that occurs in gold or prediction."""
    return float(sk.f1_score(gold, predicted, average="macro", zero_division=0.0))


def _accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    return float(sk.accuracy_score(gold, predicted))


def _matthews(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Matthews' correlation; 0 where it is undefined."""
    return float(sk.matthews_corrcoef(gold, predicted))


def _mean_squared_error(gold: Sequence[float], predicted: Sequence[float]) -> float:
    return float(sk.mean_squared_error(gold, predicted))


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "maximize", _accuracy),
        Metric("macro_f1", "maximize", _macro_f1),
        Metric("matthews", "maximize", _matthews),
        Metric("pearson", "maximize", _pearson),
        Metric("spearman", "maximize", _spearman),
        Metric("mean_squared_error", "minimize", _mean_squared_error),
    )
}
"""The metrics by name. A plugin adds its own through ``METRICS``."""
