"""What a person sees: the live table's parts, held to a made-up search."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from mtsearch.console import Watch, duration, grid_text, measured, number, objective_text, print_outcome, size
from mtsearch.search.events import Event, Reported, RunStarted
from mtsearch.search.state import RunState
from mtsearch.search.tuner import FrontTrial, Outcome
from mtsearch.terminal import Terminal
from tests.search.conftest import Story


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_and_sizes() -> None:
    assert [number(8e-5), number(0.25), number(64), number("plateau")] == ["8e-05", "0.25", "64", "plateau"]
    assert [number(None), number(True)] == ["null", "true"]  # as a space has them
    assert [size(91e6), size(1.2e9)] == ["91 MB", "1.2 GB"]


def follow(watch: Watch, events: list[Event]) -> None:
    state = RunState()
    for event in events:
        state.apply(event)
        watch.on_event(event, state)


def story() -> list[Event]:
    told = Story().begun(trials=3, rungs=(1, 3)).suggested(0, params={"optimizer.lr": 1e-4}).suggested(1).started(0)
    told = told.reported(0, 1, 0.5).started(1).reported(1, 1, 0.25).stopped(1, "pruned")
    return told.reported(0, 2, 0.75).stopped(0, "completed").suggested(2).events


def test_without_a_terminal_each_thing_that_happens_is_one_line() -> None:
    out = io.StringIO()
    with Watch(Terminal(file=out)) as watch:
        follow(watch, story())
    lines = out.getvalue().splitlines()
    assert len(lines) == 8  # three suggestions, three evaluations, two ends
    assert "t0000 suggested: optimizer.lr=0.0001" in lines[0]
    assert "t0000 evaluation 2 (epoch 2): score 0.7500; best of the search 0.7500 (t0000)" in out.getvalue()
    assert "t0001 pruned: because [1 of 3 trials done]" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_what_went_otherwise_than_asked_is_said_once(terminal: bool) -> None:
    out = io.StringIO()
    events = Story().begun(trials=2).suggested(0).started(0).reported(0, 1, 0.5).reported(0, 2, 0.5).events
    full = {"warnings": ["the disk is full"]}
    told = [replace(e, report={**e.report, **full}) if isinstance(e, Reported) else e for e in events]
    with Watch(Terminal(file=out, force_terminal=terminal, width=160)) as watch:
        follow(watch, told)
    assert out.getvalue().count("warning: t0000: the disk is full") == 1


def test_a_terminal_shows_progress_best_rungs_and_rows() -> None:
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, width=160)
    with Watch(console) as watch:
        follow(watch, story())
    shown = out.getvalue()
    for part in ("2 of 3 trials done", "1 open", "to go", "best 0.7500 (t0000)", "past the rungs: 1 at 1, 0 at 3"):
        assert part in shown
    assert shown.index("best 0.7500") < shown.index("pruned")


def test_a_narrow_terminal_shows_whole_columns_alone() -> None:
    params = {"optimizer.weight_decay": 0.125, "encoder.attention_dropout": 0.25}
    told = Story().begun(trials=1).suggested(0, params=params).started(0).reported(0, 1, 0.5).events
    out = io.StringIO()
    with Watch(Terminal(file=out, force_terminal=True, width=70)) as watch:
        follow(watch, told)
    last = Text.from_ansi(out.getvalue().split("1 open")[-1]).plain.splitlines()
    assert "trial  status   epoch    best  sentiment.accuracy  weight_decay" in last
    assert "t0000  running      1  0.5000               0.500         0.125" in last


def sets_of_tasks() -> list[Event]:
    told = Story().begun(trials=3, rungs=None, own_tasks=True)
    for i, (tasks, score) in enumerate([("a", 0.5), ("a+b", 0.75), ("a", 0.25)]):
        told.suggested(i, params={"tasks": tasks}, tasks=tasks).started(i).reported(i, 1, score)
    return told.events


def test_trials_of_other_tasks_are_not_called_better_or_worse() -> None:
    out = io.StringIO()
    with Watch(Terminal(file=out)) as watch:
        follow(watch, sets_of_tasks())
    said = [line.split("] ")[1] for line in out.getvalue().splitlines() if "evaluation" in line]
    assert [line.split("; ")[1] for line in said] == [
        "best of a 0.5000 (t0000)",
        "best of a+b 0.7500 (t0001)",
        "best of a 0.5000 (t0000)",
    ]


def test_a_terminal_shows_the_best_of_each_set_of_tasks() -> None:
    out = io.StringIO()
    with Watch(Terminal(file=out, force_terminal=True, width=160)) as watch:
        follow(watch, sets_of_tasks())
    last = out.getvalue().split("the best of each of 2 sets of tasks")[-1]
    assert [name for name in ("t0000", "t0001", "t0002") if name in last] == ["t0000", "t0001"]
    assert "a+b" in last


@pytest.mark.parametrize(
    ("num_points", "num_trials", "text"),
    [
        (16, 16, "all 16 points"),
        (16, 5, "the first 5 of 16 points"),
        (1, 1, "1 point"),
        (2000, 2000, "all 2,000 points"),
    ],
)
def test_how_much_of_a_grid_is_tried(num_points: int, num_trials: int, text: str) -> None:
    assert grid_text(num_points, num_trials) == text


def test_objectives_are_named_with_their_direction() -> None:
    assert objective_text({"mean_score": "maximize"}) == "mean_score (more is better)"
    assert objective_text({"mean_score": "maximize", "open_heads": "minimize"}) == (
        "mean_score (more is better), open_heads (less is better); the first chooses checkpoints, stops trials and "
        "says which is best"
    )


TRADED = Outcome(
    folder=Path("runs/traded"),
    best="t0004",
    score=0.75,
    scores={"mean_score": 0.75, "open_heads": 0.5},
    params={"pruning.strength": 0.1},
    objectives={"mean_score": "maximize", "open_heads": "minimize"},
    front=(
        FrontTrial("t0004", [0.75, 0.5], {"pruning.strength": 0.1}),
        FrontTrial("t0001", [0.51234, 0.25], {"pruning.strength": 0.5}),
    ),
    checkpoint=None,
    retrained=None,
    counts={"completed": 3, "pruned": 1},
    seconds=60,
    reason="all 4 trials are done",
    is_finished=True,
)


def conclusion(outcome: Outcome, task_sets: Sequence[dict[str, Any]] = ()) -> list[str]:
    out = io.StringIO()
    print_outcome(Terminal(file=out, width=100), outcome, None, "mtsearch run", task_sets)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_a_search_with_several_objectives_ends_with_its_front() -> None:
    lines = conclusion(TRADED)
    start = lines.index("front 2 of 3 completed trials; the column pareto of the table marks them")
    assert lines[start + 1 : start + 4] == [
        "trial mean_score ↑ open_heads ↓ parameters",
        "t0004 0.7500 0.5000 pruning.strength=0.1",
        "t0001 0.5123 0.2500 pruning.strength=0.5",
    ]
    assert lines[start + 4].startswith("table ")


def test_a_long_front_is_cut_and_an_empty_one_is_said() -> None:
    many = tuple(FrontTrial(f"t{number:04d}", [0.5, 1.0], {}) for number in range(20))
    lines = conclusion(replace(TRADED, front=many))
    assert sum(line.startswith("t00") for line in lines) == 16
    assert ".." in lines
    empty = conclusion(replace(TRADED, front=(), counts={"pruned": 1}))
    assert "front 0 of 0 completed trials; the column pareto of the table marks them" in empty
    assert not any("open_heads ↓" in line for line in empty)


def test_one_objective_has_no_front() -> None:
    single = replace(TRADED, objectives={"mean_score": "maximize"}, front=())
    assert not any(line.startswith("front") for line in conclusion(single))


def task_set(
    task: str, tasks: str, score: float, pairs: tuple[int, float, float, float] | None = None
) -> dict[str, Any]:
    """A row; ``pairs`` are how many, the score alone, the difference and half its interval."""
    num_pairs, alone, difference, half = pairs or (0, math.nan, math.nan, math.nan)
    row = {"task": task, "metric": "accuracy", "tasks": tasks, "num_trials": 1, "score": score, "best_trial": "t0009"}
    return {
        **row,
        "num_pairs": num_pairs,
        "alone": alone,
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
    }


ROWS = [
    task_set("a", "a", 0.5),
    task_set("a", "a+b", 0.625, (3, 0.5, 0.125, 0.01)),
    task_set("b", "b", 0.75),
    task_set("b", "a+b", 0.5, (1, 0.75, -0.25, math.nan)),
]


def test_sets_of_tasks_are_compared_task_by_task_and_no_trial_is_called_best() -> None:
    apart = replace(
        TRADED, objectives={"mean_score": "maximize"}, front=(), best=None, score=None, scores={}, params={}
    )
    lines = conclusion(replace(apart, best_of_tasks={"a": "t0000", "b": "t0001", "a+b": "t0002"}), ROWS)
    assert "best no one trial: their scores are means over different tasks, which are compared one by one" in lines
    assert "score it mtsearch evaluate runs/traded --trial t0000" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("by task"))
    assert lines[start + 1 : start + 6] == [
        "task score alone difference best trial trained with",
        "a.accuracy 0.5000 t0009 nothing else",
        "0.6250 0.5000 +0.1250 ± 0.0100 (3) t0009 b",
        "b.accuracy 0.7500 t0009 nothing else",
        "0.5000 0.7500 -0.2500 t0009 a",
    ]
    assert lines[start + 6].startswith("table ")


def test_one_set_of_tasks_is_not_compared_with_itself() -> None:
    assert not any(line.startswith("by task") for line in conclusion(TRADED, ROWS[:1]))


def test_many_sets_of_tasks_are_cut() -> None:
    lines = conclusion(TRADED, ROWS * 20)
    assert sum("t0009" in line for line in lines) == 64
    assert ".." in lines


def test_scores_have_four_places_and_costs_are_whole() -> None:
    assert [measured(value) for value in (0.82494, -0.1, 153.2, 22_863_366.0)] == [
        "0.8249",
        "-0.1000",
        "153.2000",
        "22,863,366",
    ]


def test_a_dashboard_on_the_loopback_device_is_told_with_its_tunnel() -> None:
    (begun,) = Story().begun().events
    assert isinstance(begun, RunStarted)
    for head, host in ((None, begun.host), ("10.0.0.1", "10.0.0.1")):
        out = io.StringIO()
        with Watch(Terminal(file=out, width=200)) as watch:
            follow(watch, [replace(begun, dashboard="http://127.0.0.1:8265", head=head)])
        assert f"http://127.0.0.1:8265 (from elsewhere: ssh -N -L 8265:127.0.0.1:8265 {host})" in out.getvalue()
    with Watch(Terminal(file=(out := io.StringIO()), width=200)) as watch:
        follow(watch, [replace(begun, dashboard="http://10.0.0.1:8265")])
    assert out.getvalue().strip() == "Ray's dashboard, while this runs: http://10.0.0.1:8265"


@pytest.mark.parametrize(
    ("dashboard", "host"),
    [
        ("http://127.0.0.1:8265", "-oProxyCommand=touch${IFS}x"),
        ("http://127.0.0.1:8265", "$(touch x)"),
        ("http://$(touch x)@127.0.0.1:8265", "n1"),
        ("http://127.0.0.1:no", "n1"),
    ],
)
def test_no_command_is_made_of_what_is_no_host(dashboard: str, host: str) -> None:
    (begun,) = Story().begun().events
    assert isinstance(begun, RunStarted)
    with Watch(Terminal(file=(out := io.StringIO()), width=200)) as watch:
        follow(watch, [replace(begun, dashboard=dashboard, host=host)])
    assert "ssh" not in out.getvalue()


def test_tasks_that_are_the_same_for_all_trials_are_not_named_at_each_score() -> None:
    out = io.StringIO()
    with Watch(Terminal(file=out)) as watch:
        told = Story().begun(rungs=None, own_tasks=True).suggested(0, tasks="a+b").reported(0, 1, 0.5)
        follow(watch, told.suggested(1, tasks="a+b").reported(1, 1, 0.25).events)
    assert out.getvalue().count("best of the search 0.5000 (t0000)") == 2
