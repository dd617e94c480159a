"""Real searches through the command line, to which what happens on clusters happens: see docs/RELIABILITY.md."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch.errors import RunError
from mtsearch.search.events import EVENTS, EventLog, Reported, Retrained, Retried, Started, Stopped, Warned, read_events
from mtsearch.search.proposals import JOURNAL
from mtsearch.search.state import fold
from tests.end_to_end.faulty import (
    PLUGIN,
    SEARCH,
    Search,
    assert_no_evaluation_was_repeated,
    assert_same_tables,
    assert_sound,
    reports,
    write_space,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

Begin = Callable[..., Search]


@pytest.fixture(scope="module")
def config(tiny_config: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    plugin = tmp_path_factory.mktemp("plugin") / "faulty_plugin.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    return tiny_config(plugins=[str(plugin)])


@pytest.fixture
def begin(tiny_data: Path, tmp_path: Path) -> Iterator[Begin]:
    """``begin(space)`` runs it in ``runs``; what is left of it at the end is killed."""
    searches: list[Search] = []

    def start(space: Path, *options: object, runs: Path = tmp_path / "runs", **settings: Any) -> Search:
        search = Search("run", space, "--data", tiny_data, "--runs", runs, *options, faults=space.parent, **settings)
        searches.append(search)
        return search

    yield start
    for search in searches:
        search.end()


@pytest.fixture(scope="module")
def undisturbed(config: dict[str, Any], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run folder of the grid, to which nothing happens but what its configs bring, and what was said."""
    place = tmp_path_factory.mktemp("undisturbed")
    space = write_space(place / "space.yaml", config)
    search = Search("run", space, "--data", tiny_data, "--runs", place / "runs", faults=place, seconds=0)
    try:
        assert search.wait() == 0, search.said
        assert search.left_behind() == []
    finally:
        search.end()
    return place / "runs" / "tiny", search.said


def test_memory_that_runs_out_and_configs_that_do_not_work_end_no_search(undisturbed: tuple[Path, str]) -> None:
    folder, said = undisturbed
    trials = pd.read_parquet(folder / "trials.parquet").set_index("config/tasks.mood.bears")
    assert trials["status"].groupby(level=0).unique().map(list).to_dict() == {
        100: ["completed"],
        4: ["completed"],
        1: ["infeasible"],
        0: ["failed"],
    }
    assert trials.loc[100, "micro_batch_size"].isna().all()
    assert (trials.loc[[4, 1], "micro_batch_size"] == 4).all()
    assert (trials.loc[[100, 0], "attempts"] == 1).all()  # a fault of its own is never tried again
    assert (trials.loc[[4, 1], "attempts"] == 2).all()
    assert trials.loc[4, "stop_reason"].str.contains("tried again after: out of memory: MemoryError", regex=False).all()
    assert trials.loc[1, "stop_reason"].str.startswith("with 4 examples in a forward pass it ran out of memory").all()
    assert trials.loc[0, "stop_reason"].str.startswith("ValueError: this configuration does not work").all()
    assert_sound(folder)
    assert "Traceback" not in said


def test_a_driver_that_is_killed_stopped_and_interrupted_again_and_again_comes_to_the_same_numbers(
    begin: Begin, config: dict[str, Any], undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    space, folder = write_space(tmp_path / "space.yaml", config), tmp_path / "runs" / "tiny"

    killed = begin(space)
    killed.wait_for(folder, lambda events: reports(events) >= 2)
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert killed.left_behind(but_agents=True) == []

    with (folder / EVENTS).open("ab") as file:  # a line that it was about to write, and the journal's
        file.write(b'{"event":"reported","time":17')
    with (folder / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"worker')

    stopped = begin(space, seconds=1)
    stopped.wait_for(folder, lambda events: reports(events) >= 2)
    with pytest.raises(
        RunError, match=f"one driver at a time may run this, but another .process {stopped.process.pid}"
    ):
        EventLog(folder)
    stopped.signal(signal.SIGTERM)
    assert stopped.wait() == 130
    assert "stopped by SIGTERM" in stopped.said
    assert stopped.left_behind() == []

    interrupted = begin(space)
    interrupted.wait_for(folder, lambda events: reports(events) >= 2)
    interrupted.signal(signal.SIGINT)
    assert interrupted.wait() == 130
    assert "takes it up where it stopped" in interrupted.said
    assert interrupted.left_behind() == []

    impatient = begin(space, seconds=2)
    impatient.wait_for(folder, lambda events: any(isinstance(event, Started) for event in events))
    impatient.signal(signal.SIGINT)
    impatient.wait_until_said("once more ends at once")  # two that are pending at once are one
    impatient.signal(signal.SIGINT)
    assert impatient.wait() != 0
    assert impatient.left_behind() == []

    last = begin(space)
    assert last.wait() == 0, last.said
    assert last.left_behind() == []
    assert killed.left_behind(600) == []
    for search in (killed, stopped, interrupted, impatient, last):
        assert "Traceback" not in search.said, search.said
    assert_same_tables(folder, undisturbed[0])
    assert_sound(folder)
    assert_no_evaluation_was_repeated(folder)


def test_a_worker_that_dies_one_that_hangs_and_storage_that_fails_cost_no_trial_and_no_number(
    begin: Begin, config: dict[str, Any], undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    # long enough for a worker to start on a busy machine
    space = write_space(tmp_path / "space.yaml", config, search={**SEARCH, "hang_limit": "60s"})
    folder = tmp_path / "runs" / "tiny"
    for fault in ("death", "stale", "hang"):
        (tmp_path / fault).touch()
    search = begin(space)
    assert search.wait() == 0, search.said
    assert search.left_behind() == []
    assert "Traceback" not in search.said
    retried = [event.reason for event in read_events(folder) if isinstance(event, Retried)]
    for reason in ("its worker died: ", "Stale file handle", "and was killed (search.hang_limit: 60 s)"):
        assert sum(reason in each for each in retried) == 1, retried
    assert_same_tables(folder, undisturbed[0])
    assert_sound(folder)
    assert_no_evaluation_was_repeated(folder)


def test_the_winner_s_own_training_that_hangs_and_a_replication_that_dies_are_tried_again(
    begin: Begin, config: dict[str, Any], tmp_path: Path
) -> None:
    search = {
        "trials": 1,
        "scheduler": {"name": "none"},
        "algorithm": {"name": "random"},
        "retrain_best": True,
        "replicate": {"top": 1, "seeds": 1, "singles": False},
        "hang_limit": "60s",
    }
    task = {"kind": "classification", "data": "sst5", "metrics": ["accuracy", "suffering"]}
    optimizer = {"name": "adamw", "lr": {"loguniform": [1e-3, 1e-2]}}
    space = write_space(tmp_path / "space.yaml", config, tasks={"mood": task}, optimizer=optimizer, search=search)
    folder = tmp_path / "runs" / "tiny"
    begun = begin(space, seconds=1)
    for kind, fault in ((Stopped, "hang"), (Retrained, "death")):
        begun.wait_for(folder, lambda events, kind=kind: any(isinstance(event, kind) for event in events))  # type: ignore[misc]
        (tmp_path / fault).touch()
    assert begun.wait() == 0, begun.said
    assert begun.left_behind() == []
    warned = [event.text for event in read_events(folder) if isinstance(event, Warned)]
    assert len(warned) == 2, warned
    assert warned[0].startswith("training the winner t0000 once more: its worker said nothing for ")
    assert " with seed 101: its worker died: " in warned[1]
    assert all(text in begun.said for text in warned)
    assert set(pd.read_parquet(folder / "replications.parquet")["status"]) == {"completed"}


def test_a_full_disk_is_one_line_and_the_search_goes_on_when_there_is_room(
    begin: Begin, config: dict[str, Any], undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system of a size of its own can be mounted here: {mounted.stderr.strip()}")
    try:
        space, folder = write_space(tmp_path / "space.yaml", config), disk / "tiny"
        full = begin(space, runs=disk)
        assert full.wait() == 2
        assert full.left_behind() == []
        assert "Traceback" not in full.said, full.said
        assert "space left on device" in full.said
        assert "the same command goes on" in full.said
        assert "failed" not in {trial.status for trial in fold(read_events(folder)).trials.values() if trial.scores}
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        again = begin(space, runs=disk)
        assert again.wait() == 0, again.said
        assert_same_tables(folder, undisturbed[0])
        assert_sound(folder)
        assert_no_evaluation_was_repeated(folder)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_with_tpe_and_asha_every_trial_is_run_once_whatever_dies(
    begin: Begin, config: dict[str, Any], tmp_path: Path
) -> None:
    search = {
        **SEARCH,
        "trials": 8,
        "algorithm": {"name": "tpe", "startup_trials": 3},
        "scheduler": {"name": "asha", "grace": 1, "reduction_factor": 2},
    }
    optimizer = {"name": "adamw", "lr": {"loguniform": [1e-4, 1e-2]}}
    space = write_space(tmp_path / "space.yaml", config, search=search, optimizer=optimizer)
    folder = tmp_path / "runs" / "tiny"
    first = begin(space)
    first.wait_for(folder, lambda events: reports(events) >= 4)
    first.signal(signal.SIGKILL)
    first.wait()
    assert first.left_behind(but_agents=True) == []
    (tmp_path / "death").touch()
    second = begin(space)
    assert second.wait() == 0, second.said
    assert second.left_behind() == []
    assert first.left_behind(600) == []
    assert_sound(folder)
    assert_no_evaluation_was_repeated(folder)
    state = fold(read_events(folder))
    assert len(state.feasible) == 8
    assert state.rungs is not None
    for trial in state.trials.values():
        if trial.status == "pruned":
            assert trial.evaluation in state.rungs
        if trial.status == "completed":
            assert trial.evaluation == 4
    weights = {path.parts[-5] for path in folder.glob("trials/*/attempt-*/checkpoints/*/model.safetensors")}
    assert weights == {trial.trial_id for trial in state.ranking()[:3]}


def test_a_search_in_which_everything_fails_stops_and_says_why(
    begin: Begin, config: dict[str, Any], tmp_path: Path
) -> None:
    search = {**SEARCH, "algorithm": {"name": "random"}, "trials": 50, "max_failures_in_a_row": 3}
    task = {"kind": "hungry", "data": "sst5", "metrics": ["accuracy"], "bears": 0}
    optimizer = {"name": "adamw", "lr": {"loguniform": [1e-4, 1e-2]}}
    space = write_space(tmp_path / "space.yaml", config, search=search, optimizer=optimizer, tasks={"mood": task})
    failing = begin(space)
    assert failing.wait() == 2
    assert "3 trials in a row failed" in failing.said
    assert "ValueError: this configuration does not work" in failing.said.splitlines()[-1]
    events = list(read_events(tmp_path / "runs" / "tiny"))
    failed = [event for event in events if isinstance(event, Stopped) and event.status == "failed"]
    assert len(failed) == 3
    assert not [event for event in events if isinstance(event, Reported)]
    assert failing.left_behind() == []
    assert os.path.exists(tmp_path / "runs" / "tiny" / "trials.parquet")
