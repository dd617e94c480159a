from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError, RunError
from mtsearch.search.events import EventLog
from mtsearch.search.simulation import DEFAULT_ARMS, Curve, arm_of, compare_arms, read_curves, simulate
from tests.search.conftest import Story

BEST_LR = 1e-4


def curve(number: int, lr: float, quality: float, evaluations: int = 9) -> Curve:
    """Rises towards its quality; a hundred examples and two seconds an evaluation."""
    scores = tuple(quality * (1 - 0.5**evaluation) for evaluation in range(1, evaluations + 1))
    times = range(1, evaluations + 1)
    params = {"optimizer.lr": lr, "training.batch_size": 16, "schedule": "linear"}
    return Curve(f"t{number:04d}", params, scores, tuple(100 * t for t in times), tuple(2.0 * t for t in times))


@pytest.fixture
def curves() -> list[Curve]:
    """Learning rates on a logarithmic grid, the better the nearer to 1e-4."""
    rates = [1e-5 * 30 ** (i / 19) for i in range(20)]
    return [curve(i, lr, 1 - abs(math.log10(lr / BEST_LR))) for i, lr in enumerate(rates)]


@pytest.fixture
def space(make_space: Callable[..., SearchSpace]) -> SearchSpace:
    return make_space(
        training={"epochs": 9, "batch_size": 16}, schedule={"name": "linear"}, search={"trials": 50, "seed": 1}
    )


def test_a_search_without_early_stopping_takes_whole_curves_and_as_much_time_as_they_did(
    space: SearchSpace, curves: list[Curve]
) -> None:
    steps = simulate(space, curves, arm_of("random+none"), seed=0, examples=3600, slots=2)
    assert [step.examples for step in steps] == [100 * n for n in range(1, 37)]
    assert steps[-1].seconds == 2 * 9 * 2.0  # two rounds of two trials at a time
    assert steps[-1].trials == 4
    assert all(before.best <= after.best for before, after in pairwise(steps))


def test_a_proposal_gets_the_curve_of_the_nearest_recorded_trial(space: SearchSpace) -> None:
    two = [curve(0, 1e-5, 0.2), curve(1, 3e-4, 0.8)]
    steps = simulate(space, two, arm_of("random+none"), seed=3, examples=18_000, slots=1)
    firsts = {round(step.best, 6) for step in steps[:1]}
    assert firsts <= {0.1, 0.4}
    assert steps[-1].best == pytest.approx(0.8 * (1 - 0.5**9))


def test_early_stopping_tries_more_configs_for_the_same_examples(space: SearchSpace, curves: list[Curve]) -> None:
    whole, halved = (
        simulate(space, curves, arm_of(arm), seed=0, examples=9_000, slots=4) for arm in ("random+none", "random+asha")
    )
    assert halved[-1].trials > 2 * whole[-1].trials
    assert halved[-1].examples == whole[-1].examples == 9_000


def test_the_same_seed_gives_the_same_search_and_another_one_another(space: SearchSpace, curves: list[Curve]) -> None:
    first, again, other = (
        simulate(space, curves, arm_of("tpe+asha"), seed=seed, examples=3_000, slots=3) for seed in (5, 5, 6)
    )
    assert first == again != other


def test_arms_are_compared_at_shares_of_one_budget_with_intervals(space: SearchSpace, curves: list[Curve]) -> None:
    outlooks = compare_arms(space, curves, DEFAULT_ARMS[:2], seeds=3, trials=4, slots=2)
    assert [(o.arm, o.share) for o in outlooks] == [
        (arm, share) for arm in ("random+none", "tpe+none") for share in (0.25, 0.5, 1.0)
    ]
    for outlook in outlooks:
        assert outlook.low <= outlook.best <= outlook.high
    assert outlooks[2].trials == 4.0


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ("tpe", "must be ALGORITHM+SCHEDULER"),
        ("tpa+asha", "algorithm.name: 'tpa' is not an algorithm; choose tpe, gp,"),
        ("tpe+ahsa", "scheduler.name: 'ahsa' is not a scheduler; choose asha,"),
        ("tpe+pbt", "neither pbt nor a grid"),
        ("gp+asha", "gp"),
    ],
)
def test_an_arm_that_cannot_be_simulated_is_refused_by_its_name(
    space: SearchSpace, curves: list[Curve], arm: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"--arm.*{re.escape(said)}"):
        simulate(space, curves, arm_of(arm), seed=0, examples=100, slots=1)


def recorded(folder: Path, completed: int) -> None:
    """A run of completed trials of three evaluations, a pruned one, and one that is under way."""
    story = Story().begun(rungs=None)
    for number in range(completed + 2):
        story.suggested(number, params={"optimizer.lr": 1e-5 * (number + 1)}).started(number)
        for evaluation in range(1, 4 if number < completed else 2):
            story.reported(number, evaluation, number / 10 + evaluation / 100)
    for number in range(completed):
        story.stopped(number, "completed")
    story.stopped(completed, "pruned")
    with EventLog(folder) as log:
        for event in story.events:
            log.append(event)


def test_the_curves_of_a_run_are_those_of_its_completed_trials(tmp_path: Path) -> None:
    recorded(tmp_path, completed=5)
    curves = read_curves(tmp_path)
    assert [found.trial_id for found in curves] == [f"t{number:04d}" for number in range(5)]
    third: Any = curves[2]
    assert third.params == {"optimizer.lr": pytest.approx(3e-5)}
    assert third.scores == pytest.approx((0.21, 0.22, 0.23))
    assert (third.examples, third.seconds) == ((100, 200, 300), (2.0, 4.0, 6.0))


def test_a_run_with_too_few_whole_curves_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "few", completed=4)
    with pytest.raises(RunError, match=r"few: a simulation wants at least 5 trials.*but there are 4"):
        read_curves(tmp_path / "few")
    with pytest.raises(RunError, match=r"must be a run folder"):
        read_curves(tmp_path)
