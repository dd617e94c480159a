"""Each task's difference to the task alone, held to numbers worked by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from mtsearch_analysis.task_sets import task_set_table
from tests.analysis.run_folders import trial_row, write_tables

OBJECTIVE = Objective(task_metrics=("a.accuracy", "b.f1"))


def trial(number: int, scores: dict[str, float], **columns: Any) -> dict[str, Any]:
    """A completed trial with the tasks of ``scores``; other keyword arguments are columns of the config."""
    metrics = {"a": "accuracy", "b": "f1"}
    return trial_row(
        number,
        sum(scores.values()) / len(scores),
        status=columns.pop("status", "completed"),
        tasks="+".join(scores),
        **{f"best/{task}.{metrics[task]}": score for task, score in scores.items()},
        **{f"config/tasks.{task}.kind": "tagging" for task in scores},
        **{f"config/{name.replace('__', '.')}": value for name, value in columns.items()},
    )


def table_of(folder: Path, *rows: dict[str, Any]) -> pd.DataFrame:
    return task_set_table(run_of(folder, *rows))


def run_of(folder: Path, *rows: dict[str, Any]) -> Run:
    return load_run(write_tables(folder, list(rows), [], OBJECTIVE))


def row_of(table: pd.DataFrame, task: str, tasks: str) -> dict[str, Any]:
    (row,) = table[(table["task"] == task) & (table["tasks"] == tasks)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_a_task_is_compared_with_itself_alone(tmp_path: Path) -> None:
    table = table_of(tmp_path, trial(0, {"a": 0.5}), trial(1, {"b": 0.75}), trial(2, {"a": 0.625, "b": 0.5}))
    assert list(zip(table["task"], table["metric"], table["tasks"], table["score"], strict=True)) == [
        ("a", "accuracy", "a", 0.5),
        ("a", "accuracy", "a+b", 0.625),
        ("b", "f1", "b", 0.75),
        ("b", "f1", "a+b", 0.5),
    ]
    assert table["difference"].fillna(99).tolist() == [99, 0.125, 99, -0.25]
    assert table["num_pairs"].tolist() == [0, 1, 0, 1]
    joint = row_of(table, "b", "a+b")
    assert (joint["alone"], joint["num_trials"], joint["best_trial"]) == (0.75, 1, "t0002")
    assert math.isnan(joint["low"])
    assert math.isnan(joint["high"])


def test_several_pairs_have_a_mean_and_a_t_interval(tmp_path: Path) -> None:
    rows = []
    for i, (alone, joint) in enumerate([(0.50, 0.60), (0.52, 0.64), (0.54, 0.62)]):
        rows += [trial(2 * i, {"a": alone}, lr=i / 10), trial(2 * i + 1, {"a": joint, "b": 0.5}, lr=i / 10)]
    joint = row_of(table_of(tmp_path, *rows), "a", "a+b")
    # Differences 0.10, 0.12, 0.08: mean 0.10, deviation 0.02, and t of 2 degrees of freedom at 97.5% is 4.302653.
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert joint["num_pairs"] == 3
    assert (joint["alone"], joint["score"]) == (pytest.approx(0.52), pytest.approx(0.62))
    assert joint["difference"] == pytest.approx(0.10)
    assert (joint["low"], joint["high"]) == (pytest.approx(0.10 - half), pytest.approx(0.10 + half))
    assert joint["best_trial"] == "t0003"


def test_the_interval_is_that_of_a_paired_t_test(tmp_path: Path) -> None:
    alone, joint = [0.5, 0.7, 0.4, 0.9], [0.6, 0.65, 0.55, 0.95]
    rows = [trial(i, {"a": score}, lr=i) for i, score in enumerate(alone)]
    rows += [trial(4 + i, {"a": score, "b": 0.5}, lr=i) for i, score in enumerate(joint)]
    run = run_of(tmp_path, *rows)
    for confidence in (0.8, 0.95):
        row = row_of(task_set_table(run, confidence), "a", "a+b")
        expected = stats.ttest_rel(joint, alone).confidence_interval(confidence)
        assert (row["low"], row["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_only_trials_with_equal_settings_are_paired_but_other_tasks_settings_do_not_count(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        trial(0, {"a": 0.5}, lr=0.1, tasks__a__weight=1.0),
        trial(1, {"a": 0.6}, lr=0.2, tasks__a__weight=1.0),
        trial(2, {"a": 0.75, "b": 0.5}, lr=0.1, tasks__a__weight=1.0, tasks__b__weight=3.0),
        trial(3, {"a": 0.80, "b": 0.5}, lr=0.1, tasks__a__weight=2.0, tasks__b__weight=3.0),
        trial(4, {"a": 0.85, "b": 0.5}, lr=0.3, tasks__a__weight=1.0, tasks__b__weight=3.0),
        trial(5, {"b": 0.25}, lr=0.1, tasks__b__weight=3.0),
    )
    a, b = row_of(table, "a", "a+b"), row_of(table, "b", "a+b")
    assert (a["num_trials"], a["num_pairs"], a["difference"], a["alone"]) == (3, 1, 0.25, 0.5)
    assert a["score"] == pytest.approx(0.8)
    assert (b["num_pairs"], b["difference"]) == (2, 0.25)  # its own weight and the learning rate are the same


def test_a_setting_that_is_null_equals_another_null(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        trial(0, {"a": 0.5}, dropout=None),
        trial(1, {"a": 0.25}, dropout=0.1),
        trial(2, {"a": 0.75, "b": 0.5}, dropout=None),
    )
    assert row_of(table, "a", "a+b")["difference"] == 0.25


def test_equal_trials_of_the_task_alone_stand_together_by_their_mean(tmp_path: Path) -> None:
    table = table_of(tmp_path, trial(0, {"a": 0.25}), trial(1, {"a": 0.75}), trial(2, {"a": 0.75, "b": 0.5}))
    joint = row_of(table, "a", "a+b")
    assert (joint["alone"], joint["difference"], joint["num_pairs"]) == (0.5, 0.25, 1)
    assert row_of(table, "a", "a")["score"] == 0.5


def test_only_completed_trials_count(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        trial(0, {"a": 0.5}),
        trial(1, {"a": 0.9, "b": 0.5}, status="pruned"),
        trial(2, {"a": 0.6, "b": 0.5}),
        trial_row(3, status="infeasible"),
    )
    joint = row_of(table, "a", "a+b")
    assert (joint["num_trials"], joint["score"]) == (1, 0.6)


def test_a_task_that_is_never_alone_has_no_difference(tmp_path: Path) -> None:
    joint = row_of(table_of(tmp_path, trial(0, {"a": 0.5, "b": 0.5})), "a", "a+b")
    assert joint["num_pairs"] == 0
    assert all(math.isnan(joint[name]) for name in ("alone", "difference", "low", "high"))


def test_smaller_sets_come_first_and_then_the_earlier(tmp_path: Path) -> None:
    metrics = ("a.accuracy", "b.accuracy", "c.accuracy")
    rows = [
        trial_row(i, 0.5, tasks=tasks, **{f"best/{task}.accuracy": 0.5 for task in tasks.split("+")})
        for i, tasks in enumerate(["a+b+c", "a+c", "a", "a+b"])
    ]
    run = load_run(write_tables(tmp_path, rows, [], Objective(task_metrics=metrics)))
    table = task_set_table(run)
    assert table.loc[table["task"] == "a", "tasks"].tolist() == ["a", "a+c", "a+b", "a+b+c"]
    assert table.loc[table["task"] == "c", "tasks"].tolist() == ["a+c", "a+b+c"]


def test_a_run_without_completed_trials_has_an_empty_table_with_its_columns(tmp_path: Path) -> None:
    table = table_of(tmp_path, trial(0, {"a": 0.5}, status="running"))
    assert table.empty
    assert list(table.columns)[:3] == ["task", "metric", "tasks"]


def test_a_run_from_before_trials_named_their_tasks_has_an_empty_table(tmp_path: Path) -> None:
    assert table_of(tmp_path, trial_row(0, 0.5, **{"best/a.accuracy": 0.5})).empty


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_share(tmp_path: Path, confidence: float) -> None:
    run = run_of(tmp_path, trial(0, {"a": 0.5}))
    with pytest.raises(ValueError, match=f"0 < confidence < 1 must hold, but got confidence={confidence}"):
        task_set_table(run, confidence)
