"""Means with intervals, and whether a difference is more than noise: Student's t over few values, Holm over tests."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import nctdtr, stdtr, stdtrit

__all__ = [
    "bootstrap_interval",
    "holm",
    "paired_p_values",
    "paired_t_test",
    "paired_t_test_power",
    "pairs_needed",
    "t_bounds",
    "t_interval",
    "tails",
]

_MOST_PAIRS = 1_000_000


def tails(confidence: float) -> tuple[float, float]:
    """The quantiles that an interval lies between: 0.025 and 0.975 for a confidence of 0.95.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"0 < confidence < 1 must hold, but got confidence={confidence}")
    return (1 - confidence) / 2, (1 + confidence) / 2


def t_interval(values: npt.ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval of a mean, for independent draws; NaN for fewer than two.

    Args:
        values: the draws.
        confidence: that the mean lies in it, between 0 and 1.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    tails(confidence)
    drawn = np.asarray(values, dtype=np.float64)
    if len(drawn) < 2:
        return math.nan, math.nan
    low, high = t_bounds(drawn.mean(), drawn.std(ddof=1), len(drawn), confidence)
    return float(low), float(high)


def t_bounds(
    means: npt.ArrayLike, sds: npt.ArrayLike, numbers: npt.ArrayLike, confidence: float = 0.95
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Student's t intervals of many means at once, as :func:`t_interval` gives one: their low ends and their high ones.

    Args:
        means: of each sample.
        sds: the standard deviation in each sample, NaN of fewer than two values.
        numbers: of each sample's values.
        confidence: that a mean lies in its interval, between 0 and 1.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    _, upper = tails(confidence)
    number = np.asarray(numbers, dtype=np.float64)
    mean = np.asarray(means, dtype=np.float64)
    half = stdtrit(number - 1, upper) * np.asarray(sds, dtype=np.float64) / np.sqrt(number)
    return mean - half, mean + half


def bootstrap_interval(
    values: npt.ArrayLike, confidence: float = 0.95, num_resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of a mean over resamples with replacement; NaN for fewer than two values.

    Args:
        values: the draws.
        confidence: between 0 and 1.
        num_resamples: how many.
        seed: of the resamples.

    Raises:
        ValueError: the confidence is not between 0 and 1.

    Source: Efron 1979, Bootstrap methods: another look at the jackknife.
    """
    quantiles = tails(confidence)
    drawn = np.asarray(values, dtype=np.float64)
    if len(drawn) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    means = drawn[rng.integers(len(drawn), size=(num_resamples, len(drawn)))].mean(axis=1)
    low, high = np.quantile(means, quantiles)
    return float(low), float(high)


def paired_t_test(differences: npt.ArrayLike) -> float:
    """The two-sided p-value of Student's t test that paired values differ by nothing on average.

    NaN for fewer than two pairs. Differences that are all the same leave no noise to test against: p is 1 where they
    are all 0, else 0, which is the limit.

    Args:
        differences: of each pair.
    """
    drawn = np.asarray(differences, dtype=np.float64)
    number = len(drawn)
    if number < 2:
        return math.nan
    sd = 0.0 if np.all(drawn == drawn[0]) else drawn.std(ddof=1)
    return float(paired_p_values(drawn.mean(), sd, number))


def paired_p_values(means: npt.ArrayLike, sds: npt.ArrayLike, numbers: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The p-values of many paired t tests at once, as :func:`paired_t_test` gives one.

    Args:
        means: of each sample of differences.
        sds: the standard deviation in each sample, 0 where its differences are all the same, NaN of fewer than two.
        numbers: of each sample's differences.
    """
    mean, sd = np.asarray(means, dtype=np.float64), np.asarray(sds, dtype=np.float64)
    number = np.asarray(numbers, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.minimum(1.0, 2 * stdtr(number - 1, -np.abs(mean / (sd / np.sqrt(number)))))
    return np.where((sd == 0) & (mean == 0), 1.0, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being several: below α with a chance of at most α if no difference is real.

    NaN, of a test that could not be made, stays and does not count.

    Args:
        p_values: of all tests of which the smallest would be believed.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure, as adjusted p-values.
    """
    corrected = list(p_values)
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[i] = largest
    return corrected


def paired_t_test_power(effect: float, num_pairs: int, alpha: float = 0.05) -> float:
    """The chance that the two-sided paired t test finds a difference that is there.

    Args:
        effect: the true mean difference by the standard deviation of the pairs' differences.
        num_pairs: how many pairs, at least 2.
        alpha: the p-value below which a difference is believed, between 0 and 1; the smallest of m tests by Holm's
            correction needs ``alpha / m``.

    Raises:
        ValueError: fewer than two pairs, or alpha is not between 0 and 1.

    Source: the noncentral t distribution, as in Cohen 1988, Statistical Power Analysis for the Behavioral Sciences.
    """
    if num_pairs < 2:
        raise ValueError(f"num_pairs >= 2 must hold, but got num_pairs={num_pairs}")
    if not 0 < alpha < 1:
        raise ValueError(f"0 < alpha < 1 must hold, but got alpha={alpha}")
    critical = float(stdtrit(num_pairs - 1, 1 - alpha / 2))
    noncentrality = abs(effect) * math.sqrt(num_pairs)
    missed, wrong_sign = (
        float(np.nan_to_num(nctdtr(num_pairs - 1, noncentrality, limit)))  # NaN where it is below 1e-50
        for limit in (critical, -critical)
    )
    return 1 - missed + wrong_sign


def pairs_needed(effect: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """How few pairs find a difference with the given chance; None where a million would not.

    Args:
        effect: as for :func:`paired_t_test_power`.
        power: the chance, between 0 and 1.
        alpha: as for :func:`paired_t_test_power`.

    Raises:
        ValueError: power or alpha is not between 0 and 1.
    """
    if not 0 < power < 1:
        raise ValueError(f"0 < power < 1 must hold, but got power={power}")
    enough = 2
    while paired_t_test_power(effect, enough, alpha) < power:
        if enough >= _MOST_PAIRS:
            return None
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if paired_t_test_power(effect, middle, alpha) < power:
            too_few = middle
        else:
            enough = middle
    return enough
