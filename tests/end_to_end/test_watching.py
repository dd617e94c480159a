"""Looking at runs from the command line: finished ones, those of a killed driver, and what is no run at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtsearch.search.events import EventLog
from tests.end_to_end.conftest import Cli, WriteSpace
from tests.search.conftest import Story


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The folder of a search whose driver was killed, on another machine, long ago."""
    folder = tmp_path / "runs" / "films"
    story = Story().begun(trials=2, rungs=None).suggested(0).started(0).reported(0, 1, 0.5)
    with EventLog(folder) as log:
        for event in story.events:
            log.append(event)
    return folder


def test_a_killed_driver_is_told_and_how_to_go_on(cli: Cli, killed: Path) -> None:
    said = cli("status", "runs/films")
    assert said.code == 0
    assert "driver      gone without a word, killed or crashed: process 1 on here" in said.out
    assert "t0000  left running      1  0.5000  0.5000" in said.out
    assert "go on       mtsearch run runs/films/resolved.yaml --name films takes it up where it stopped" in said.out


def test_status_as_json_has_the_same_in_full(cli: Cli, killed: Path) -> None:
    shown = json.loads(cli("status", killed, "--json").out)
    assert (shown["presence"], shown["counts"], shown["best"][0]["score"]) == ("gone", {"running": 1}, 0.5)


def test_watching_a_run_that_nobody_drives_ends_at_once_and_says_so(cli: Cli, killed: Path) -> None:
    said = cli("watch", killed)
    assert said.code == 0
    assert "0 of 2 trials done" in said.out
    assert "gone without a word" in said.out


def test_stopping_needs_a_driver(cli: Cli, killed: Path) -> None:
    said = cli("stop", killed)
    assert said.code == 2
    assert "stopping needs a driver, but none runs this" in " ".join(said.err.split())


@pytest.mark.parametrize("command", ["status", "watch", "stop", "top"])
def test_what_is_no_run_folder_is_one_line_and_exit_code_2(cli: Cli, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("none", "empty"):
        said = cli(command, folder)
        assert said.code == 2
        assert said.err.startswith("error: ")
        assert "Traceback" not in said.err


def test_the_best_trial_of_a_training_is_listed_by_score_metric_and_task(
    cli: Cli, write_space: WriteSpace, tiny_data: Path
) -> None:
    assert cli("train", write_space(), "--data", tiny_data).code == 0
    header, row = cli("top", "runs/tiny").out.splitlines()
    assert header.split()[:5] == ["#", "trial", "status", "epoch", "mean_score"]
    assert row.split()[:3] == ["1", "t0000", "completed"]
    by_metric = cli("top", "runs/tiny", "--metric", "similarity.pearson").out.splitlines()[0]
    assert by_metric.split()[4] == "similarity.pearson"
    tables = cli("top", "runs/tiny", "--by", "task").out.split("\n\n")
    assert [table.split()[4].split(".")[0] for table in tables] == ["sentiment", "paraphrase", "similarity"]
    wrong = cli("top", "runs/tiny", "--metric", "taste")
    assert (wrong.code, "no metric 'taste'; choose " in wrong.err) == (2, True)
    finished = cli("status", "runs/tiny").out
    assert "ended       the one trial is done" in finished
    assert "go on" not in finished
