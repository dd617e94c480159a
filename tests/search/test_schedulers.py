from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from mtsearch.config.schedulers import Asha, NoScheduler
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError
from mtsearch.search.schedulers import build_scheduler, most_evaluations, rungs
from mtsearch.search.state import RunState, fold
from tests.search.conftest import Story


@dataclass(frozen=True)
class Named:
    trial_id: str


def judged(scheduler: Any, trial_id: str, evaluation: int, score: float) -> bool:
    """Whether the trial goes on."""
    result = {"evaluation": evaluation, "score": score}
    return bool(scheduler.on_trial_result(None, Named(trial_id), result) == TrialScheduler.CONTINUE)


def recorded(scheduler: Any) -> dict[float, dict[str, float]]:
    return {milestone: dict(scores) for milestone, scores in scheduler._brackets[0]._rungs}


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


def test_rungs_are_where_rays_scheduler_has_them() -> None:
    for most in range(1, 60):
        scheduler = build_scheduler(Asha(grace=1, reduction_factor=2.0), most, RunState())
        decided = sorted(m for m, _ in scheduler._brackets[0]._rungs if m < most)
        assert rungs(Asha(grace=1, reduction_factor=2.0), most) == tuple(decided)


def test_a_trial_stops_at_a_rung_below_the_best_third() -> None:
    scheduler = build_scheduler(Asha(reduction_factor=3), 10, RunState())
    for trial_id in "abcd":
        scheduler.on_trial_add(None, Named(trial_id))
    assert judged(scheduler, "a", 1, 0.1)  # the first goes on
    assert judged(scheduler, "b", 1, 0.4)  # cutoff 0.1
    assert not judged(scheduler, "c", 1, 0.2)  # cutoff 0.1 + 2/3 · 0.3 = 0.3
    assert judged(scheduler, "d", 1, 0.9)
    assert judged(scheduler, "b", 2, 0.0)  # no rung


def live_and_told(num_trials: int, most: int) -> tuple[Any, Story]:
    """A scheduler that saw a search as Ray shows it, and the events of that search; the last two trials go on."""
    rng = random.Random(1)
    scheduler = build_scheduler(Asha(reduction_factor=3), most, RunState())
    story = Story().begun(rungs=(1, 3, 9))
    running = []
    for number in range(num_trials):
        trial = Named(f"t{number:04d}")
        scheduler.on_trial_add(None, trial)
        story.suggested(number)
        running.append(trial)
    for evaluation in range(1, most + 1):
        for trial in list(running):
            number, score = int(trial.trial_id[1:]), rng.random()
            goes_on = True
            if evaluation == most:
                story.reported(number, evaluation, score, outcome="finished")
            else:
                goes_on = judged(scheduler, trial.trial_id, evaluation, score)
                story.reported(number, evaluation, score)
            if number >= num_trials - 2 and evaluation == 5:
                running.remove(trial)
            elif evaluation == most or not goes_on:
                running.remove(trial)
                story.stopped(number, "completed" if goes_on else "pruned")
                scheduler.on_trial_complete(None, trial, {"evaluation": evaluation, "score": score})
    return scheduler, story


def test_a_rebuilt_scheduler_has_every_score_where_the_live_one_recorded_it() -> None:
    live, story = live_and_told(30, most=10)
    rebuilt = build_scheduler(Asha(reduction_factor=3), 10, fold(story.events))
    assert recorded(live) == recorded(rebuilt)
    assert sum(map(len, recorded(live).values())) > 30


def test_a_resumed_trial_writes_into_no_rung_that_it_passed() -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.2).reported(0, 3, 0.3).reported(0, 5, 0.4)
    scheduler = build_scheduler(Asha(reduction_factor=3), 10, fold(story.events))
    scheduler.on_trial_add(None, Named("t0000"))  # as Ray does when it is handed out again
    before = recorded(scheduler)
    assert judged(scheduler, "t0000", 6, 0.9)
    assert recorded(scheduler) == before == {1: {"t0000": 0.2}, 3: {"t0000": 0.3}, 9: {}}


def test_a_report_without_a_score_is_let_pass() -> None:
    scheduler = build_scheduler(Asha(), 10, RunState())
    scheduler.on_trial_add(None, Named("a"))
    assert scheduler.on_trial_result(None, Named("a"), {"outcome": "started"}) == TrialScheduler.CONTINUE
    scheduler.on_trial_complete(None, Named("a"), {"outcome": "diverged"})
    assert not any(recorded(scheduler).values())


def test_a_first_rung_beyond_every_trial_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search.scheduler.grace: must be at most .* \(4\), but got 5"):
        build_scheduler(Asha(grace=5), 4, RunState())


def test_without_a_trial_scheduler_all_run_to_their_end() -> None:
    assert type(build_scheduler(NoScheduler(), 4, RunState())) is FIFOScheduler


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
def test_the_longest_trial_is_found_through_ranges_and_branches(
    make_space: Callable[..., SearchSpace], training: dict[str, Any], expected: int
) -> None:
    assert most_evaluations(make_space(training=training)) == expected
