"""A grid over sets of tasks, on the command line, with the real trainer in real workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mtsearch
from mtsearch.search.events import Event, Reported, Suggested, read_events
from mtsearch.search.state import RunState
from mtsearch_analysis import load_run, task_set_table
from tests.end_to_end.conftest import Cli, WriteSpace

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.xdist_group("ray")]

SETS = ["sentiment", "paraphrase", "similarity", "sentiment+paraphrase+similarity"]


@pytest.fixture
def sections(tiny_config: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Of a grid of each task alone, and all three."""
    return {
        "tasks": {"subsets": {"of": tiny_config()["tasks"], "sizes": [1, 3]}},
        "training": {"epochs": 1},
        "search": {"algorithm": {"name": "grid"}, "scheduler": {"name": "none"}, "keep": {"best": 1}},
    }


def test_each_set_of_tasks_is_trained_once_and_each_task_is_compared_with_itself_alone(
    cli: Cli, write_space: WriteSpace, sections: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    space = write_space(**sections)
    said = cli("check", space)
    assert "1 dimension, 4 points" in said.out
    assert "by grid: all 4 points, one trial each" in said.out
    assert "choice [sentiment, paraphrase, similarity" in " ".join(said.out.split())

    said = cli("plan", space, "--data", tiny_data)
    assert said.code == 0, said
    assert "4, of at most 1 evaluations each; all 4 points of the grid" in said.out

    said = cli("run", space, "--data", tiny_data)
    assert said.code == 0, said
    assert "tiny: 1 dimension; all 4 points, for mean_score" in said.out
    assert "stopping    every trial runs to its end" in said.out
    assert "ended       all 4 points of the grid are tried; 4 completed" in said.out
    assert "best        no one trial: their scores are means over different tasks" in said.out
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    start = lines.index("task score alone difference best trial trained with")
    trials = pd.read_parquet(tmp_path / "runs" / "tiny" / "trials.parquet").set_index("tasks")
    assert trials.index.tolist() == SETS
    alone = trials.loc["sentiment", "best/sentiment.accuracy"]
    joint = trials.loc[SETS[-1], "best/sentiment.accuracy"]
    assert lines[start + 1] == f"sentiment.accuracy {alone:.4f} t0000 nothing else"
    assert " ".join(lines[start + 2 : start + 4]).startswith(
        f"{joint:.4f} {alone:.4f} {joint - alone:+.4f} t0003 paraphrase, similarity"
    )
    assert trials["score"].tolist() == trials["best/mean_score"].tolist()
    assert trials["checkpoint"].notna().all()  # the best of each set

    table = task_set_table(load_run(tmp_path / "runs" / "tiny"))
    assert list(zip(table["task"], table["tasks"], table["num_pairs"], strict=True)) == [
        (task, tasks, pairs) for task in SETS[:3] for tasks, pairs in ((task, 0), (SETS[-1], 1))
    ]

    said = cli("evaluate", "runs/tiny", "--split", "dev", "--data", tiny_data)
    assert said.code == 2
    assert "no one is best of all; name one with --trial, such as the best of its tasks: t0000 (sentiment)" in said.err
    said = cli("evaluate", "runs/tiny", "--trial", "t0002", "--split", "dev", "--data", tiny_data)
    assert said.code == 0
    assert "similarity" in said.out

    said = cli("run", space, "--data", tiny_data, "--trials", "+1")
    assert said.code == 2
    assert "its grid has no further point; begin another with --name" in said.err


class _Interrupt:
    """Sends this process SIGINT after a report."""

    def on_event(self, event: Event, state: RunState) -> None:
        if isinstance(event, Reported) and event.trial_id == "t0001":
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_grid_goes_on_with_the_points_that_are_left(
    tiny_config: Callable[..., dict[str, Any]], sections: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    space = tiny_config(**{**sections, "search": {**sections["search"], "trials": 3, "concurrency": 1}})
    first = mtsearch.search(space, data=tiny_data, runs=tmp_path, observer=_Interrupt())
    assert not first.is_finished
    second = mtsearch.search(space, data=tiny_data, runs=tmp_path)
    assert second.reason == "all 3 trials are done"
    last = mtsearch.search(space, data=tiny_data, runs=tmp_path, more_trials=5)
    assert last.reason == "all 4 points of the grid are tried"
    assert last.counts == {"completed": 4}
    assert last.best is None
    assert dict(last.best_of_tasks) == {tasks: f"t{number:04d}" for number, tasks in enumerate(SETS)}
    suggested = [event.params for event in read_events(last.folder) if isinstance(event, Suggested)]
    assert suggested == [{"tasks": tasks} for tasks in SETS]


def test_tpe_searches_sets_of_tasks_that_are_scored_on_the_same_ones(
    cli: Cli, write_space: WriteSpace, sections: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    sets = [["sentiment"], ["sentiment", "similarity"]]
    sections["tasks"]["subsets"] = {"of": sections["tasks"]["subsets"]["of"], "sets": sets}
    del sections["tasks"]["subsets"]["of"]["paraphrase"]
    search = {"trials": 3, "scored_tasks": ["sentiment"], "keep": {"best": 1}}
    search |= {"algorithm": {"name": "tpe", "startup_trials": 1}}
    said = cli("run", write_space(**{**sections, "search": search}), "--data", tiny_data)
    assert said.code == 0, said
    trials = pd.read_parquet(tmp_path / "runs" / "tiny" / "trials.parquet")
    assert set(trials["tasks"]) <= {"sentiment", "sentiment+similarity"}
    assert trials["best/mean_score"].tolist() == trials["best/sentiment.accuracy"].tolist()
    best = trials.sort_values(["score", "examples_seen", "number"], ascending=[False, True, True])["trial_id"].iloc[0]
    assert f"best        {best} with" in said.out
    assert trials["checkpoint"].notna().sum() == 1
