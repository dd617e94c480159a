"""What ``status`` and ``top`` print, held to made-up runs."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from mtsearch.overview import print_status, print_top
from mtsearch.search.status import BestTrial, Budget, OpenTrial, RunStatus
from mtsearch.terminal import Terminal

BEST = BestTrial(
    trial_id="t0003",
    score=0.75,
    epoch=2.0,
    scores={"sentiment.accuracy": 0.5, "mean_score": 0.75},
    params={"optimizer.lr": 1e-4},
    is_admissible=True,
    tasks="sentiment",
)
RUNNING = RunStatus(
    folder=Path("runs/films"),
    looked_at=1000.0,
    presence="running",
    host="node7",
    pid=42,
    since=400.0,
    dashboard="http://127.0.0.1:8265",
    last_event_at=997.0,
    ended=None,
    is_finished=False,
    target=8,
    num_done=3,
    counts={"completed": 1, "pruned": 2, "running": 2},
    seconds=600.0,
    budgets={
        "trials": Budget(3, 8),
        "time": Budget(600.0, 3600.0),
        "gpu_hours": Budget(0.25, 2),
        "examples": Budget(2000, 1000),
        "patience": Budget(1, 5),
        "goal": Budget(0.75, 0.9),
    },
    metric="mean_score",
    best=(BEST,),
    open_trials=(
        OpenTrial("t0004", "running", 1, 2.0, 0.5, 0.625, 940.0, "node8"),
        OpenTrial("t0005", "running", 0, None, None, None, None, None),
    ),
    command="run",
)


def lines(status: RunStatus, data_root: str | None = None) -> list[str]:
    out = io.StringIO()
    print_status(Terminal(file=out, width=120), status, data_root)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def line(status: RunStatus, name: str, data_root: str | None = None) -> str:
    (found,) = [text.removeprefix(f"{name} ") for text in lines(status, data_root) if text.startswith(f"{name} ")]
    return found


def test_a_running_search_shows_its_driver_budgets_best_and_what_runs() -> None:
    shown = lines(RUNNING)
    assert shown[0] == "run runs/films"
    assert shown[1].startswith("driver running: process 42 on node7, since ")
    assert shown[2:] == [
        "dashboard http://127.0.0.1:8265 (from elsewhere: ssh -N -L 8265:127.0.0.1:8265 node7)",
        "last event 3 s ago",
        "trials 3 of 8 done; 1 completed, 2 pruned, 2 running",
        "time 10 min 00 s of 1 h 00 min used, 50 min 00 s left",
        "gpu_hours 0.25 of 2 used, 1.75 left",
        "examples 2,000 of 1,000 used, 0 left",
        "patience 1 of 5 trials in a row without a better score",
        "goal 0.9; the best score is 0.7500",
        "best t0003 with mean_score 0.7500 after epoch 2: sentiment.accuracy 0.5000",
        "trial status epoch score best heard of on",
        "t0004 running 2 0.5000 0.6250 1 min 00 s ago node8",
        "t0005 waiting",
    ]


def test_the_dashboard_is_on_the_cluster_s_head_node() -> None:
    assert line(replace(RUNNING, head="10.0.0.1"), "dashboard").endswith("ssh -N -L 8265:127.0.0.1:8265 10.0.0.1)")


def test_a_driver_that_was_killed_left_its_trials_and_the_command_goes_on() -> None:
    killed = replace(RUNNING, presence="gone", dashboard=None)
    assert line(killed, "driver").startswith("gone without a word, killed or crashed: process 42 on node7")
    assert any(text.startswith("t0004 left running") for text in lines(killed))
    command = "mtsearch run runs/films/resolved.yaml --name films --data 'my data' takes it up where it stopped"
    assert line(killed, "go on", "my data") == command


def test_another_folder_of_runs_is_part_of_the_command() -> None:
    there = replace(RUNNING, presence="gone", folder=Path("elsewhere/films"), command="train")
    assert line(there, "go on").startswith(
        "mtsearch train elsewhere/films/resolved.yaml --name films --runs elsewhere takes"
    )


def test_a_finished_search_can_be_extended_and_a_training_cannot() -> None:
    finished = replace(RUNNING, presence="gone", ended="all 8 trials are done", is_finished=True, open_trials=())
    assert line(finished, "ended") == "all 8 trials are done"
    assert line(finished, "go on").endswith("--name films --trials +N adds trials")
    assert not any(text.startswith("go on") for text in lines(replace(finished, command="train")))


def test_what_is_not_seen_is_not_said() -> None:
    unseen = line(replace(RUNNING, presence="unknown"), "driver")
    assert unseen.startswith("not seen: process 42 on node7")
    assert unseen.endswith("whether it runs is not seen from this machine")


@pytest.mark.parametrize(
    ("presence", "driver"),
    [("running", "starting: it has not told anything yet"), ("gone", "none; nothing was ever told")],
)
def test_a_run_without_events_says_so(presence: Any, driver: str) -> None:
    empty = replace(
        RUNNING, presence=presence, host=None, since=None, dashboard=None, last_event_at=None, best=(), open_trials=()
    )
    assert lines(empty) == ["run runs/films", f"driver {driver}", "events none yet: no trial has been suggested"]


def test_a_best_trial_that_breaks_a_constraint_is_said_to() -> None:
    broken = replace(RUNNING, best=(replace(BEST, is_admissible=False),))
    assert line(broken, "best").endswith("; it does not meet the constraints, but none does")


def test_of_sets_of_tasks_that_are_not_compared_each_has_its_best() -> None:
    apart = replace(RUNNING, best=(BEST, *(replace(BEST, trial_id=f"t{i:04d}", tasks=f"a+b{i}") for i in range(9))))
    shown = [text for text in lines(apart) if text.startswith("best ")]
    assert shown[0].startswith("best t0003 of sentiment with")
    assert shown[-1] == "best .. and 2 more sets of tasks"


ROWS = [
    {
        "rank": rank,
        "trial_id": f"t{rank:04d}",
        "status": "completed",
        "score": 1 / rank,
        "best/epoch": 2.0,
        "best/a.accuracy": 0.5,
        "best/b.f1": math.nan,
        "config/optimizer.lr": 1e-4,
        "config/optimizer.rho": None,
    }
    for rank in (1, 2)
]


def top(metric: str, **console: Any) -> list[str]:
    out = io.StringIO()
    print_top(
        Terminal(file=out, **console),
        ROWS,
        metric,
        ("a.accuracy", "b.f1"),
        ("config/optimizer.lr", "config/optimizer.rho"),
    )
    plain = Text.from_ansi(out.getvalue()).plain
    return [" ".join(text.split()) for text in plain.splitlines()]


def test_the_best_trials_are_a_table_that_a_file_gets_whole() -> None:
    assert top("mean_score", width=20) == [
        "# trial status epoch mean_score a.accuracy b.f1 optimizer.lr optimizer.rho",
        "1 t0001 completed 2 1.0000 0.5000 0.0001",
        "2 t0002 completed 2 0.5000 0.5000 0.0001",
    ]


def test_another_metric_stands_first_and_once() -> None:
    assert top("a.accuracy", width=200)[0].startswith("# trial status epoch a.accuracy b.f1 optimizer.lr")


@pytest.mark.parametrize(
    ("width", "columns", "left_out"),
    [
        (60, "# trial status epoch mean_score a.accuracy b.f1", "2 more columns"),
        (59, "# trial status epoch mean_score a.accuracy b.f1", "2 more columns"),
        (50, "# trial status epoch mean_score a.accuracy", "3 more columns"),
        (40, "# trial status epoch mean_score", "4 more columns"),
        (70, "# trial status epoch mean_score a.accuracy b.f1 optimizer.lr", "1 more column"),
    ],
)
def test_a_narrow_terminal_leaves_out_whole_columns_and_says_so(width: int, columns: str, left_out: str) -> None:
    shown = top("mean_score", width=width, force_terminal=True)
    assert shown[0] == columns
    assert shown[1].startswith("1 t0001 completed 2 1.0000")
    assert shown[-1] == f"left out {left_out}; a wider terminal, or a file, has them"
