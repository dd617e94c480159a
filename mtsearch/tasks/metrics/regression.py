"""Numbers: Pearson's and Spearman's correlation, and the mean squared error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats
from sklearn import metrics as sk

from mtsearch.tasks.metrics.contract import Metric

__all__ = ["METRICS"]


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


def _mean_squared_error(gold: Sequence[float], predicted: Sequence[float]) -> float:
    return float(sk.mean_squared_error(gold, predicted))


_KINDS = ("regression", "pair_regression")

METRICS = (
    Metric("pearson", "maximize", _pearson, kinds=_KINDS),
    Metric("spearman", "maximize", _spearman, kinds=_KINDS),
    Metric("mean_squared_error", "minimize", _mean_squared_error, kinds=_KINDS),
)
