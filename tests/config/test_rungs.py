from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.rungs import bracket_weights, draw_bracket, most_evaluations, num_brackets, rungs, rungs_of
from mtsearch.config.schedulers import Asha, Hyperband
from mtsearch.config.space import SearchSpace


def space_with(**sections: Any) -> SearchSpace:
    task = {"kind": "classification", "data": "sst5"}
    return load_space({"tasks": {"sentiment": task}, "training": {"epochs": 10}, **sections})


@pytest.mark.parametrize(
    ("grace", "factor", "most", "expected"),
    [
        (1, 3, 10, (1, 3, 9)),
        (1, 3, 9, (1, 3)),
        (2, 2, 17, (2, 4, 8, 16)),
        (1, 2.5, 10, (1, 3, 7)),
        (1, 10, 1000, (1, 10, 100)),
        (1, 3, 1, ()),
        (1, 1.2, 3, (1, 2)),
    ],
)
def test_rungs_lie_at_grace_times_powers_of_the_factor(
    grace: int, factor: float, most: int, expected: tuple[int, ...]
) -> None:
    assert rungs(Asha(grace=grace, reduction_factor=factor), most) == expected


def test_rungs_in_examples_know_no_last_evaluation() -> None:
    found = rungs(Asha(grace=500, reduction_factor=4, unit="examples"), 3)
    assert found[:3] == (500, 2000, 8000)
    assert found[-1] > 10**11


def test_a_space_without_rungs_has_none() -> None:
    assert rungs_of(space_with(search={"scheduler": {"name": "median"}})) is None
    assert rungs_of(space_with(search={"scheduler": {"name": "hyperband"}})) == (1, 3, 9)


def test_hyperband_has_a_bracket_for_every_first_rung_and_one_without() -> None:
    assert num_brackets(Hyperband(), 3) == 4
    assert num_brackets(Asha(brackets=2), 3) == 2


def test_brackets_have_as_many_trials_as_hyperband_starts_in_them() -> None:
    # Hyperband's table 1 (R = 81, η = 3) starts 81, 34, 15, 8 and 5 with n = ceil(5 / (s + 1) · 3^s), s = 4 .. 0.
    weights = bracket_weights(Hyperband(), 4)
    assert weights == pytest.approx((81, 5 / 4 * 27, 5 / 3 * 9, 5 / 2 * 3, 5))
    assert bracket_weights(Asha(brackets=2), 4) == pytest.approx(weights[:2])


def test_the_bracket_of_a_trial_depends_on_the_seed_and_its_number_alone() -> None:
    drawn = [draw_bracket(Hyperband(), 3, 7, number) for number in range(400)]
    assert drawn == [draw_bracket(Hyperband(), 3, 7, number) for number in range(400)]
    assert drawn != [draw_bracket(Hyperband(), 3, 8, number) for number in range(400)]
    shares = [weight / sum(bracket_weights(Hyperband(), 3)) for weight in bracket_weights(Hyperband(), 3)]
    counted = Counter(drawn)
    assert [counted[bracket] / 400 for bracket in range(4)] == pytest.approx(shares, abs=0.06)


def test_one_bracket_takes_all() -> None:
    assert {draw_bracket(Asha(), 3, 7, number) for number in range(20)} == {0}


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"epochs": 4}, 4),
        ({"epochs": {"int": [2, 6]}, "evaluations_per_epoch": 2}, 12),
        ({"epochs": {"choice": [3, 8]}, "evaluations_per_epoch": {"choice": [1, 4]}}, 32),
        (
            {
                "choice": [
                    {"label": "short", "value": {"epochs": 3}},
                    {"label": "long", "value": {"epochs": {"int": [5, 7]}}},
                ]
            },
            7,
        ),
    ],
)
def test_the_longest_trial_is_found_through_ranges_and_branches(training: dict[str, Any], expected: int) -> None:
    assert most_evaluations(space_with(training=training, search={"scheduler": {"name": "none"}})) == expected
