"""Searches as jobs of a real Slurm of two virtual nodes: see docs/RELIABILITY.md."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch.errors import RunError
from mtsearch.search.events import Event, Reported, Retried, RunEnded, RunStarted, Started, read_events
from tests.end_to_end.faulty import PLUGIN, SEARCH, assert_same_tables, assert_sound, write_space
from tests.end_to_end.nodes import Network
from tests.launching.slurm import UNDER_WAY, Slurm, why_no_slurm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(why_no_slurm() is not None, reason=why_no_slurm() or "there can be a Slurm"),
]

Launch = Callable[..., str]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    network = Network("10.78.0")
    slurm = Slurm(network, tmp_path_factory.mktemp("slurm"))
    slurm.wait_for_nodes()
    yield slurm
    slurm.crash()
    network.crash()


@pytest.fixture(scope="module")
def launch(
    slurm: Slurm, tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Launch:
    """``launch(runs, seconds)`` submits a grid of four trials of four evaluations; gives the job's number.

    Each evaluation takes at least so many seconds. What is printed goes to ``launch.said``.
    """
    place = tmp_path_factory.mktemp("space")
    (place / "faulty_plugin.py").write_text(PLUGIN, encoding="utf-8")
    config = tiny_config(plugins=[str(place / "faulty_plugin.py")])
    task = {"kind": "classification", "data": "sst5", "metrics": ["accuracy", "suffering"]}
    optimizer = {"name": "adamw", "lr": {"choice": [1e-3, 2e-3, 3e-3, 4e-3]}}
    space = write_space(place / "space.yaml", config, tasks={"mood": task}, optimizer=optimizer, search=SEARCH)

    def call(runs: Path, seconds: float, *options: str) -> str:
        done = slurm.run(
            *(sys.executable, "-c", "from mtsearch.cli import main; main()", "launch", "slurm", str(space)),
            *("--nodes", "2", "--cpus-per-task", "1", "--data", str(tiny_data), "--runs", str(runs), *options),
            environment={"FAULTS": "/nowhere", "SECONDS": str(seconds), "COLUMNS": "200", "RAY_TMPDIR": "/tmp/ray"},
        )
        assert done.returncode == 0, done.stderr
        said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        return said["job"].partition(";")[0]

    return call


@pytest.fixture(scope="module")
def completed(slurm: Slurm, launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs of a job to which nothing happened; ``mode`` there has the rights of its token's file."""
    runs = tmp_path_factory.mktemp("completed") / "runs"
    job = launch(runs, 0.5)
    token = runs / "slurm" / job / "token"
    until(token.exists, slurm, runs, job)
    (runs / "mode").write_text(oct(stat.S_IMODE(token.stat().st_mode)))
    assert slurm.wait(job) == "COMPLETED", said(runs, job)
    return runs


def said(runs: Path, job: str) -> str:
    return (runs / "slurm" / f"{job}.out").read_text(encoding="utf-8")


def events_of(runs: Path) -> list[Event]:
    with suppress(FileNotFoundError, RunError):
        return list(read_events(runs / "tiny"))
    return []


def until(what: Callable[[], bool], slurm: Slurm, runs: Path, job: str, seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert slurm.state(job) in UNDER_WAY, said(runs, job)
        assert time.monotonic() < end, said(runs, job)
        time.sleep(0.2)


def begin(slurm: Slurm, launch: Launch, runs: Path, seconds: float, *options: str) -> str:
    """A job whose search has told of an evaluation; see ``launch``."""
    job = launch(runs, seconds, *options)
    until(lambda: any(isinstance(event, Reported) for event in events_of(runs)), slurm, runs, job)
    return job


def test_a_job_searches_on_all_of_its_nodes(slurm: Slurm, completed: Path) -> None:
    rows = pd.read_parquet(completed / "tiny" / "trials.parquet")
    assert set(rows["node"]) == {"n1", "n2"}
    assert (rows["status"] == "completed").all()
    assert_sound(completed / "tiny")


def test_a_job_leaves_its_logs_and_nothing_else(slurm: Slurm, completed: Path) -> None:
    (job,) = (path for path in (completed / "slurm").iterdir() if path.is_dir())
    assert {path.name for path in job.iterdir()} == {"n1.log", "n2.log"}
    for node in slurm.nodes.values():
        assert node.run("ls", "/tmp/ray").stdout == ""
        assert "raylet" not in node.run("ps", "-A", "-o", "comm").stdout


def test_the_token_of_a_job_was_its_owners_alone_and_is_gone(completed: Path) -> None:
    assert (completed / "mode").read_text() == "0o600"
    assert not list(completed.rglob("token"))


def test_a_node_that_is_lost_ends_neither_the_job_nor_the_search(
    slurm: Slurm, launch: Launch, completed: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    job = launch(runs, 2)

    def has_reported_from_the_second() -> bool:
        events = events_of(runs)
        there = {event.trial_id for event in events if isinstance(event, Started) and event.node == "n2"}
        return any(isinstance(event, Reported) and event.trial_id in there for event in events)

    until(has_reported_from_the_second, slurm, runs, job)
    slurm.nodes[2].crash()
    try:
        assert slurm.wait(job) == "COMPLETED", said(runs, job)
    finally:
        slurm.revive(2)
    assert sum(isinstance(event, Retried) for event in events_of(runs)) == 1
    assert_same_tables(runs / "tiny", completed / "tiny")
    assert_sound(runs / "tiny")
    slurm.wait_for_nodes()


def test_a_job_that_is_queued_again_goes_on_with_its_search(
    slurm: Slurm, launch: Launch, completed: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    job = begin(slurm, launch, runs, 1)
    assert slurm.run("scontrol", "requeue", job).returncode == 0  # as when it is preempted
    slurm.wait_until_pending(job)
    assert_goes_on(slurm, runs, job, completed)


def test_a_job_that_loses_its_first_node_is_queued_again_and_goes_on(
    slurm: Slurm, launch: Launch, completed: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    job = begin(slurm, launch, runs, 1)
    slurm.nodes[1].crash()  # with the driver
    try:
        slurm.wait_until_pending(job)
    finally:
        slurm.revive(1)
    assert_goes_on(slurm, runs, job, completed)


def assert_goes_on(slurm: Slurm, runs: Path, job: str, completed: Path) -> None:
    """A job that is queued again finishes what it has begun, as if nothing had happened."""
    before = events_of(runs)
    assert slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now").returncode == 0  # else it waits for minutes
    assert slurm.wait(job) == "COMPLETED", said(runs, job)
    after = events_of(runs)
    assert after[: len(before)] == before
    assert sum(isinstance(event, RunStarted) for event in after) == 2
    assert_same_tables(runs / "tiny", completed / "tiny")
    assert_sound(runs / "tiny")


def test_a_job_at_its_time_limit_stops_in_order_and_the_same_command_finishes_the_search(
    slurm: Slurm, launch: Launch, completed: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    begun = time.monotonic()
    job = begin(slurm, launch, runs, 10, "--time", "60", "--notice", "240")
    minutes = int((time.monotonic() - begun) / 60) + 4  # so that notice is due, whenever the search got this far
    assert slurm.run("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}").returncode == 0
    assert slurm.wait(job) == "FAILED", said(runs, job)
    assert "stopped by SIGTERM" in said(runs, job)
    before = events_of(runs)
    (ended,) = (event for event in before if isinstance(event, RunEnded))
    assert not ended.is_finished
    again = launch(runs, 0.2)
    assert slurm.wait(again) == "COMPLETED", said(runs, again)
    assert events_of(runs)[: len(before)] == before
    assert_same_tables(runs / "tiny", completed / "tiny")
    assert_sound(runs / "tiny")
