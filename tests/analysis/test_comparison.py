from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch_analysis.comparison import anytime_of_runs, anytime_of_runs_figure, comparable_runs, run_table
from mtsearch_analysis.load import Runs, load_runs
from mtsearch_analysis.report_figures import comparison_figures
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import metric_row, trial_row, write_tables


def _runs(folder: Path, values: dict[str, list[float]]) -> Runs:
    """Runs of one trial each that reports a value every 60 seconds."""
    for name, scores in values.items():
        row = trial_row(0, max(scores), seconds=60.0 * len(scores), gpu_seconds=30.0 * len(scores))
        metrics = [metric_row("t0000", i, score) for i, score in enumerate(scores, 1)]
        write_tables(folder / name, [row], metrics)
    return load_runs([folder / name for name in values])


def test_each_run_has_a_row_with_its_best_trial(tmp_path: Path) -> None:
    table = run_table(_runs(tmp_path, {"a": [0.1, 0.4], "b": [0.3]}))
    assert table["run"].tolist() == ["a", "b"]
    assert table["score"].tolist() == [0.4, 0.3]
    assert table["best_trial"].tolist() == ["t0000", "t0000"]
    assert table["gpu_seconds"].tolist() == [60.0, 30.0]


def test_runs_of_a_group_are_averaged_over_the_budget_that_all_have(tmp_path: Path) -> None:
    runs = _runs(tmp_path, {"a": [0.1, 0.5, 0.3], "b": [0.3, 0.2, 0.4, 0.9], "c": [0.7, 0.7]})
    frame = anytime_of_runs(runs, groups={"a": "x", "b": "x", "c": "y"}, num_points=3)
    x = frame[frame["group"] == "x"]
    assert x["seconds"].tolist() == [60.0, 120.0, 180.0]
    assert x["mean"].tolist() == pytest.approx([0.2, 0.4, 0.45])
    assert x["num_runs"].tolist() == [2, 2, 2]
    assert (x["low"].iloc[0], x["high"].iloc[0]) == pytest.approx((0.1, 0.3))
    assert frame.loc[frame["group"] == "y", "low"].isna().all()


def test_gpu_seconds_and_examples_are_budgets_too(tmp_path: Path) -> None:
    runs = _runs(tmp_path, {"a": [0.1, 0.5]})
    assert anytime_of_runs(runs, "gpu_seconds", num_points=2)["gpu_seconds"].tolist() == [30.0, 60.0]
    assert anytime_of_runs(runs, "examples_seen", num_points=2)["examples_seen"].tolist() == [100.0, 200.0]


def test_the_figure_has_a_band_where_there_are_several_runs(tmp_path: Path) -> None:
    runs = _runs(tmp_path, {"a": [0.1, 0.5], "b": [0.2, 0.3], "c": [0.7, 0.7]})
    figure = anytime_of_runs_figure(anytime_of_runs(runs, groups={"a": "x", "b": "x", "c": "y"}))
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["x (2 runs)", "y"]
    assert sum(trace.fill == "toself" for trace in figure.data) == 1


def test_runs_for_different_metrics_and_runs_without_a_group_are_refused(tmp_path: Path) -> None:
    runs = _runs(tmp_path, {"a": [0.1], "b": [0.2]})
    with pytest.raises(ValueError, match="'b' has none"):
        anytime_of_runs(runs, groups={"a": "x"})
    write_tables(tmp_path / "c", [trial_row(0)], [], Objective("t.loss", "minimize"))
    with pytest.raises(ValueError, match="same metric"):
        anytime_of_runs(load_runs([tmp_path / "a", tmp_path / "c"]))


def test_scores_over_other_tasks_or_in_another_direction_are_not_drawn_on_one_axis(tmp_path: Path) -> None:
    for name, objective in {
        "a": Objective(task_metrics=("pos.accuracy",)),
        "b": Objective(task_metrics=("pos.accuracy", "ner.f1")),
        "c": Objective(task_metrics=("pos.accuracy",)),
        "d": Objective(task_metrics=("pos.accuracy",), direction="minimize"),
    }.items():
        rows = [trial_row(0, 0.5, seconds=60.0, gpu_seconds=0.0)]
        write_tables(tmp_path / name, rows, [metric_row("t0000", 1, 0.5)], objective)
    runs = load_runs([tmp_path / name for name in "abcd"])
    with pytest.raises(ValueError, match="mean_score: a, c, b and d are not on one axis"):
        anytime_of_runs(runs)
    panels = comparable_runs(runs)
    assert list(panels) == ["a, c", "b", "d"]
    assert panels["a, c"].trials["run"].tolist() == ["a", "c"]
    assert anytime_of_runs(panels["a, c"])["group"].unique().tolist() == ["a", "c"]
    figures = comparison_figures(runs)["anytime"]
    assert [figure.id for figure in figures][:3] == ["anytime-seconds", "anytime-seconds-1", "anytime-seconds-2"]
    assert [trace.name for trace in figures[0].figure.data] == ["a", "c"]
    assert figures[1].caption.startswith("The best score so far of b over the time")


def test_a_run_without_a_report_is_an_empty_group(tmp_path: Path) -> None:
    write_tables(tmp_path / "a", [trial_row(0, status="running")], [])
    frame = anytime_of_runs(load_runs([tmp_path / "a"]))
    assert frame.empty
    assert anytime_of_runs_figure(frame).layout.annotations[0].text
