"""Trainings by Ray's tasks, with functions in place of trainings: who is tried again, given up, and cancelled."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.search import SearchConfig
from mtsearch.search import trainings
from mtsearch.search.trainings import Death, Train, _task, run_trainings
from mtsearch.search.trial import TOLD, Assignment
from mtsearch.training.report import Objective

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.xdist_group("ray")]

SEARCH = SearchConfig(hang_limit=10.0, max_retries=1)


@pytest.fixture
def assign(tmp_path: Path) -> Callable[..., tuple[str, Assignment]]:
    """A training whose function is told its name by ``place``."""

    def make(name: str) -> tuple[str, Assignment]:
        config = {"training": {"batch_size": 9}}
        return name, Assignment(str(tmp_path), name, config, None, 1, 0.0, Objective())

    return make


def attempt_of(assignment: Assignment) -> int:
    """Which attempt this is, and a file that tells its process."""
    place = Path(assignment.run_folder)
    number = 1 + len(list(place.glob(f"{assignment.place}-*")))
    (place / f"{assignment.place}-{number}").write_text(str(os.getpid()))
    return number


def run(train: Train, *assignments: tuple[str, Assignment], **changes: Any) -> tuple[dict[str, Any], list[str]]:
    """What became of each, and what was said of tries."""
    warned: list[str] = []
    settings = {"search": SEARCH, "concurrency": 2, "interrupted": [], **changes}
    ended = run_trainings(train, assignments, warn=lambda key, text: warned.append(f"{key}: {text}"), **settings)
    return dict(ended), warned


def is_gone(pid: int, seconds: float = 300.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_training_whose_worker_dies_or_hangs_is_tried_again(
    assign: Callable[..., tuple[str, Assignment]], tmp_path: Path
) -> None:
    def train(assignment: Assignment) -> Iterator[dict[str, Any]]:
        number = attempt_of(assignment)
        yield {"outcome": "started", "attempt": number}
        if assignment.place == "dies" and number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if assignment.place == "hangs" and number == 1:
            time.sleep(3600)
        yield {"outcome": "finished", "attempt": number, TOLD: "{}"}
        yield {"status": f"completed by attempt {number}"}

    ended, warned = run(train, *map(assign, ("dies", "hangs", "does")))
    assert ended == {
        "dies": {"status": "completed by attempt 2"},
        "hangs": {"status": "completed by attempt 2"},
        "does": {"status": "completed by attempt 1"},
    }
    died, hung = sorted(warned)
    assert died.startswith("dies: its worker died: ")
    assert hung.startswith("hangs: its worker said nothing for ")
    assert hung.endswith(" s and was killed (search.hang_limit: 10 s); it is tried again")
    assert is_gone(int((tmp_path / "hangs-1").read_text()))


def test_one_that_dies_each_time_is_given_up_and_an_evaluation_between_gives_it_its_retries_back(
    assign: Callable[..., tuple[str, Assignment]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = trainings._listen

    def hear(silence: Any, stream: Any, training: Any, said: dict[str, Any]) -> None:
        listen(silence, stream, training, said)
        if TOLD in said:
            (tmp_path / f"heard-{said['attempt']}").touch()

    def train(assignment: Assignment) -> Iterator[dict[str, Any]]:
        number = attempt_of(assignment)
        yield {"outcome": "started", "attempt": number}
        if assignment.place == "slow" and number < 4:
            yield {"outcome": "running", "attempt": number, TOLD: "{}"}
            while not Path(assignment.run_folder, f"heard-{number}").exists():
                time.sleep(0.01)  # else the word may go with the worker
        if number < 9:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(trainings, "_listen", hear)
    ended, _ = run(train, *map(assign, ("fast", "slow")))
    assert {type(last) for last in ended.values()} == {Death}
    assert ended["fast"].cause == "surroundings"
    assert len(list(tmp_path.glob("fast-*"))) == 2
    assert len(list(tmp_path.glob("slow-*"))) == 4


def test_what_is_raised_before_a_training_can_tell_is_its_end(assign: Callable[..., tuple[str, Assignment]]) -> None:
    def train(assignment: Assignment) -> Iterator[dict[str, Any]]:
        raise ImportError("there is no such module here")
        yield {}

    ended, warned = run(train, assign("one"))
    assert ended["one"].cause == "trial"
    assert "ImportError: there is no such module here" in ended["one"].reason
    assert warned == []


def test_who_is_interrupted_cancels_what_runs(assign: Callable[..., tuple[str, Assignment]], tmp_path: Path) -> None:
    interrupted: list[str] = []

    def train(assignment: Assignment) -> Iterator[dict[str, Any]]:
        yield {"outcome": "started", "attempt": attempt_of(assignment)}
        time.sleep(3600)

    def interrupt_once_it_runs() -> None:
        while not (tmp_path / "one-1").exists():
            time.sleep(0.05)
        interrupted.append("stopped by SIGINT")

    watcher = threading.Thread(target=interrupt_once_it_runs)
    watcher.start()
    ended, _ = run(train, *map(assign, ("one", "two")), concurrency=1, interrupted=interrupted, search=SearchConfig())
    watcher.join()
    assert ended == {}
    assert is_gone(int((tmp_path / "one-1").read_text()))
    assert not list(tmp_path.glob("two-*"))


def test_the_process_of_a_training_with_a_gpu_is_not_used_again_since_cuda_would_keep_to_that_gpu(
    assign: Callable[..., tuple[str, Assignment]],
) -> None:
    _, on_cpu = assign("one")
    # How many tasks Ray lets a process run, or 0; there are no GPUs here to see it with.
    assert [_task(replace(on_cpu, gpus=gpus))._max_calls for gpus in (0.0, 0.25, 1.0)] == [0, 1, 1]
