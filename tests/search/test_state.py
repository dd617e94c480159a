from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mtsearch.search.events import ReplicationStarted, RunEnded, StopStatus
from mtsearch.search.state import fold
from mtsearch_analysis.tables import Direction
from tests.search.conftest import Story, with_holdout


def test_a_trial_counts_with_its_best_score_and_remembers_both_best_and_last() -> None:
    story = Story().begun().suggested(0).started(0)
    story.reported(0, 1, 0.4).reported(0, 2, 0.7).reported(0, 3, 0.6, (2, 0.7))
    trial = fold(story.events).trials["t0000"]
    assert (trial.best_score, trial.best_epoch, trial.last_epoch) == (0.7, 2.0, 3.0)
    assert trial.best_scores["mean_score"] == 0.7
    assert trial.last_scores["mean_score"] == 0.6
    assert trial.best_checkpoint == "trials/t0000/attempt-1/checkpoints/evaluation-0002"
    assert trial.best_so_far == {1: 0.4, 2: 0.7, 3: 0.7}


def test_a_replication_by_a_command_of_its_own_is_a_driver_that_is_there_until_it_says_that_it_left() -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.5).stopped(0, "completed")
    ended = RunEnded(time=story.events[-1].time, reason="all done", is_finished=True)
    started = ReplicationStarted(time=ended.time + 100.0, ranks={"t0000": 1}, start=None, host="here", pid=7)
    state = fold([*story.events, ended, started])
    assert (state.driver, state.ended) == (started, None)
    assert state.seconds_at(started.time + 1000.0) == state.seconds  # no time of the search's
    assert fold([*story.events, ended, started, replace(ended, time=started.time + 50.0)]).ended is not None


def test_the_best_so_far_is_what_the_trial_calls_its_best() -> None:
    story = Story().begun(constraints=("sentiment.accuracy <= 0.5",)).suggested(0)
    story.reported(0, 1, 0.4).reported(0, 2, 0.8, (1, 0.4))  # the second breaks the constraint
    assert fold(story.events).trials["t0000"].best_so_far == {1: 0.4, 2: 0.4}


def test_a_diverged_report_gives_no_score() -> None:
    story = Story().begun().suggested(0).started(0).reported(0, 1, 0.4)
    story.reported(0, 2, None, (1, 0.4), outcome="diverged").stopped(0, "diverged", "NaN")
    trial = fold(story.events).trials["t0000"]
    assert trial.scores == {1: 0.4}
    assert (trial.status, trial.reason, trial.best_score) == ("diverged", "NaN", 0.4)
    assert trial.seconds == 4.0


def test_a_trial_of_a_later_bracket_passes_its_own_rungs() -> None:
    story = Story().begun(rungs=(1, 3, 9)).suggested(0, bracket=1)
    story.reported(0, 1, 0.5).reported(0, 2, 0.5)
    assert fold(story.events).trials["t0000"].rung == 0
    assert fold(story.reported(0, 3, 0.5).events).trials["t0000"].rung == 1


def test_rungs_may_be_counted_in_examples() -> None:
    story = Story().begun(rungs=(150, 300, 600), rung_unit="examples").suggested(0)
    for evaluation in (1, 2, 3):  # 100 examples each
        story.reported(0, evaluation, 0.5)
    trial = fold(story.events).trials["t0000"]
    assert trial.rung == 2
    assert trial.examples_at == {1: 100, 2: 200, 3: 300}


def test_what_takes_a_trials_place_stops_it_and_counts_only_what_it_does_itself() -> None:
    story = Story().begun(trials=2, rungs=None).suggested(0, gpus=1.0).suggested(1, gpus=1.0)
    story.reported(0, 1, 0.9).reported(0, 2, 0.9).reported(1, 1, 0.1)
    state = fold(story.suggested(2, gpus=1.0, parent="t0000", parent_evaluation=2, replaces="t0001").events)
    replaced, successor = state.trials["t0001"], state.trials["t0002"]
    assert (replaced.status, replaced.reason) == ("pruned", "t0002 took its place after evaluation 1")
    assert [trial.trial_id for trial in state.open] == ["t0000", "t0002"]
    assert [trial.trial_id for trial in state.feasible] == ["t0000", "t0001"]
    assert (successor.parent, successor.parent_evaluation) == ("t0000", 2)
    assert (state.examples_seen, state.gpu_seconds) == (300, 6.0)
    state = fold(story.reported(2, 2, 0.9).reported(2, 3, 0.95).events)
    assert (state.examples_seen, state.gpu_seconds) == (400, 8.0)
    assert (state.trials["t0002"].examples_seen, state.trials["t0002"].seconds) == (300, 2.0)


def test_it_is_known_which_trials_had_ended_when_one_was_suggested() -> None:
    story = Story().begun().suggested(0).suggested(1).suggested(2)
    story.stopped(1, "completed").suggested(3).stopped(0, "interrupted").stopped(2, "failed").suggested(4)
    state = fold(story.events)
    assert state.endings == ["t0001", "t0002"]
    assert [trial.num_ended_before for trial in state.trials.values()] == [0, 0, 0, 1, 2]


def test_a_rung_that_stops_a_trial_was_not_passed() -> None:
    story = Story().begun(rungs=(1, 3)).suggested(0).suggested(1)
    story.reported(0, 1, 0.1).stopped(0, "pruned")
    story.reported(1, 1, 0.5).reported(1, 2, 0.5).reported(1, 3, 0.5)
    state = fold(story.events)
    assert state.trials["t0000"].rung == 0
    assert state.trials["t0001"].rung == 2


def test_without_a_trial_scheduler_there_are_no_rungs() -> None:
    assert fold(Story().begun(rungs=None).suggested(0).reported(0, 1, 0.5).events).trials["t0000"].rung is None


def test_ranking_takes_ties_by_examples_seen_and_then_by_number() -> None:
    story = Story().begun()
    for number in range(3):
        story.suggested(number)
    story.reported(0, 2, 0.5).reported(1, 1, 0.5).reported(2, 1, 0.5)
    assert [trial.trial_id for trial in fold(story.events).ranking()] == ["t0001", "t0002", "t0000"]


def of_two_sets(own_tasks: bool) -> Story:
    """Two trials with task a, two with a and b; the second of each is better."""
    story = Story().begun(own_tasks=own_tasks)
    for number, (tasks, score) in enumerate([("a", 0.8), ("a+b", 0.5), ("a+b", 0.6), ("a", 0.9)]):
        story.suggested(number, tasks=tasks).reported(number, 1, score)
    return story


def test_trials_that_are_scored_on_their_own_tasks_are_ranked_with_those_of_the_same_tasks() -> None:
    state = fold(of_two_sets(own_tasks=True).events)
    assert [[trial.number for trial in ranking] for ranking in state.rankings()] == [[3, 0], [2, 1]]
    assert [trial.tasks for trial in state.ranking()] == ["a", "a", "a+b", "a+b"]
    assert state.winner() is None


def test_trials_that_are_all_scored_on_the_same_tasks_have_one_ranking_whatever_else_they_train() -> None:
    state = fold(of_two_sets(own_tasks=False).events)
    assert [[trial.number for trial in ranking] for ranking in state.rankings()] == [[3, 0, 2, 1]]
    winner = state.winner()
    assert winner is not None
    assert winner.number == 3


def test_trials_with_one_set_of_tasks_have_a_winner_and_a_search_without_scores_has_none() -> None:
    state = fold(Story().begun(own_tasks=True).suggested(0).suggested(1).reported(0, 1, 0.5).events)
    winner = state.winner()
    assert winner is not None
    assert winner.number == 0
    assert fold(Story().begun(own_tasks=True).suggested(0).events).winner() is None


def traded(story: Story, number: int, score: float, error: float | None, status: StopStatus = "completed") -> None:
    scores = {"mean_score": score, "similarity.mean_squared_error": error}
    story.suggested(number).reported(number, 1, score, scores=scores).stopped(number, status)


def test_the_front_holds_the_completed_trials_that_none_beats_best_first() -> None:
    objectives: dict[str, Direction] = {"mean_score": "maximize", "similarity.mean_squared_error": "minimize"}
    story = Story().begun()
    traded(story, 0, 0.5, 1.0)
    traded(story, 1, 0.7, 2.0)
    traded(story, 2, 0.5, 1.5)  # the first is better
    traded(story, 3, 0.9, None)  # not measured
    traded(story, 4, 0.95, 0.5, "pruned")
    traded(story, 5, 0.5, 1.0)  # as good as the first
    state = fold(story.events)
    assert [trial.trial_id for trial in state.front(objectives)] == ["t0001", "t0000", "t0005"]
    assert state.front({"mean_score": "maximize"}) == []
    assert fold(Story().begun().events).front(objectives) == []


def test_objectives_are_those_of_the_best_evaluation() -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.7, scores={"mean_score": 0.7, "open_heads": 10})
    story.reported(0, 2, 0.6, (1, 0.7), scores={"mean_score": 0.6, "open_heads": 5})
    trial = fold(story.events).trials["t0000"]
    assert trial.objective_values(["mean_score", "open_heads"]) == [0.7, 10]
    assert math.isnan(trial.objective_values(["latency_ratio"])[0])


def test_an_interrupted_trial_is_open_and_runs_again_when_started() -> None:
    story = Story().begun().suggested(0).started(0).stopped(0, "interrupted")
    assert [trial.trial_id for trial in fold(story.events).open] == ["t0000"]
    trial = fold(story.started(0, attempt=2).events).trials["t0000"]
    assert (trial.status, trial.reason, trial.ended_at, trial.attempts) == ("running", None, None, 2)


def test_time_between_two_drivers_does_not_count() -> None:
    story = Story().begun().suggested(0)  # at 0 and 1
    later = Story()
    later.events = [None] * 100  # type: ignore[list-item]  # a hundred seconds pass
    later.begun().suggested(1)  # at 100 and 101
    assert fold([*story.events, *later.events[100:]]).seconds == 2.0


def test_an_extension_begins_the_budgets_anew() -> None:
    story = Story().begun().suggested(0, gpus=0.5).reported(0, 3, 0.5)
    story.events.append(RunEnded(time=3.0, reason="done"))
    before = fold(story.events)
    after = fold(story.begun(trials=10, extra=2).events)
    assert before.ended is not None
    assert (before.ended.reason, after.ended) == ("done", None)
    assert after.seconds_granted_from == before.seconds == 3.0
    assert after.gpu_seconds_granted_from == before.gpu_seconds == pytest.approx(3.0)
    assert after.target == 10


def of_three(constraints: tuple[str, ...], accuracies: tuple[float, ...] = (0.9, 0.5, 0.6)) -> Story:
    """Three trials whose scores are better the less accurate they are on sentiment."""
    story = Story().begun(constraints=constraints)
    for number, accuracy in enumerate(accuracies):
        scores = {"sentiment.accuracy": accuracy, "mean_score": 1 - accuracy}
        story.suggested(number).reported(number, 1, 1 - accuracy, scores=scores)
    return story


def test_a_trial_that_meets_the_constraints_is_better_than_one_that_does_not() -> None:
    assert [trial.number for trial in fold(of_three(()).events).ranking()] == [1, 2, 0]
    state = fold(of_three(("sentiment.accuracy >= 0.6",)).events)
    assert [trial.number for trial in state.ranking()] == [2, 0, 1]
    winner = state.winner()
    assert winner is not None
    assert (winner.number, state.leader) == (2, winner)


def test_constraints_that_no_trial_meets_leave_no_winner() -> None:
    state = fold(of_three(("sentiment.accuracy >= 0.95",)).events)
    assert [trial.number for trial in state.ranking()] == [1, 2, 0]
    assert state.winner() is None


def test_trials_that_end_without_a_better_score_are_counted_until_one_has_it() -> None:
    story = Story().begun()
    for number, score in enumerate([0.5, 0.4, 0.5, 0.6, 0.1]):
        story.suggested(number).reported(number, 1, score)
        story.stopped(number, "failed" if number == 4 else "completed")
    counts = [fold(story.events[: 1 + 3 * number]).unimproved for number in range(1, 6)]
    assert counts == [0, 1, 2, 0, 1]
    assert fold([*story.events, *Story().begun(extra=2).events]).unimproved == 0


def test_a_leader_that_gets_better_while_others_end_is_an_improvement() -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.5)
    for number in (1, 2):
        story.suggested(number).reported(number, 1, 0.4).stopped(number, "completed")
    assert fold(story.events).unimproved == 2
    assert fold(story.reported(0, 2, 0.5, (1, 0.5)).events).unimproved == 2
    assert fold(story.reported(0, 3, 0.6).events).unimproved == 0


def test_an_interrupted_trial_has_not_ended() -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.5).stopped(0, "completed")
    story.suggested(1).reported(1, 1, 0.4).stopped(1, "interrupted")
    assert fold(story.events).unimproved == 0


def of_two_with_a_holdout() -> Story:
    """What gets better on dev at the second evaluation of t0000 gets worse on the holdout: 0.8, then 0.4."""
    story = Story().begun(rungs=None, constraints=("sentiment.accuracy >= 0.5",)).suggested(0).suggested(1)
    story.reported(0, 1, 0.6, **with_holdout(0.6, 0.8)).reported(1, 1, 0.5, **with_holdout(0.5, 0.7))
    story.reported(0, 2, 0.7, **with_holdout(0.7, 0.4)).reported(0, 3, 0.65, (2, 0.7), **with_holdout(0.65, 0.9))
    return story


def test_with_a_holdout_dev_chooses_the_evaluation_and_the_holdout_says_what_it_is_worth() -> None:
    trial = fold(of_two_with_a_holdout().events).trials["t0000"]
    assert (trial.best_evaluation, trial.best_score, trial.score) == (2, 0.4, 0.4)
    assert trial.best_scores == {"sentiment.accuracy": 0.4, "mean_score": 0.4, "open_heads": 0.5}
    assert trial.best_dev_scores["mean_score"] == 0.7
    assert trial.last_scores["mean_score"] == 0.9
    assert trial.scores == {1: 0.6, 2: 0.7, 3: 0.65}
    assert trial.best_so_far == {1: 0.8, 2: 0.4, 3: 0.4}
    assert trial.objective_values(["mean_score", "open_heads"]) == [0.4, 0.5]


def test_with_a_holdout_trials_are_ranked_and_admitted_by_it() -> None:
    state = fold(of_two_with_a_holdout().events)
    assert [(trial.number, state.is_admissible(trial)) for trial in state.ranking()] == [(1, True), (0, False)]
    winner = state.winner()
    assert winner is not None
    assert (winner.number, state.leader) == (1, winner)
    led_before = fold(of_two_with_a_holdout().events[:5]).leader
    assert led_before is not None
    assert led_before.number == 0


def test_a_best_evaluation_that_was_never_heard_of_leaves_the_first_known_value() -> None:
    story = Story().begun(rungs=None).suggested(0).reported(0, 2, 0.5, (1, 0.6), **with_holdout(0.5, 0.3))
    assert fold(story.events).trials["t0000"].best_score == 0.3
