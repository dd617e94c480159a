from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mtsearch_analysis.curves import anytime, anytime_figure, curve_figure, learning_curves
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import metric_row, trial_row, write_tables

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def two_trials(tmp_path: Path) -> Run:
    """t0000 reports after 60 and 120 s; t0001 starts 30 s later and reports at 90 s (its own 60)."""
    trials = [
        trial_row(0, 0.5, started_at=START),
        trial_row(1, 0.75, status="pruned", started_at=START + timedelta(seconds=30)),
    ]
    metrics = [
        metric_row("t0001", 1, 0.75),
        metric_row("t0000", 2, 0.5),
        metric_row("t0000", 1, 0.25),
        metric_row("t0000", 1, 0.9, task="sentiment", metric="accuracy"),
        metric_row("t0000", 1, 1e-4, metric="lr", split="train"),
    ]
    return load_run(write_tables(tmp_path, trials, metrics))


def test_curves_are_in_order_with_status_and_rank(two_trials: Run) -> None:
    curves = learning_curves(two_trials)
    assert curves["trial_id"].tolist() == ["t0000", "t0000", "t0001"]
    assert curves["value"].tolist() == [0.25, 0.5, 0.75]
    assert curves["status"].tolist() == ["completed", "completed", "pruned"]
    assert curves["rank"].tolist() == [2, 2, 1]
    assert set(curves["metric"]) == {"mean_score"}


def test_curves_of_one_task_are_named_by_it(two_trials: Run) -> None:
    curves = learning_curves(two_trials, "sentiment.accuracy")
    assert curves[["metric", "value"]].to_numpy().tolist() == [["sentiment.accuracy", 0.9]]


def test_curves_are_of_the_main_metric_unless_another_is_named(tmp_path: Path) -> None:
    metrics = [metric_row("t0000", 1, 0.5), metric_row("t0000", 1, 0.7, task="sentiment", metric="accuracy")]
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.7)], metrics, Objective("sentiment.accuracy")))
    assert learning_curves(run)["value"].tolist() == [0.7]
    assert learning_curves(run, "mean_score")["value"].tolist() == [0.5]


def test_an_unreported_metric_names_the_reported_ones(two_trials: Run) -> None:
    with pytest.raises(ValueError, match=r"no metric 'sentiment\.f1' on the dev split; choose mean_score or sent"):
        learning_curves(two_trials, "sentiment.f1")
    with pytest.raises(ValueError, match="no metric 'lr' on the test split; choose another split"):
        learning_curves(two_trials, "lr", split="test")


def test_the_best_so_far_follows_the_clock_of_the_search(two_trials: Run) -> None:
    frame = anytime(two_trials)
    assert frame["seconds"].tolist() == [60.0, 90.0, 120.0]
    assert frame["best_so_far"].tolist() == [0.25, 0.75, 0.75]
    assert frame["examples_seen"].tolist() == [100, 200, 300]


def test_the_best_so_far_is_the_lowest_when_the_search_minimises(tmp_path: Path) -> None:
    metrics = [metric_row("t0000", e, v, task="sentiment", metric="loss") for e, v in ((1, 0.5), (2, 0.2), (3, 0.4))]
    objective = Objective("sentiment.loss", "minimize")
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.2, started_at=START)], metrics, objective))
    assert anytime(run)["best_so_far"].tolist() == [0.5, 0.2, 0.2]


def test_with_a_holdout_a_trial_counts_with_what_it_says_where_dev_is_best(tmp_path: Path) -> None:
    dev = {("t0000", 1): 0.5, ("t0000", 2): 0.7, ("t0000", 3): 0.6, ("t0001", 4): 0.1}
    holdout = {("t0000", 1): 0.8, ("t0000", 2): 0.4, ("t0000", 3): 0.9, ("t0001", 4): 0.45}
    metrics = [
        metric_row(trial, evaluation, value, split=split)
        for split, values in (("dev", dev), ("holdout", holdout))
        for (trial, evaluation), value in values.items()
    ]
    trials = [trial_row(0, 0.4, started_at=START), trial_row(1, 0.45, started_at=START)]
    frame = anytime(load_run(write_tables(tmp_path, trials, metrics)))
    assert frame["value"].tolist() == [0.8, 0.4, 0.4, 0.45]
    assert frame["best_so_far"].tolist() == [0.8, 0.4, 0.4, 0.45]


def test_a_diverged_report_does_not_hide_the_best_so_far(tmp_path: Path) -> None:
    metrics = [metric_row("t0000", 1, 0.5), metric_row("t0000", 2, math.nan)]
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.5, started_at=START)], metrics))
    assert anytime(run)["best_so_far"].tolist() == [0.5, 0.5]


def test_each_status_is_one_trace_and_the_winner_another(two_trials: Run) -> None:
    figure = curve_figure(learning_curves(two_trials))
    assert [trace.name for trace in figure.data] == ["completed", "best: t0001 (pruned)"]
    np.testing.assert_allclose(figure.data[0].y, [0.25, 0.5, np.nan])


def test_curves_of_different_trials_are_not_joined(finished_run: Run) -> None:
    curves = learning_curves(finished_run)
    num_pruned = curves.loc[curves["status"] == "pruned", "trial_id"].nunique()
    (pruned,) = [trace for trace in curve_figure(curves).data if trace.name == "pruned"]
    assert np.isnan(pruned.y).sum() == num_pruned


def test_improvements_are_drawn_as_points_up_to_the_last_report(two_trials: Run) -> None:
    (trace,) = anytime_figure(anytime(two_trials)).data
    assert trace.x.tolist() == [60.0, 90.0, 120.0]
    assert trace.marker.size == (8, 8, 0)
    (over_examples,) = anytime_figure(anytime(two_trials), against="examples_seen").data
    assert over_examples.x.tolist() == [100.0, 200.0, 300.0]
    over_gpu_time = anytime_figure(anytime(two_trials).assign(gpu_seconds=[60.0, 120.0, 240.0]), "gpu_seconds")
    assert over_gpu_time.data[0].x.tolist() == [1.0, 2.0, 4.0]
    assert over_gpu_time.layout.xaxis.title.text == "GPU minutes of all trials"


def test_before_the_first_report_the_figures_say_so(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, status="running", started_at=START)], []))
    for figure in (curve_figure(learning_curves(run)), anytime_figure(anytime(run))):
        assert figure.layout.annotations[0].text == "Nothing has been reported yet."


def test_a_dotted_line_shows_where_trials_were_stopped(tmp_path: Path) -> None:
    rows = [trial_row(i, 0.5, status="pruned" if i else "completed") for i in range(4)]
    metrics = [metric_row(f"t{i:04}", e, 0.5) for i, last in enumerate((9, 1, 3, 1)) for e in range(1, last + 1)]
    figure = curve_figure(learning_curves(load_run(write_tables(tmp_path, rows, metrics))))
    assert sorted(shape.x0 for shape in figure.layout.shapes) == [1.0, 3.0]


def test_the_gpu_time_is_that_of_all_trials_until_then(tmp_path: Path) -> None:
    rows = [trial_row(i, 0.5, started_at=START, seconds=120.0, gpu_seconds=60.0 * i) for i in range(2)]
    metrics = [metric_row(f"t{i:04}", e, 0.5, seconds=50.0 * e + i) for i in range(2) for e in (1, 2)]
    frame = anytime(load_run(write_tables(tmp_path, rows, metrics)))
    assert frame["gpu_seconds"].tolist() == [0.0, 25.5, 25.5, 50.5]
