from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mtsearch_analysis.significance import (
    bootstrap_interval,
    holm,
    paired_p_values,
    paired_t_test,
    paired_t_test_power,
    pairs_needed,
    t_bounds,
    t_interval,
)


def test_an_interval_is_that_of_a_table_of_student_s_t() -> None:
    # Mean 0.5, standard deviation 0.1, 4 degrees of freedom: 2.776 · 0.1 / √5.
    values = [0.4, 0.4, 0.5, 0.6, 0.6]
    low, high = t_interval(values)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert high - 0.5 == pytest.approx(2.776 * 0.1 / math.sqrt(5), abs=1e-4)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_an_interval_is_scipy_s(confidence: float) -> None:
    values = np.random.default_rng(0).normal(size=7)
    expected = stats.t.interval(confidence, 6, values.mean(), stats.sem(values))
    assert t_interval(values, confidence) == pytest.approx(expected)


def test_an_interval_of_one_value_is_unknown_and_a_confidence_is_a_share() -> None:
    assert all(map(math.isnan, t_interval([0.5])))
    with pytest.raises(ValueError, match="0 < confidence < 1 must hold, but got confidence=95"):
        t_interval([0.5, 0.6], 95)
    with pytest.raises(ValueError, match="0 < confidence < 1 must hold, but got confidence=95"):
        bootstrap_interval([0.5, 0.6], 95)


def test_a_bootstrap_interval_of_many_values_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).exponential(size=400)
    expected = stats.norm.interval(0.9, values.mean(), stats.sem(values))
    assert bootstrap_interval(values, 0.9, num_resamples=4000) == pytest.approx(expected, rel=0.01)
    assert all(map(math.isnan, bootstrap_interval([0.5])))


@pytest.mark.parametrize("number", [2, 3, 5, 30])
def test_the_paired_test_is_scipy_s(number: int) -> None:
    rng = np.random.default_rng(number)
    one, other = rng.normal(0.3, size=number), rng.normal(size=number)
    assert paired_t_test(one - other) == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_the_paired_test_without_noise_or_pairs() -> None:
    assert math.isnan(paired_t_test([0.1]))
    assert math.isnan(paired_t_test([]))
    assert paired_t_test([0.0, 0.0, 0.0]) == 1.0
    assert paired_t_test([0.25, 0.25]) == 0.0


def test_many_samples_at_once_come_to_what_each_comes_to_alone() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=number) for number in (1, 2, 3, 7, 30)] + [np.zeros(3), np.full(2, 0.25), np.zeros(1)]
    number = [len(sample) for sample in samples]
    mean = [sample.mean() for sample in samples]
    sd = [sample.std(ddof=1) if len(sample) > 1 else math.nan for sample in samples]
    low, high = t_bounds(mean, sd, number, 0.9)
    low_and_high = np.stack([low, high], axis=1)
    assert low_and_high == pytest.approx(np.array([t_interval(sample, 0.9) for sample in samples]), nan_ok=True)
    p = paired_p_values(mean, sd, number)
    assert p == pytest.approx([paired_t_test(sample) for sample in samples], nan_ok=True)


def test_holm_s_correction_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, each at least the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_a_test_that_could_not_be_made_is_not_corrected_for() -> None:
    corrected = holm([0.02, math.nan, 0.03])
    assert corrected[0] == pytest.approx(0.04)
    assert math.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("effect", "num_pairs"),
    [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)],  # Cohen's small, medium and large effects, as G*Power gives them
)
def test_so_many_pairs_are_needed_as_tables_of_power_say(effect: float, num_pairs: int) -> None:
    assert pairs_needed(effect) == pairs_needed(-effect) == num_pairs
    assert paired_t_test_power(effect, num_pairs) >= 0.8 > paired_t_test_power(effect, num_pairs - 1)


@pytest.mark.parametrize(("effect", "num_pairs", "alpha"), [(1.7, 5, 0.05), (0.3, 7, 0.01), (0.0, 9, 0.05)])
def test_power_is_that_of_scipy_s_noncentral_t(effect: float, num_pairs: int, alpha: float) -> None:
    critical = stats.t.ppf(1 - alpha / 2, num_pairs - 1)
    noncentral = stats.nct(num_pairs - 1, effect * math.sqrt(num_pairs))
    expected = noncentral.sf(critical) + noncentral.cdf(-critical)
    assert paired_t_test_power(effect, num_pairs, alpha) == pytest.approx(expected)


def test_power_is_the_share_of_simulated_tests_that_find_the_difference() -> None:
    drawn = np.random.default_rng(0).normal(1.0, size=(20_000, 6))
    found = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(paired_t_test_power(1.0, 6), abs=0.01)


def test_a_huge_difference_needs_two_pairs_and_none_needs_more_than_there_are() -> None:
    assert pairs_needed(100.0) == 2
    assert paired_t_test_power(3.0, 100) == 1.0
    assert pairs_needed(0.0) is None


def test_power_is_asked_for_what_can_be() -> None:
    with pytest.raises(ValueError, match="num_pairs >= 2 must hold, but got num_pairs=1"):
        paired_t_test_power(1.0, 1)
    with pytest.raises(ValueError, match="0 < alpha < 1 must hold, but got alpha=5"):
        paired_t_test_power(1.0, 5, 5)
    with pytest.raises(ValueError, match="0 < power < 1 must hold, but got power=80"):
        pairs_needed(1.0, 80)
