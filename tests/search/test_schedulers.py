from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from mtsearch.config.schedulers import Asha, Hyperband, Median, NoScheduler, Scheduler
from mtsearch.search.schedulers import Halving, Judge, MedianRule, Seen, build_judge, build_scheduler
from mtsearch.search.state import RunState, fold
from tests.search.conftest import Story


def seen(trial_id: str, evaluation: int, score: float, bracket: int = 0, examples: int = 0) -> Seen:
    return Seen(trial_id, bracket, evaluation, examples, score)


def test_a_trial_stops_at_a_rung_below_the_best_third() -> None:
    judge = Halving((1, 3, 9), 3)
    assert judge.goes_on(seen("a", 1, 0.1))  # the first goes on
    assert judge.goes_on(seen("b", 1, 0.4))  # cutoff 0.1
    assert not judge.goes_on(seen("c", 1, 0.2))  # cutoff 0.1 + 2/3 · 0.3 = 0.3
    assert judge.goes_on(seen("d", 1, 0.9))
    assert judge.goes_on(seen("b", 2, 0.0))  # no rung
    assert judge.goes_on(seen("b", 3, 0.0))  # the first there


def test_a_trial_of_another_bracket_passes_its_rungs_and_is_judged_by_its_own() -> None:
    judge = Halving((1, 3, 9), 3)
    for name in "abc":
        judge.goes_on(seen(name, 3, 0.9))
    assert judge.goes_on(seen("d", 1, 0.0, bracket=1))
    assert judge.goes_on(seen("d", 3, 0.1, bracket=1))  # the first of its bracket there
    assert not judge.goes_on(seen("e", 3, 0.0, bracket=1))
    assert all(judge.goes_on(seen("f", evaluation, 0.0, bracket=3)) for evaluation in range(1, 11))  # no rung at all


def test_a_score_counts_at_the_last_rung_that_it_jumped_to_and_never_at_those_between() -> None:
    judge = Halving((1000, 3000, 9000), 3, in_examples=True)
    assert judge.goes_on(seen("a", 1, 0.5, examples=10_000))
    assert judge.goes_on(seen("a", 2, 0.6, examples=20_000))
    # Ray 2.60 would by now have a's second score at 3000, and stop b.
    assert judge.goes_on(seen("b", 1, 0.1, examples=3_500))
    assert judge.goes_on(seen("b", 2, 0.2, examples=7_000))
    assert not judge.goes_on(seen("b", 3, 0.3, examples=10_500))


def test_rungs_between_two_evaluations_are_one() -> None:
    judge = Halving((1, 2), 1.2)
    for evaluation in range(1, 6):
        assert judge.goes_on(seen("a", evaluation, evaluation / 10))
    assert judge.goes_on(seen("b", 1, 0.1))
    assert judge.goes_on(seen("b", 2, 0.2))
    assert judge.goes_on(seen("b", 3, 0.0))


def test_the_median_rule_compares_the_best_with_the_others_means() -> None:
    judge = MedianRule(grace=2, min_trials=3)
    for name, scores in {"a": (0.2, 0.4), "b": (0.4, 0.6), "c": (0.6, 0.8)}.items():  # means at 2: 0.3, 0.5, 0.7
        assert all(judge.goes_on(seen(name, i, score)) for i, score in enumerate(scores, start=1))
    assert judge.goes_on(seen("d", 1, 0.0))  # grace
    assert not judge.goes_on(seen("d", 2, 0.49))
    assert judge.goes_on(seen("e", 1, 0.5))
    assert judge.goes_on(seen("e", 2, 0.1))  # its best is the median
    assert judge.goes_on(seen("a", 3, 0.0))  # nobody else has come as far


def test_the_median_rule_waits_for_enough_trials() -> None:
    judge = MedianRule(grace=1, min_trials=3)
    judge.goes_on(seen("a", 1, 0.9))
    judge.goes_on(seen("b", 1, 0.8))
    assert judge.goes_on(seen("c", 1, 0.1))
    assert not judge.goes_on(seen("d", 1, 0.1))


def live_and_told(scheduler: Scheduler, num_trials: int, most: int) -> tuple[Judge, Story]:
    """A judge that saw a search as it ran, and the events of that search; the last two trials go on."""
    rng = random.Random(1)
    judge = build_judge(scheduler, most, RunState())
    assert judge is not None
    story = Story().begun(rungs=(1, 3, 9))
    for number in range(num_trials):
        story.suggested(number, bracket=number % 2 if isinstance(scheduler, Hyperband) else 0)
    running = list(range(num_trials))
    for evaluation in range(1, most + 1):
        for number in list(running):
            score, bracket = rng.random(), fold(story.events).trials[f"t{number:04d}"].bracket
            goes_on = judge.goes_on(seen(f"t{number:04d}", evaluation, score, bracket, 100 * evaluation))
            story.reported(number, evaluation, score, outcome="finished" if evaluation == most else "running")
            if number >= num_trials - 2 and evaluation == 5:
                running.remove(number)
            elif evaluation == most or not goes_on:
                running.remove(number)
                story.stopped(number, "completed" if evaluation == most else "pruned")
    return judge, story


@pytest.mark.parametrize(
    "scheduler",
    [Asha(), Asha(unit="examples", grace=100), Hyperband(), Median()],
    ids=["asha", "examples", "hyperband", "median"],
)
def test_a_rebuilt_judge_decides_as_the_live_one_does(scheduler: Scheduler) -> None:
    live, story = live_and_told(scheduler, 30, most=10)
    rebuilt = build_judge(scheduler, 10, fold(story.events))
    assert rebuilt is not None
    rng = random.Random(2)
    decisions = []
    for number in range(30, 60):
        for evaluation in range(1, 11):
            report = seen(f"t{number:04d}", evaluation, rng.random(), number % 2, 100 * evaluation)
            decisions.append((live.goes_on(report), rebuilt.goes_on(report)))
    assert all(one == other for one, other in decisions)
    assert 0 < sum(one for one, _ in decisions) < len(decisions)


def test_a_resumed_trial_is_judged_at_no_rung_that_it_passed() -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.2).reported(0, 3, 0.3).reported(0, 5, 0.4)
    story.suggested(1).reported(1, 1, 0.9).reported(1, 3, 0.9)
    judge = build_judge(Asha(), 10, fold(story.events))
    assert judge is not None
    assert judge.goes_on(seen("t0000", 5, 0.4))  # its last report, told once more
    assert judge.goes_on(seen("t0000", 6, 0.9))
    assert judge.goes_on(seen("t0002", 3, 0.9))


def test_a_decision_that_a_crash_kept_from_being_carried_out_is_made_again() -> None:
    story = Story().begun().suggested(0).suggested(1).reported(0, 1, 0.9).reported(1, 1, 0.2)
    judge = build_judge(Asha(), 10, fold(story.events))
    assert judge is not None
    assert not judge.goes_on(seen("t0001", 1, 0.2))
    assert judge.goes_on(seen("t0000", 1, 0.9))


@dataclass(frozen=True)
class Named:
    trial_id: str


def test_ray_is_told_to_stop_a_trial_and_is_given_its_bracket_from_the_state() -> None:
    state = RunState()
    scheduler: Any = build_scheduler(build_judge(Asha(brackets=2), 10, state), state)
    for event in Story().begun().suggested(0).suggested(1).suggested(2, bracket=1).events:
        state.apply(event)

    def decided(number: int, evaluation: int, score: float) -> str:
        result = {"evaluation": evaluation, "examples_seen": 0, "score": score}
        return str(scheduler.on_trial_result(None, Named(f"t{number:04d}"), result))

    assert decided(0, 1, 0.9) == TrialScheduler.CONTINUE
    assert decided(1, 1, 0.2) == TrialScheduler.STOP
    assert decided(2, 1, 0.1) == TrialScheduler.CONTINUE


def test_the_last_score_of_a_trial_that_ends_by_itself_counts_against_others() -> None:
    state = RunState()
    scheduler: Any = build_scheduler(build_judge(Asha(), 10, state), state)
    for event in Story().begun().suggested(0).suggested(1).events:
        state.apply(event)
    scheduler.on_trial_complete(None, Named("t0000"), {"evaluation": 1, "examples_seen": 0, "score": 0.9})
    result = {"evaluation": 1, "examples_seen": 0, "score": 0.8}
    assert scheduler.on_trial_result(None, Named("t0001"), result) == TrialScheduler.STOP


def test_a_report_without_a_score_is_let_pass() -> None:
    scheduler: Any = build_scheduler(build_judge(Asha(), 10, RunState()), RunState())
    assert scheduler.on_trial_result(None, Named("a"), {"outcome": "started"}) == TrialScheduler.CONTINUE
    scheduler.on_trial_complete(None, Named("a"), {"outcome": "diverged"})


def test_without_a_trial_scheduler_all_run_to_their_end() -> None:
    assert build_judge(NoScheduler(), 4, RunState()) is None
    scheduler: Any = build_scheduler(None, RunState())
    assert scheduler.on_trial_result(None, Named("a"), {"score": 0.0}) == TrialScheduler.CONTINUE
    scheduler.on_trial_complete(None, Named("a"), {"score": 0.0})
