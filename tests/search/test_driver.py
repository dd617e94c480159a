from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.rungs import draw_bracket
from mtsearch.config.schedulers import Hyperband
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError, DataError, RunError
from mtsearch.search import silence
from mtsearch.search.driver import Driver, Footprint, finished_because
from mtsearch.search.events import Event, EventLog, Infeasible, RunStarted, Suggested, read_events
from mtsearch.search.faults import Cause
from mtsearch.search.population import Successor
from mtsearch.search.proposals import JOURNAL, Proposals
from mtsearch.search.results import Tables
from mtsearch.search.state import RunState, fold
from tests.search.conftest import Story, said


class Watcher:
    """Remembers every event, and can do something at one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.then: Callable[[], None] = lambda: None

    def on_event(self, event: Event, state: RunState) -> None:
        self.events.append(event)
        self.then()


class Drive:
    """A driver at work, without Ray."""

    def __init__(self, space: SearchSpace, folder: Path, concurrency: int = 2, state: RunState | None = None) -> None:
        self.space = space
        self.log = EventLog(folder)
        self.watcher = Watcher()
        self.state = state or fold(read_events(folder))
        self.proposals = Proposals(space, self.state, folder / JOURNAL)
        footprint = Footprint(cpus=1, gpus=0.0, concurrency=concurrency)
        tables = Tables(folder, space.objectives)
        self.driver = Driver(
            space, folder, self.state, self.log, self.proposals, tables, self.watcher, footprint, None, {}
        )
        begun = Story().begun(trials=space.search.trials, rungs=None, constraints=space.search.constraints).events[0]
        assert isinstance(begun, RunStarted)
        self.driver.record(replace(begun, time=time.time()))

    def start(self) -> str:
        found = self.driver.next_trial()
        assert found is not None
        trial_id, _ = found
        attempt = self.state.trials[trial_id].attempts + 1
        self.driver.result(trial_id, {"outcome": "started", "attempt": attempt, "node": "n"})
        return trial_id

    def say(self, trial_id: str, *args: Any, **changes: Any) -> None:
        self.driver.result(trial_id, said(*args, attempt=self.state.trials[trial_id].attempts, **changes))

    def fail(self, trial_id: str, cause: str, reason: str = "boom") -> None:
        attempt = self.state.trials[trial_id].attempts
        self.driver.result(trial_id, {"outcome": "failed", "attempt": attempt, "cause": cause, "reason": reason})
        self.driver.ended(trial_id)

    def finish(self, trial_id: str, score: float) -> None:
        self.say(trial_id, 1, score, "finished", "all done")
        self.driver.ended(trial_id)

    def close(self) -> None:
        self.proposals.close()
        self.log.__exit__(None, None, None)


@pytest.fixture
def begin(make_space: Callable[..., SearchSpace], tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    opened: list[Drive] = []

    def start(search: dict[str, Any] | None = None, concurrency: int = 2, **sections: Any) -> Drive:
        for drive in opened:
            drive.close()
        opened[:] = [Drive(make_space(search, **sections), tmp_path, concurrency)]
        return opened[0]

    yield start
    for drive in opened:
        drive.close()


def test_no_more_trials_run_at_a_time_than_there_is_room_for(begin: Callable[..., Drive]) -> None:
    drive = begin(concurrency=2)
    first, second = drive.start(), drive.start()
    assert drive.driver.next_trial() is None
    assert not drive.driver.is_exhausted
    drive.finish(first, 0.5)
    assert drive.start() not in (first, second)


def test_as_many_trials_are_handed_out_as_are_asked_for(begin: Callable[..., Drive]) -> None:
    drive = begin({"trials": 3}, concurrency=9)
    assert [drive.start() for _ in range(3)] == ["t0000", "t0001", "t0002"]
    assert drive.driver.next_trial() is None
    assert drive.driver.is_exhausted


def test_how_a_trial_ended_is_told_by_the_trainer_and_else_it_was_pruned(begin: Callable[..., Drive]) -> None:
    drive = begin(concurrency=9)
    completed, pruned, diverged, failed, died = (drive.start() for _ in range(5))
    drive.say(completed, 1, 0.5, "finished", "all 1 epochs done")
    drive.say(pruned, 1, 0.1)
    drive.say(diverged, 1, None, "diverged", "the loss became nan")
    for trial_id in (completed, pruned, diverged):
        drive.driver.ended(trial_id)
    drive.fail(failed, "trial")
    drive.driver.died(died, "trial", "its worker died")
    told = {trial.trial_id: (trial.status, trial.reason) for trial in drive.state.trials.values()}
    assert told == {
        completed: ("completed", "all 1 epochs done"),
        pruned: ("pruned", "the trial scheduler stopped it after evaluation 1"),
        diverged: ("diverged", "the loss became nan"),
        failed: ("failed", "boom"),
        died: ("failed", "its worker died"),
    }


def test_a_trials_bracket_is_recorded_and_the_same_in_every_search_of_that_seed(begin: Callable[..., Drive]) -> None:
    search = {"trials": 12, "scheduler": {"name": "hyperband"}}
    drive = begin(search, concurrency=99)
    for _ in range(12):
        drive.start()
    recorded = [event.bracket for event in read_events(drive.driver._folder) if isinstance(event, Suggested)]
    assert recorded == [trial.bracket for trial in drive.state.trials.values()]
    assert recorded == [draw_bracket(Hyperband(), 3, 13, number) for number in range(12)]
    assert len(set(recorded)) > 1


def test_a_trial_that_is_replaced_has_a_successor_that_counts_as_none_of_those_asked_for(
    begin: Callable[..., Drive],
) -> None:
    search = {"trials": 2, "scheduler": {"name": "pbt"}, "algorithm": {"name": "random"}}
    drive = begin(search)
    best, worst = drive.start(), drive.start()
    drive.say(best, 1, 0.9)
    drive.say(worst, 1, 0.1)
    params = {**drive.state.trials[best].params, "optimizer.lr": 2e-4}
    where = "trials/t0002/attempt-0/checkpoints/evaluation-0001"
    successor = Successor(best, where, evaluation=1, seconds=2.0, examples=100, params=params)
    drive.driver._population = Named({worst: successor})
    drive.driver.ended(worst)
    assert (drive.state.trials[worst].status, drive.state.trials[worst].reason) == (
        "pruned",
        "t0002 took its place after evaluation 1",
    )
    found = drive.driver.next_trial()
    assert found is not None
    assert found[0] == "t0002"
    assert found[1].begin_from == successor.checkpoint
    assert found[1].config["optimizer"]["lr"] == 2e-4
    drive.say("t0002", 1, 0.9)  # its parent's
    # Another driver goes on with it, from the same checkpoint as long as it has none of its own.
    resumed = begin(search)
    assert [resumed.start(), resumed.start()] == [best, "t0002"]
    assert resumed.driver.assignment(resumed.state.trials["t0002"]).begin_from == successor.checkpoint
    resumed.say("t0002", 2, 0.95)
    for trial_id in (best, "t0002"):
        resumed.driver.ended(trial_id)
    assert resumed.driver.is_exhausted
    assert finished_because(resumed.state, resumed.driver._space) == "all 2 trials are done"


class Named:
    """A population in which it is settled who takes whose place."""

    def __init__(self, successors: dict[str, Successor]) -> None:
        self._successors = successors

    def successor_of(self, trial_id: str) -> Successor | None:
        return self._successors.get(trial_id)


def test_a_crashed_search_goes_on_with_its_running_trials_and_suggests_none_twice(begin: Callable[..., Drive]) -> None:
    drive = begin({"trials": 4})
    first, second = drive.start(), drive.start()
    drive.finish(first, 0.5)
    third = drive.start()
    drive.say(third, 1, 0.3)
    # The driver is gone without a word; another takes over.
    resumed = begin({"trials": 4})
    assert [resumed.start(), resumed.start()] == [second, third]
    resumed.say(third, 1, 0.3)  # its last report is told once more
    resumed.say(third, 2, 0.4)
    resumed.finish(second, 0.6)
    resumed.driver.ended(third)
    assert resumed.start() == "t0003"
    assert resumed.driver.next_trial() is None
    suggested = [e.trial_id for e in read_events(resumed.driver._folder) if isinstance(e, Suggested)]
    assert suggested == ["t0000", "t0001", "t0002", "t0003"]
    assert resumed.state.trials[third].scores == {1: 0.3, 2: 0.4}
    assert resumed.state.trials[third].attempts == 2


def test_the_state_that_was_lived_is_the_state_that_is_folded(begin: Callable[..., Drive], tmp_path: Path) -> None:
    drive = begin()
    drive.finish(drive.start(), 0.5)
    drive.say(drive.start(), 1, 0.3)
    drive.driver.stop("enough")
    drive.driver.interrupt()
    assert fold(read_events(tmp_path)) == drive.state
    assert drive.state.counts() == {"completed": 1, "interrupted": 1}


def test_stopping_hands_out_nothing_and_interrupts_what_runs(begin: Callable[..., Drive]) -> None:
    drive = begin()
    running = drive.start()
    drive.driver.stop("stopped by SIGINT")
    assert drive.driver.must_stop
    assert drive.driver.next_trial() is None
    drive.driver.interrupt()
    assert drive.state.trials[running].status == "interrupted"
    assert drive.state.trials[running].reason == "stopped by SIGINT"
    assert drive.state.open


def test_infeasible_suggestions_are_recorded_and_drawn_anew_and_cost_no_trial(begin: Callable[..., Drive]) -> None:
    task = {"kind": "pair_regression", "data": "stsb", "low": {"uniform": [0, 3]}, "high": {"uniform": [1, 5]}}
    drive = begin({"trials": 20}, concurrency=99, tasks={"similarity": task})
    started = [drive.start() for _ in range(20)]
    assert drive.driver.is_exhausted
    refused = [event for event in drive.watcher.events if isinstance(event, Infeasible)]
    assert refused
    assert all("low < high must hold" in event.reason for event in refused)
    assert len(drive.state.trials) == 20 + len(refused)
    assert not {event.trial_id for event in refused} & set(started)


def test_a_space_that_is_all_but_infeasible_ends_with_its_rule(
    begin: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtsearch.search import driver as module

    task = {"kind": "pair_regression", "data": "stsb", "low": {"uniform": [0, 3]}, "high": {"uniform": [1, 5]}}
    drive = begin({"trials": 200}, concurrency=999, tasks={"similarity": task})
    monkeypatch.setattr(module, "_MOST_INFEASIBLE_IN_A_ROW", 1)
    while drive.driver.next_trial() is not None:
        pass
    assert isinstance(drive.driver.fault, ConfigError)
    assert "1 suggestions in a row break a rule, the last one: " in str(drive.driver.fault)
    assert "low < high must hold" in str(drive.driver.fault)
    assert drive.driver.is_exhausted


def test_start_points_are_tried_first_and_once_even_over_a_crash(begin: Callable[..., Drive]) -> None:
    search = {"start": [{"optimizer.lr": 5e-5, "schedule": "linear"}, {"optimizer.lr": 7e-5}]}
    drive = begin(search)
    first = drive.start()
    assert drive.state.trials[first].config["optimizer"]["lr"] == 5e-5
    drive.finish(first, 0.5)
    resumed = begin(search)
    second, third = resumed.start(), resumed.start()
    assert resumed.state.trials[second].config["optimizer"]["lr"] == 7e-5
    assert resumed.state.trials[third].config["optimizer"]["lr"] not in (5e-5, 7e-5)
    assert [trial.start for trial in resumed.state.trials.values()] == [0, 1, None]


def test_when_the_time_is_up_what_runs_is_stopped(begin: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.time()
    now = began
    monkeypatch.setattr(time, "time", lambda: now)
    drive = begin({"time": "10s"})
    drive.start()
    now = began + 5
    assert not drive.driver.must_stop
    now = began + 10.1
    assert drive.driver.must_stop
    assert drive.driver.stop_reason == "the time budget of 10 s is spent"


def test_when_the_gpu_hours_are_spent_nothing_new_begins_and_what_runs_goes_on(
    make_space: Callable[..., SearchSpace],
) -> None:
    space = make_space({"gpu_hours": 0.001})
    story = Story().begun().suggested(0, gpus=2.0).suggested(1, gpus=2.0).reported(0, 1, 0.5).stopped(0, "completed")
    assert finished_because(fold(story.events), space) is None  # 2 s on 2 GPUs of 3.6; one trial is open
    story.reported(1, 1, 0.5).stopped(1, "completed")
    assert finished_because(fold(story.events), space) == "the budget of 0.001 GPU hours is spent"


def test_data_that_changes_during_a_search_ends_it(begin: Callable[..., Drive]) -> None:
    drive = begin()
    drive.finish(drive.start(), 0.5)
    second = drive.start()
    changed = said(1, 0.5)
    changed["told"] = changed["told"].replace("abcd", "ef01")
    drive.driver.result(second, changed)
    assert isinstance(drive.driver.fault, DataError)
    assert "(abcd), but it is now ef01" in str(drive.driver.fault)
    assert drive.driver.must_stop


def test_a_folder_that_can_no_longer_be_written_ends_the_search_in_one_line(begin: Callable[..., Drive]) -> None:
    drive = begin()

    def fail() -> None:
        raise OSError("no space left on device")

    drive.watcher.then = fail
    with pytest.raises(RunError, match="the run folder must be writable, but got: no space left on device"):
        drive.start()
    assert isinstance(drive.driver.fault, RunError)


def test_the_observer_sees_an_event_after_it_was_written_and_taken_in(
    begin: Callable[..., Drive], tmp_path: Path
) -> None:
    drive = begin()
    seen: list[bool] = []

    def look() -> None:
        event = drive.watcher.events[-1]
        seen.append(list(read_events(tmp_path))[-1] == event)
        if isinstance(event, Suggested):
            seen.append(event.trial_id in drive.state.trials)

    drive.watcher.then = look
    drive.finish(drive.start(), 0.5)
    assert len(seen) == 5
    assert all(seen)


def test_a_node_that_makes_other_rows_than_the_first_stops_the_search(begin: Callable[..., Drive]) -> None:
    drive = begin()
    first, second = drive.start(), drive.start()
    found = {"origin": "path", "where": "there", "hash": "abcd", "tags": ""}
    for trial_id, rows in ((first, "one"), (second, "other")):
        told = said(1, 0.5)
        told["told"] = json.dumps({**json.loads(told["told"]), "data": {"sentiment": {**found, "rows": rows}}})
        drive.driver.result(trial_id, told)
    assert isinstance(drive.driver.fault, DataError)
    assert "every node must make the same augmented rows and tags, but n makes others" in str(drive.driver.fault)


def test_a_model_to_prune_that_is_another_one_for_a_later_trial_stops_the_search(begin: Callable[..., Drive]) -> None:
    drive = begin()
    first, second = drive.start(), drive.start()
    found = {"origin": "path", "where": "there", "hash": "abcd", "rows": "", "tags": ""}
    for trial_id, source in ((first, "one"), (second, "other")):
        drive.state.trials[trial_id].config["pruning"]["source"] = "runs/trained"
        told = said(1, 0.5)
        told["told"] = json.dumps({**json.loads(told["told"]), "data": {"sentiment": {**found, "source": source}}})
        drive.driver.result(trial_id, told)
    assert isinstance(drive.driver.fault, DataError)
    assert f"runs/trained is another one for {second}" in str(drive.driver.fault)


def test_when_the_examples_are_spent_nothing_new_begins(begin: Callable[..., Drive]) -> None:
    drive = begin({"examples": 200})
    drive.finish(drive.start(), 0.5)  # of 100 examples
    drive.finish(drive.start(), 0.5)
    assert drive.driver.next_trial() is None
    assert finished_because(drive.state, drive.space) == "the budget of 200 examples is spent"


def test_a_search_that_comes_to_nothing_better_ends(begin: Callable[..., Drive]) -> None:
    drive = begin({"patience": 2})
    for score in (0.4, 0.5, 0.3, 0.5):
        drive.finish(drive.start(), score)
    assert drive.driver.next_trial() is None
    assert finished_because(drive.state, drive.space) == "2 trials in a row have not come to a better score"


def test_the_goal_ends_the_search_and_what_runs_with_it(begin: Callable[..., Drive]) -> None:
    drive = begin({"goal": 0.8, "constraints": ["sentiment.accuracy <= 0.85"]})
    first, second = drive.start(), drive.start()
    drive.say(first, 1, 0.9)
    assert not drive.driver.must_stop, "a trial that breaks a constraint reaches no goal"
    drive.say(second, 1, 0.8)
    assert drive.driver.must_stop
    drive.driver.interrupt()
    assert drive.state.trials[first].status == "interrupted"
    assert finished_because(drive.state, drive.space) == "the goal of 0.8 is reached: t0001 has 0.8000"


def test_what_a_trial_raises_by_itself_is_never_tried_again(begin: Callable[..., Drive]) -> None:
    drive = begin()
    failed = drive.start()
    drive.fail(failed, "trial", "ValueError: no")
    assert (drive.state.trials[failed].status, drive.state.trials[failed].stop_reason) == ("failed", "ValueError: no")
    assert drive.start() != failed


def test_a_trial_whose_surroundings_fail_is_tried_again_and_then_given_up_with_every_reason(
    begin: Callable[..., Drive],
) -> None:
    drive = begin({"max_retries": 2})
    trial_id = drive.start()
    waits = []
    for reason in ("stale", "reset"):
        drive.fail(trial_id, "surroundings", reason)
        waits.append(drive.driver.assignment(drive.state.trials[trial_id]).wait_seconds)
        assert drive.start() == trial_id
    assert waits == [2.0, 8.0]
    drive.driver.died(trial_id, "surroundings", "its worker died")
    trial = drive.state.trials[trial_id]
    assert (trial.status, trial.attempts) == ("failed", 3)
    assert trial.stop_reason == "its worker died; tried again after: stale | reset"


def test_an_evaluation_between_gives_a_trial_its_retries_back(begin: Callable[..., Drive]) -> None:
    drive = begin({"max_retries": 1})
    trial_id = drive.start()
    for evaluation in (1, 2, 3):
        drive.say(trial_id, evaluation, 0.5)
        drive.driver.died(trial_id, "surroundings", "its worker died")
        assert drive.driver.assignment(drive.state.trials[trial_id]).wait_seconds == 0
        assert drive.start() == trial_id
    drive.driver.died(trial_id, "surroundings", "its worker died")
    assert drive.state.trials[trial_id].status == "failed"


def test_a_trial_out_of_memory_is_tried_once_with_half_a_batch_and_then_is_infeasible(
    begin: Callable[..., Drive], tmp_path: Path
) -> None:
    drive = begin({"trials": 2, "scheduler": {"name": "none"}}, training={"epochs": 2, "batch_size": 9})
    first, second = drive.start(), drive.start()
    drive.fail(first, "memory", "out of memory: tried to allocate 2 GiB")
    resumed = begin({"trials": 2, "scheduler": {"name": "none"}}, training={"epochs": 2, "batch_size": 9})
    assert [resumed.start(), resumed.start()] == [first, second]
    assert resumed.driver.assignment(resumed.state.trials[first]).micro_batch_size == 5
    assert resumed.driver.assignment(resumed.state.trials[second]).micro_batch_size is None
    resumed.fail(first, "memory", "out of memory: tried to allocate 1 GiB")
    trial = resumed.state.trials[first]
    assert trial.status == "infeasible"
    assert trial.reason == "with 5 examples in a forward pass it ran out of memory: tried to allocate 1 GiB"
    assert resumed.start() == "t0002"  # as with other infeasible ones, another takes its place
    assert fold(read_events(tmp_path)) == resumed.state


def test_a_full_disk_ends_the_search_and_fails_no_trial(begin: Callable[..., Drive]) -> None:
    drive = begin()
    first, second = drive.start(), drive.start()
    drive.fail(first, "disk", "OSError: No space left on device")
    assert drive.driver.must_stop
    assert drive.driver.next_trial() is None
    drive.driver.interrupt()
    assert {drive.state.trials[trial_id].status for trial_id in (first, second)} == {"interrupted"}
    assert "make room, and the same command goes on" in str(drive.driver.fault)


def test_a_search_in_which_trial_after_trial_fails_ends_with_the_last_reason(begin: Callable[..., Drive]) -> None:
    drive = begin({"max_failures_in_a_row": 3, "trials": 20})
    for _ in range(2):
        drive.fail(drive.start(), "trial")
    drive.finish(drive.start(), 0.5)
    for _ in range(3):
        assert drive.driver.fault is None
        drive.fail(drive.start(), "trial", "ValueError: no")
    assert "3 trials in a row failed (search.max_failures_in_a_row), the last one, t0005: ValueError: no" in str(
        drive.driver.fault
    )
    assert drive.driver.next_trial() is None


def test_a_worker_that_was_cut_off_and_comes_back_is_not_listened_to(begin: Callable[..., Drive]) -> None:
    drive = begin()
    trial_id = drive.start()
    drive.driver.died(trial_id, "surroundings", "its node is gone")
    assert drive.start() == trial_id
    drive.driver.result(trial_id, said(1, 0.1, attempt=1))
    drive.driver.result(trial_id, {"outcome": "started", "attempt": 1, "node": "old"})
    assert (drive.state.trials[trial_id].scores, drive.state.trials[trial_id].attempts) == ({}, 2)
    drive.say(trial_id, 1, 0.5)
    assert drive.state.trials[trial_id].scores == {1: 0.5}


def test_a_trial_that_has_ended_is_told_nothing_more_of(begin: Callable[..., Drive], tmp_path: Path) -> None:
    drive = begin()
    trial_id = drive.start()
    drive.fail(trial_id, "trial")
    drive.say(trial_id, 1, 0.5)
    drive.driver.result(trial_id, {"outcome": "started", "attempt": 2, "node": "n"})
    assert drive.state.trials[trial_id].status == "failed"
    assert fold(read_events(tmp_path)).trials[trial_id].status == "failed"


def test_a_trial_that_says_nothing_for_too_long_hangs(
    begin: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr(silence.time, "monotonic", lambda: clock)
    drive = begin({"hang_limit": "1m"})
    silent, busy = drive.start(), drive.start()
    clock = 50.0
    drive.say(busy, 1, 0.5)
    assert drive.driver.hung() == {}
    clock = 61.0
    assert drive.driver.hung() == {silent: "its worker said nothing for 61 s and was killed (search.hang_limit: 60 s)"}
    drive.driver.died(silent, "surroundings", "it hung")
    assert drive.driver.hung() == {}  # it waits for its turn


def test_what_waits_before_it_is_tried_again_does_not_hang(
    begin: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr(silence.time, "monotonic", lambda: clock)
    drive = begin({"hang_limit": "30s", "max_retries": 5})
    trial_id = drive.start()
    for wait in (2.0, 8.0, 32.0, 60.0, 60.0):
        drive.fail(trial_id, "surroundings", "stale")
        found = drive.driver.next_trial()
        assert found is not None
        assert found[1].wait_seconds == wait
        drive.driver.hear_of(trial_id)  # Ray has begun it
        clock += wait + 29.0
        assert drive.driver.hung() == {}
    clock += 2.0
    assert list(drive.driver.hung()) == [trial_id]


@pytest.mark.parametrize("cause", ["disk", "surroundings"])
def test_a_trial_whose_worker_is_gone_when_the_search_is_to_stop_does_not_hang(
    begin: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch, cause: Cause
) -> None:
    clock = 0.0
    monkeypatch.setattr(silence.time, "monotonic", lambda: clock)
    drive = begin({"hang_limit": "30s"})
    killed, failed = drive.start(), drive.start()
    clock = 31.0
    assert list(drive.driver.hung()) == [killed, failed]
    drive.driver.stop("stopped by SIGINT")
    drive.driver.died(killed, cause, "it hung")
    drive.fail(failed, cause)
    assert drive.driver.hung() == {}
    drive.driver.interrupt()
    assert drive.state.counts() == {"interrupted": 2}


def test_how_long_a_trial_may_be_silent_is_learned_from_those_before_it(
    begin: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr(silence.time, "monotonic", lambda: clock)
    drive = begin()
    first, second = drive.start(), drive.start()
    clock = 1e6
    assert drive.driver.hung() == {}  # nobody knows yet how long an evaluation takes
    clock = 1e6 + 200
    drive.driver.hear_of(first), drive.driver.hear_of(second)
    clock = 1e6 + 400
    drive.say(first, 1, 0.5)
    clock = 1e6 + 4100
    assert drive.driver.hung() == {}
    clock = 1e6 + 4300
    assert list(drive.driver.hung()) == [second]


def test_a_running_trial_keeps_the_best_checkpoint_of_its_earlier_attempts_alone(
    begin: Callable[..., Drive], tmp_path: Path
) -> None:
    drive = begin()
    trial_id = drive.start()
    place = tmp_path / "trials" / trial_id

    def save(attempt: int, evaluation: int) -> str:
        folder = place / f"attempt-{attempt}/checkpoints/evaluation-{evaluation:04d}"
        folder.mkdir(parents=True)
        return folder.relative_to(tmp_path).as_posix()

    def tell(evaluation: int, score: float, best: tuple[int, float], checkpoint: str) -> None:
        result = said(evaluation, score, attempt=drive.state.trials[trial_id].attempts, best=best)
        result["told"] = json.dumps({**json.loads(result["told"]), "checkpoint": checkpoint})
        drive.driver.result(trial_id, result)

    tell(1, 0.9, (1, 0.9), save(1, 1))
    tell(2, 0.5, (1, 0.9), save(1, 2))
    save(1, 3)  # of a report that was lost
    drive.driver.died(trial_id, "surroundings", "its worker died")
    drive.start()
    tell(3, 0.6, (1, 0.9), save(2, 3))
    left = sorted(path.relative_to(place).as_posix() for path in place.glob("*/checkpoints/*"))
    assert left == ["attempt-1/checkpoints/evaluation-0001", "attempt-2/checkpoints/evaluation-0003"]
