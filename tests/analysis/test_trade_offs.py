from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from mtsearch_analysis.trade_offs import task_scores, trade_off_figure, trade_off_table
from tests.analysis.run_folders import trial_row, write_tables

SCORES = [(0.9, 0.1, 0.5), (0.8, 0.2, 0.5), (0.7, 0.2, 0.5), (0.1, 0.9, 0.5), (0.2, 0.15, 0.5)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [
        trial_row(i, a, **{"best/a.accuracy": a, "best/b.accuracy": b, "best/c.accuracy": c})
        for i, (a, b, c) in enumerate(SCORES)
    ]
    rows.append(trial_row(9, 0.95, status="pruned", **{f"best/{task}.accuracy": 1.0 for task in "abc"}))
    objective = Objective(task_metrics=("a.accuracy", "b.accuracy", "c.accuracy"))
    return load_run(write_tables(tmp_path, rows, [], objective))


def test_the_front_over_tasks_is_of_completed_trials_that_no_other_beats(run: Run) -> None:
    scores = task_scores(run)
    assert scores["trial_id"].tolist() == ["t0000", "t0001", "t0002", "t0004", "t0003"]
    on_front = dict(zip(scores["trial_id"], scores["is_on_front"], strict=True))
    assert on_front == {"t0000": True, "t0001": True, "t0002": False, "t0003": True, "t0004": False}


def test_a_trade_off_is_a_negative_rank_correlation(run: Run) -> None:
    table = trade_off_table(task_scores(run))
    assert table[["task_a", "task_b"]].to_numpy().tolist() == [
        ["a.accuracy", "b.accuracy"],
        ["a.accuracy", "c.accuracy"],
        ["b.accuracy", "c.accuracy"],
    ]
    a, b, _ = zip(*SCORES, strict=True)
    expected = stats.kendalltau(a, b)
    assert table.loc[0, "tau"] == pytest.approx(expected.statistic)
    assert table.loc[0, "p"] == pytest.approx(expected.pvalue)
    assert table["tau"].tolist()[1:] == [0.0, 0.0]  # c is the same for all
    assert table["num_trials"].tolist() == [5, 5, 5]


def test_the_matrix_has_a_panel_for_each_pair_and_the_front_in_another_colour(run: Run) -> None:
    figure = trade_off_figure(task_scores(run))
    assert len(figure.data) == 2 * 3
    plain, front = figure.data[:2]
    assert list(front.text) == ["t0000", "t0001", "t0003"]
    assert list(front.x) == [0.9, 0.8, 0.1]
    assert list(front.y) == [0.1, 0.2, 0.9]
    assert plain.marker.color != front.marker.color
    assert [note.text for note in figure.layout.annotations] == ["τ -0.53", "τ +0.00", "τ +0.00"]


def test_one_task_has_nothing_to_trade(tmp_path: Path) -> None:
    rows = [trial_row(i, 0.5, **{"best/a.accuracy": 0.5}) for i in range(3)]
    run = load_run(write_tables(tmp_path, rows, [], Objective(task_metrics=("a.accuracy",))))
    assert trade_off_table(task_scores(run)).empty
    assert "It takes two tasks" in trade_off_figure(task_scores(run)).layout.annotations[0].text


def test_tasks_that_too_few_trials_have_together_have_no_correlation(tmp_path: Path) -> None:
    rows = [trial_row(0, 0.5, **{"best/a.accuracy": 0.5, "best/b.accuracy": 0.4})]
    rows += [trial_row(i, 0.6, **{"best/a.accuracy": 0.6}) for i in (1, 2)]
    run = load_run(write_tables(tmp_path, rows, [], Objective(task_metrics=("a.accuracy", "b.accuracy"))))
    (note,) = trade_off_figure(task_scores(run)).layout.annotations
    assert (note.text, note.bgcolor) == ("too few trials", "rgba(0, 0, 0, 0)")
