"""Whole searches whose trials have several workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.search import Resources
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ResourceError
from mtsearch.repeat import Repeated
from mtsearch.search.events import Event, Reported, Retried, read_events
from mtsearch.search.state import RunState, fold
from mtsearch.search.tuner import Outcome, run_search

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc"),
]


@pytest.fixture
def space(tiny_config: Callable[..., dict[str, Any]]) -> SearchSpace:
    """Two learning rates, without dropout: each process draws its own."""
    config = tiny_config(
        encoder={"dropout": 0.0, "attention_dropout": 0.0},
        tasks={"similarity": {"kind": "pair_regression", "data": "stsb", "head": {"dropout": 0.0}}},
        training={"precision": "fp32", "epochs": 3},
        optimizer={"name": "adamw", "lr": {"choice": [1e-3, 3e-3]}},
        search={"algorithm": {"name": "grid"}, "scheduler": {"name": "none"}},
        resources={"workers": 2, "cpus": 1},
    )
    return load_space(config)


@pytest.fixture
def run(tiny_data: Path, tmp_path: Path) -> Callable[..., Outcome]:
    def search(space: SearchSpace, folder: str = "run", **settings: Any) -> Outcome:
        return run_search(space, tmp_path / folder, data_root=tiny_data, **settings)

    return search


def ranks_alive() -> list[int]:
    """The processes of trials among those that this one has started, or they."""
    parents, found = dict[int, int](), []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if b"mtsearch.search.rank" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it has just ended
                continue

    def is_ours(process: int | None) -> bool:
        return process is not None and (process == os.getpid() or is_ours(parents.get(process)))

    return sorted(filter(is_ours, found))


def wait_until_none_is_left() -> None:
    deadline = time.monotonic() + 300
    while ranks_alive():
        assert time.monotonic() < deadline
        time.sleep(0.2)


class AtFirstReport:
    """An observer that does something as soon as a trial has reported."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._is_done = False

    def on_event(self, event: Event, state: RunState) -> None:
        if isinstance(event, Reported) and not self._is_done:
            self._is_done = True
            self._act()


def scores(folder: Path) -> dict[str, dict[int, float]]:
    return {trial_id: trial.scores for trial_id, trial in fold(read_events(folder)).trials.items()}


def test_a_search_comes_through_ctrl_c_and_a_dead_process_to_the_numbers_of_one_worker(
    space: SearchSpace, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    interrupted = run(space, observer=AtFirstReport(lambda: signal.raise_signal(signal.SIGINT)))
    assert interrupted.counts == {"interrupted": 1}
    wait_until_none_is_left()

    outcome = run(space, observer=AtFirstReport(lambda: os.kill(ranks_alive()[-1], signal.SIGKILL)))
    assert outcome.counts == {"completed": 2}
    (retried,) = (event for event in read_events(tmp_path / "run") if isinstance(event, Retried))
    assert retried.reason == "its process 2 of 2 was killed by SIGKILL"
    wait_until_none_is_left()

    of_each = Repeated.of(tmp_path / "run", "t0000").config["resources"]
    assert of_each == {"cpus": 1, "gpus": 0, "workers": 2}

    run(replace(space, resources=Resources()), "alone")
    alone, together = scores(tmp_path / "alone"), scores(tmp_path / "run")
    assert together.keys() == alone.keys() == {"t0000", "t0001"}
    for trial_id, expected in alone.items():
        assert together[trial_id] == pytest.approx(expected, abs=2e-4)


def test_training_in_this_process_has_workers_too_and_ctrl_c_leaves_none(
    space: SearchSpace, run: Callable[..., Outcome]
) -> None:
    observer = AtFirstReport(lambda: signal.raise_signal(signal.SIGINT))
    outcome = run(space, in_process=True, observer=observer)
    assert (outcome.counts, outcome.is_finished) == ({"interrupted": 1}, False)
    assert ranks_alive() == []


def test_workers_that_no_machine_has_room_for_are_refused_before_anything_starts(
    space: SearchSpace, run: Callable[..., Outcome]
) -> None:
    with pytest.raises(ResourceError, match=r"asks for 3 cores and 0 GPUs on one machine for its 3 workers together"):
        run(replace(space, resources=Resources(workers=3)))
