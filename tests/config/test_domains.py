from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.config.domains import Categorical, Domain, Float, Int, grid_end, number_text, same_scalar, scalar_text

DOMAINS: list[Domain] = [
    Float(0.0, 0.4),
    Float(1e-5, 3e-4, log=True),
    Float(0.1, 0.9, step=0.1),
    Float(1e-8, 1.01e-6, step=1e-7, log=True),
    Int(2, 10),
    Int(2, 10, step=4),
    Int(1, 1000, log=True),
    Categorical((16, 32, None, "adamw", True)),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@given(seed=st.integers())
def test_a_random_value_is_of_the_domain_and_settled(domain: Domain, seed: int) -> None:
    value = domain.sample(random.Random(seed))
    assert domain.problem(value) is None
    assert domain.settle(value) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_middle_and_extremes_are_of_the_domain(domain: Domain) -> None:
    assert all(domain.problem(value) is None for value in (domain.middle, *domain.extremes))


def test_a_logarithmic_scale_has_its_geometric_middle() -> None:
    assert Float(1e-6, 1e-2, log=True).middle == pytest.approx(1e-4)
    assert Int(1, 100, log=True).middle == 10


def test_random_values_of_a_logarithmic_scale_are_even_over_its_decades() -> None:
    rng = random.Random(0)
    values = [Float(1e-6, 1e-2, log=True).sample(rng) for _ in range(2000)]
    assert sum(value < 1e-4 for value in values) / 2000 == pytest.approx(0.5, abs=0.04)


def test_a_value_on_a_grid_has_one_spelling() -> None:
    domain = Float(0.1, 0.9, step=0.1)
    assert domain.settle(0.1 + 0.1 + 0.1) == 0.3
    assert domain.size == 9
    assert {domain.sample(random.Random(seed)) for seed in range(200)} == {k / 10 for k in range(1, 10)}


def test_a_logarithmic_grid_takes_any_suggestion_and_rounds_it() -> None:
    domain = Float(1.0, 9.0, step=2.0, log=True)
    assert domain.problem(4.2) is None
    assert domain.settle(4.2) == 5.0


def test_rounding_errors_of_a_sampler_are_put_right() -> None:
    domain = Float(1e-5, 3e-4, log=True)
    suggestion = math.exp(math.log(3e-4)) * (1 + 1e-15)
    assert domain.problem(suggestion) is None
    assert domain.settle(suggestion) == 3e-4


@pytest.mark.parametrize(
    ("domain", "value", "message"),
    [
        (Float(0.0, 0.4), 0.5, "must be in uniform [0, 0.4], but got 0.5"),
        (Float(0.0, 0.4), True, "must be a number, but got True"),
        (Float(0.0, 0.4), math.nan, "must be a number, but got nan"),
        (Float(0.0, 0.4, step=0.1), 0.15, "must be in quniform [0, 0.4, 0.1], but got 0.15, which is not on its grid"),
        (Int(2, 10, step=4), 4, "must be in int [2, 10, 4], but got 4, not on its grid"),
        (Int(2, 10), 11, "must be in int [2, 10], but got 11"),
        (Int(2, 10), 3.0, "must be an integer, but got 3.0"),
        (Categorical((1, "a")), True, "must be one of 1, a, but got True"),
    ],
)
def test_a_value_outside_is_told_with_the_rule(domain: Domain, value: object, message: str) -> None:
    assert domain.problem(value) == message


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e-5"), (3e-4, "3e-4"), (0.001, "1e-3"), (0.05, "0.05"), (64, "64"), (64.0, "64"), (-2.5e-7, "-2.5e-7")],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=False))
def test_a_number_reads_back_equal_from_its_text(value: float) -> None:
    assert float(number_text(value)) == value


def test_scalars_are_spelled_as_in_yaml() -> None:
    assert [scalar_text(value) for value in (None, True, False, 16, 1e-5, "a")] == [
        "null",
        "true",
        "false",
        "16",
        "1e-5",
        "a",
    ]


def test_true_is_not_one() -> None:
    assert not same_scalar(True, 1)
    assert same_scalar(1, 1.0)


def test_the_end_of_a_grid_is_the_last_point_below_high() -> None:
    assert grid_end(16, 64, 10) == 56
    assert grid_end(0.1, 0.4, 0.1) == 0.4
