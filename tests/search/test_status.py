"""Looks at made-up runs: whose driver is there, has left, or was killed; and what they show."""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtsearch.errors import RunError
from mtsearch.search import status as status_module
from mtsearch.search.events import EVENTS, Event, EventLog, RunEnded, RunStarted
from mtsearch.search.observer import Observers
from mtsearch.search.state import RunState
from mtsearch.search.status import follow, look, stop
from mtsearch.search.stopping import STOP_REQUEST, ask_to_stop, stop_requests
from tests.search.conftest import Story


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "_SECONDS_BETWEEN_LOOKS", 0.01)


def driven(story: Story, **changes: Any) -> list[Event]:
    """The story's events, by a driver of this process, begun a minute ago."""
    begun = time.time() - 60
    events: list[Event] = []
    for event in story.events:
        events.append(replace(event, time=begun + event.time))
        if isinstance(event, RunStarted):
            events[-1] = replace(events[-1], **{"host": platform.node(), "pid": os.getpid(), **changes})
    return events


def half_done() -> Story:
    story = Story().begun(trials=4, rungs=None).suggested(0).started(0).reported(0, 1, 0.5).reported(0, 2, 0.75)
    story = story.reported(0, 3, 0.625, best=(2, 0.75)).stopped(0, "completed").suggested(1).started(1)
    return story.reported(1, 1, 0.25).suggested(2)


def write(folder: Path, events: list[Event]) -> EventLog:
    log = EventLog(folder)
    for event in events:
        log.append(event)
    return log


def test_a_look_shows_how_far_a_running_search_is(tmp_path: Path) -> None:
    budgets = {"time": 3600.0, "examples": 1000, "goal": 0.9, "patience": 3, "gpu_hours": 2.0}
    begun = {"budgets": budgets, "metric": "mean_score", "dashboard": "http://there", "head": "there"}
    with write(tmp_path, driven(half_done(), **begun)):
        shown = look(tmp_path)
    assert (shown.presence, shown.host, shown.pid) == ("running", platform.node(), os.getpid())
    assert (shown.dashboard, shown.head) == ("http://there", "there")
    assert shown.ended is None
    assert not shown.is_finished
    assert (shown.num_done, shown.target, shown.counts) == (1, 4, {"completed": 1, "running": 2})
    (best,) = shown.best
    assert (best.trial_id, best.score, best.epoch, best.scores["sentiment.accuracy"]) == ("t0000", 0.75, 2.0, 0.75)
    running, waiting = shown.open_trials
    assert (running.trial_id, running.epoch, running.score, running.node) == ("t0001", 1.0, 0.25, "n1")
    assert running.heard_at is not None
    assert 45 < shown.looked_at - running.heard_at < 60
    assert (waiting.trial_id, waiting.attempts, waiting.heard_at) == ("t0002", 0, None)
    used = {name: (budget.used, budget.limit) for name, budget in shown.budgets.items()}
    assert used.pop("time")[0] == pytest.approx(60, abs=10)  # it goes on between events
    assert used == {
        "trials": (1, 4),
        "examples": (400, 1000),
        "goal": (0.75, 0.9),
        "patience": (0, 3),
        "gpu_hours": (0.0, 2.0),
    }
    assert json.loads(json.dumps(shown.to_json()))["best"][0]["trial_id"] == "t0000"


def test_a_driver_that_left_has_said_why(tmp_path: Path) -> None:
    events = [*driven(half_done()), RunEnded(time=time.time(), reason="stopped by SIGINT", is_finished=False)]
    write(tmp_path, events).__exit__(None, None, None)
    shown = look(tmp_path)
    assert (shown.presence, shown.ended, shown.is_finished) == ("gone", "stopped by SIGINT", False)


@pytest.mark.parametrize("told", [True, None])
def test_a_search_is_finished_by_its_word_or_if_nothing_is_open(tmp_path: Path, told: bool | None) -> None:
    story = Story().begun(trials=1, rungs=None).suggested(0).started(0).reported(0, 1, 0.5).stopped(0, "completed")
    events = [*driven(story), RunEnded(time=time.time(), reason="the one trial is done", is_finished=told)]
    write(tmp_path, events).__exit__(None, None, None)
    assert look(tmp_path).is_finished


def test_a_driver_that_was_killed_is_gone_without_a_word(tmp_path: Path) -> None:
    write(tmp_path, driven(half_done())).__exit__(None, None, None)
    shown = look(tmp_path)
    assert (shown.presence, shown.ended, shown.dashboard) == ("gone", None, None)
    assert shown.seconds < 20  # what went by since does not count


@pytest.mark.parametrize(("changes", "presence"), [({}, "running"), ({"pid": 2**22 + 1}, "gone")])
def test_without_locks_the_process_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], presence: str
) -> None:
    write(tmp_path, driven(half_done(), **changes)).__exit__(None, None, None)
    monkeypatch.setattr(status_module, "is_locked", lambda folder: None)
    assert look(tmp_path).presence == presence


@pytest.mark.parametrize(("age", "presence"), [(0.0, "unknown"), (3600.0, "gone")])
def test_of_another_machine_without_a_lock_only_the_last_event_tells(tmp_path: Path, age: float, presence: str) -> None:
    events = [replace(event, time=event.time - age) for event in driven(half_done(), host="elsewhere")]
    write(tmp_path, events).__exit__(None, None, None)
    assert look(tmp_path).presence == presence


def test_a_run_without_events_yet_is_starting_or_was_never_begun(tmp_path: Path) -> None:
    (tmp_path / EVENTS).touch()  # as older versions left it
    with EventLog(tmp_path):
        starting = look(tmp_path)
    never = look(tmp_path)
    assert (starting.presence, never.presence) == ("running", "gone")
    assert never.host is never.last_event_at is None
    assert never.best == never.open_trials == ()


def test_who_follows_a_run_whose_driver_is_refused_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / EVENTS).touch()
    with pytest.raises(RunError, match="they have gone: its driver was refused before the first"):
        follow(tmp_path, Observers(), lambda state: (tmp_path / EVENTS).unlink())


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, driven(half_done())).__exit__(None, None, None)
    with (tmp_path / EVENTS).open("ab") as file:
        file.write(b'{"event":"reported","time":17')
    assert look(tmp_path).num_done == 1


def test_what_is_no_run_folder_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        look(tmp_path / "none")
    with pytest.raises(RunError, match=r"holds no events\.jsonl; name one of mtsearch run"):
        look(tmp_path)
    write(tmp_path / "inside", driven(half_done())).__exit__(None, None, None)
    with pytest.raises(RunError, match=r"such as .*inside$"):
        look(tmp_path)


class Keeper:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.before: int | None = None

    def catch_up(self, state: RunState) -> None:
        self.before = len(state.trials)

    def on_event(self, event: Event, state: RunState) -> None:
        self.events.append(event)


def test_whoever_follows_is_told_of_what_comes_until_the_driver_is_gone(tmp_path: Path) -> None:
    keeper = Keeper()
    follows = threading.Event()
    log = write(tmp_path, driven(half_done()))
    later = driven(half_done().started(2).reported(2, 1, 0.875).stopped(2, "completed"))[len(half_done().events) :]

    def drive() -> None:
        follows.wait(300)
        for event in later:
            time.sleep(0.02)
            log.append(event)
        log.__exit__(None, None, None)

    driver = threading.Thread(target=drive)
    driver.start()

    def catch_up(state: RunState) -> None:
        keeper.catch_up(state)
        follows.set()

    shown = follow(tmp_path, keeper, catch_up)
    driver.join()
    assert keeper.before == 3
    assert keeper.events == later
    assert (shown.presence, shown.best[0].trial_id) == ("gone", "t0002")


@pytest.mark.parametrize("wait", [False, True])
def test_a_driver_is_asked_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool) -> None:
    monkeypatch.setattr("mtsearch.search.stopping._SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(status_module, "_SECONDS_TO_TAKE_UP", 300.0)
    asked = threading.Event()
    is_up = threading.Event()

    def drive() -> None:
        with write(tmp_path, driven(half_done())), stop_requests(tmp_path, lambda reason: asked.set()):
            is_up.set()
            asked.wait(300)

    driver = threading.Thread(target=drive)
    driver.start()
    is_up.wait(300)
    assert stop(tmp_path, wait)
    assert asked.is_set()
    driver.join()


def test_a_driver_that_does_not_come_to_it_is_not_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "_SECONDS_TO_TAKE_UP", 0.05)
    with write(tmp_path, driven(half_done())):
        assert not stop(tmp_path)
        assert (tmp_path / STOP_REQUEST).exists()


def test_where_no_driver_runs_none_is_asked(tmp_path: Path) -> None:
    write(tmp_path, driven(half_done())).__exit__(None, None, None)
    with pytest.raises(RunError, match="stopping needs a driver, but none runs this"):
        stop(tmp_path)
    assert not (tmp_path / STOP_REQUEST).exists()


def test_a_request_of_before_does_not_stop_the_next_driver(tmp_path: Path, make_space: Callable[..., Any]) -> None:
    from mtsearch.search.tuner import run_search

    ask_to_stop(tmp_path)
    (tmp_path / EVENTS).touch()
    with pytest.raises(RunError, match="must extend a budget of time"):  # it ends there, but it has begun
        run_search(make_space(), tmp_path, extra_seconds=60.0, in_process=True)
    assert not (tmp_path / STOP_REQUEST).exists()
