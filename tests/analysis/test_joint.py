"""Joint training against single, held to numbers worked by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from mtsearch_analysis.joint import (
    delta_m_table,
    joint_figure,
    joint_pairs,
    joint_table,
    negative_transfer_figure,
    negative_transfer_table,
)
from mtsearch_analysis.load import load_run, load_runs
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import trial_row, write_tables

OBJECTIVE = Objective(task_metrics=("a.accuracy", "b.loss"))


def trial(number: int, scores: dict[str, float], **columns: Any) -> dict[str, Any]:
    """A completed trial with the tasks of ``scores``; other keyword arguments are settings."""
    metrics = {"a": "accuracy", "b": "loss"}
    return trial_row(
        number,
        0.5,
        tasks="+".join(scores),
        **{f"best/{task}.{metrics[task]}": score for task, score in scores.items()},
        **{f"config/tasks.{task}.kind": "tagging" for task in scores},
        **{f"config/{name.replace('__', '.')}": value for name, value in columns.items()},
    )


def of_seeds(*scores: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """For each seed a alone, b alone, and both together."""
    return [
        trial(3 * seed + place, given, training__seed=seed)
        for seed, (a, b, a_too, b_too) in enumerate(scores)
        for place, given in enumerate([{"a": a}, {"b": b}, {"a": a_too, "b": b_too}])
    ]


def pairs_of(folder: Path, *rows: dict[str, Any]) -> pd.DataFrame:
    return joint_pairs(load_run(write_tables(folder, list(rows), [], OBJECTIVE)))


def test_a_gain_has_the_metric_s_direction(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, *of_seeds((0.5, 2.0, 0.625, 2.5)))
    assert pairs[["task", "metric", "alone", "together", "gain", "relative_gain"]].to_numpy().tolist() == [
        ["a", "accuracy", 0.5, 0.625, 0.125, 0.25],
        ["b", "loss", 2.0, 2.5, -0.5, -0.25],
    ]
    assert set(pairs["tasks"]) == {"a+b"}
    assert set(pairs["trial_id"]) == {"t0002"}


def test_trials_pair_by_seed_also_across_runs_but_not_with_other_settings(tmp_path: Path) -> None:
    single = [trial(i, {"a": 0.5 + i / 8}, training__seed=i, lr=0.1, epochs=3, name="single") for i in range(2)]
    other = trial(2, {"a": 0.25}, training__seed=0, lr=0.2, epochs=3, name="single")
    joint = [
        trial(i, {"a": 0.75, "b": 1.0}, training__seed=i, lr=0.1, epochs=9, name="joint", tasks__b__weight=i)
        for i in range(2)
    ]
    runs = load_runs(
        [
            write_tables(tmp_path / "single", [*single, other], [], Objective(task_metrics=("a.accuracy",))),
            write_tables(tmp_path / "joint", joint, [], OBJECTIVE),
        ]
    )
    assert joint_pairs(runs).empty  # they differ in epochs
    pairs = joint_pairs(runs, ignoring=["epochs"])
    assert pairs[["run", "seed", "task", "alone", "together"]].to_numpy().tolist() == [
        ["joint", 7, "a", 0.5, 0.75],
        ["joint", 7, "a", 0.625, 0.75],
    ]


def test_the_test_is_the_paired_t_test_with_holm_s_correction(tmp_path: Path) -> None:
    scores = [(0.5, 2.0, 0.6, 2.1), (0.52, 2.1, 0.64, 2.0), (0.54, 2.2, 0.62, 2.25), (0.5, 2.0, 0.61, 2.0)]
    table = joint_table(pairs_of(tmp_path, *of_seeds(*scores)))
    a_alone, b_alone, a_too, b_too = zip(*scores, strict=True)
    expected = [stats.ttest_rel(a_too, a_alone), stats.ttest_rel(b_alone, b_too)]
    assert table["p"].tolist() == pytest.approx([test.pvalue for test in expected])
    # Of two tests the smaller p counts twice, and the larger one is no smaller than that.
    assert table["p_holm"].tolist() == pytest.approx([2 * expected[0].pvalue, expected[1].pvalue])
    interval = expected[0].confidence_interval()
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([interval.low, interval.high])
    assert table["verdict"].tolist() == ["helps", "within noise"]
    assert table["num_pairs"].tolist() == [4, 4]


def test_one_pair_says_nothing_of_the_noise(tmp_path: Path) -> None:
    table = joint_table(pairs_of(tmp_path, *of_seeds((0.5, 2.0, 0.6, 2.1))))
    assert table["verdict"].tolist() == ["unknown", "unknown"]
    assert table["p_holm"].isna().all()
    assert joint_figure(table).data[0].error_x.array.tolist() == [0.0, 0.0]


def test_delta_m_is_the_mean_relative_gain_of_the_tasks(tmp_path: Path) -> None:
    # By hand: a gains 25% and b, a loss, loses 25%; then 50% and nothing.
    table = delta_m_table(pairs_of(tmp_path, *of_seeds((0.5, 2.0, 0.625, 2.5), (0.5, 2.0, 0.75, 2.0))))
    row = table.iloc[0]
    assert (row["tasks"], row["num_trials"], row["delta_m"]) == ("a+b", 2, 0.125)
    assert (row["low"], row["high"]) == (pytest.approx(0.125 - 12.7062 * 0.125), pytest.approx(0.125 + 12.7062 * 0.125))


def test_delta_m_counts_only_trials_with_all_their_tasks_paired(tmp_path: Path) -> None:
    rows = [trial(0, {"a": 0.5}), trial(1, {"a": 0.75, "b": 1.0})]
    row = delta_m_table(pairs_of(tmp_path, *rows)).iloc[0]
    assert row["num_trials"] == 0
    assert math.isnan(row["delta_m"])


def test_a_score_of_nothing_alone_has_no_relative_gain(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, trial(0, {"a": 0.0}), trial(1, {"a": 0.5, "b": 1.0}))
    assert pairs["gain"].tolist() == [0.5]
    assert pairs["relative_gain"].isna().all()


def test_negative_transfer_is_told_of_sets_of_two_in_both_directions(tmp_path: Path) -> None:
    metrics = ("a.accuracy", "b.accuracy", "c.accuracy")
    scores = {"a": (0.5,), "b": (0.5,), "c": (0.5,), "a+b": (0.6, 0.4), "a+c": (0.5, 0.75), "a+b+c": (0.1, 0.1, 0.1)}
    rows = [
        trial_row(
            i,
            0.5,
            tasks=tasks,
            **{f"best/{task}.accuracy": score for task, score in zip(tasks.split("+"), given, strict=True)},
        )
        for i, (tasks, given) in enumerate(scores.items())
    ]
    run = load_run(write_tables(tmp_path, rows, [], Objective(task_metrics=metrics)))
    table = negative_transfer_table(joint_pairs(run))
    found = {(row["task"], row["beside"]): row["relative_gain"] for row in table.to_dict("records")}
    assert found == {
        ("a", "b"): pytest.approx(0.2),
        ("b", "a"): pytest.approx(-0.2),
        ("a", "c"): pytest.approx(0.0),
        ("c", "a"): pytest.approx(0.5),
    }
    drawn = negative_transfer_figure(table).data[0]
    assert list(drawn.x) == list(drawn.y) == ["a", "b", "c"]
    assert drawn.z[1][0] == pytest.approx(-20)  # b beside a, in percent
    assert math.isnan(drawn.z[1][2])
    assert (drawn.zmin, drawn.zmax) == (pytest.approx(-50), pytest.approx(50))


def test_the_figure_has_a_colour_for_each_set_and_an_interval_where_there_is_one(tmp_path: Path) -> None:
    table = joint_table(pairs_of(tmp_path, *of_seeds((0.5, 2.0, 0.6, 2.1), (0.5, 2.0, 0.7, 2.0))))
    (trace,) = joint_figure(table).data
    assert trace.name == "a+b"
    assert list(trace.x) == pytest.approx([0.15, -0.05])
    assert trace.error_x.array[0] == pytest.approx(table.loc[0, "high"] - 0.15)


def test_without_a_pair_everything_is_empty_and_the_figures_say_so(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, trial(0, {"a": 0.5}), trial(1, {"b": 0.5}))
    assert pairs.empty
    assert joint_table(pairs).empty
    assert delta_m_table(pairs).empty
    assert "No task was trained both" in joint_figure(joint_table(pairs)).layout.annotations[0].text
    drawn = negative_transfer_figure(negative_transfer_table(pairs))
    assert "No two tasks" in drawn.layout.annotations[0].text
