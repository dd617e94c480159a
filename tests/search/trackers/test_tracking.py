"""What trackers are told of a run, held to one that remembers; and that none ends the search."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.trackers import Mlflow
from mtsearch.search import trackers
from mtsearch.search.events import EventLog, StopStatus
from mtsearch.search.trackers import Tracking
from tests.search.conftest import Story

SETTINGS = Mlflow.model_construct(name="mlflow", experiment=None, uri=None)  # whether or not it is installed


class Memory:
    """A tracker that remembers; it fails so many times before."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.failures = failures
        self.closed = 0

    def begin(self, trial_id: str, config: Mapping[str, Any], time: float) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no\nway")
        self.told.append(("begin", trial_id, config["training.seed"]))

    def log(self, trial_id: str, metrics: Mapping[str, float], step: int, time: float) -> None:
        self.told.append(("log", trial_id, step, dict(metrics)))

    def end(self, trial_id: str, status: StopStatus, reason: str, time: float) -> None:
        self.told.append(("end", trial_id, status, reason))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(trackers, "_open", lambda settings, folder: memory)
    monkeypatch.setattr(trackers, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(trackers, "_SECONDS_BETWEEN_TRIES", 0.01)
    return memory


def write(folder: Path, story: Story) -> None:
    with EventLog(folder) as log:
        for event in story.events:
            log.append(event)


def test_a_tracker_is_told_of_every_trial_from_the_first_event_on(tmp_path: Path, memory: Memory) -> None:
    write(tmp_path, Story().begun().suggested(0).started(0).reported(0, 1, 0.5).stopped(0, "pruned").suggested(1))
    with Tracking(tmp_path, [SETTINGS], pytest.fail):
        pass  # what is there already is told on leaving, too
    begun, logged, ended = memory.told
    assert begun == ("begin", "t0000", 7)
    assert logged[:3] == ("log", "t0000", 10)
    assert logged[3]["sentiment.accuracy"] == logged[3]["best_score"] == 0.5
    assert (logged[3]["epoch"], logged[3]["examples_seen"]) == (1.0, 100)
    assert ended == ("end", "t0000", "pruned", "because")
    assert memory.closed == 1


def test_a_trial_that_failed_before_it_began_is_told_too(tmp_path: Path, memory: Memory) -> None:
    write(tmp_path, Story().begun().suggested(0).stopped(0, "failed", "no room"))
    with Tracking(tmp_path, [SETTINGS], pytest.fail):
        pass
    assert memory.told == [("begin", "t0000", 7), ("end", "t0000", "failed", "no room")]


def test_a_trial_that_goes_on_begins_once_more(tmp_path: Path, memory: Memory) -> None:
    story = Story().begun().suggested(0).started(0).stopped(0, "interrupted").begun().started(0, attempt=2)
    write(tmp_path, story.reported(0, 1, 0.5).stopped(0, "completed"))
    with Tracking(tmp_path, [SETTINGS], pytest.fail):
        pass
    assert [what for what, *_ in memory.told] == ["begin", "end", "begin", "log", "end"]


def test_what_is_not_a_number_is_not_logged(tmp_path: Path, memory: Memory) -> None:
    story = Story().begun().suggested(0).started(0)
    write(tmp_path, story.reported(0, 1, None, outcome="diverged").stopped(0, "diverged"))
    with Tracking(tmp_path, [SETTINGS], pytest.fail):
        pass
    assert memory.told[1][3].keys() == {"epoch", "evaluation", "examples_seen", "seconds"}


def test_a_tracker_that_fails_is_told_all_once_more_and_one_line_is_said(tmp_path: Path, memory: Memory) -> None:
    memory.failures = 3
    write(tmp_path, Story().begun().suggested(0).started(0).stopped(0, "completed"))
    said: list[str] = []
    with Tracking(tmp_path, [SETTINGS], said.append):
        give_up = threading.Event()
        for _ in range(30_000):
            if memory.told:
                break
            give_up.wait(0.01)
    assert [what for what, *_ in memory.told] == ["begin", "end"]
    assert said == ["mlflow cannot be told of the trials: no way; the search goes on, and tries again every minute"]


def test_a_tracker_that_is_slow_does_not_keep_the_driver(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "_LONGEST_WAIT_SECONDS", 0.05)
    is_free = threading.Event()
    monkeypatch.setattr(Memory, "begin", lambda *_: is_free.wait(300))
    write(tmp_path, Story().begun().suggested(0).started(0))
    said: list[str] = []
    with Tracking(tmp_path, [SETTINGS], said.append):
        pass
    is_free.set()
    assert said == ["mlflow was not told everything yet; whoever goes on with this run tells it the rest"]
