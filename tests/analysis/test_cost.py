from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch_analysis.cost import cost_figure, cost_table
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Direction, Objective
from tests.analysis.run_folders import trial_row, write_tables


def _run(folder: Path, direction: Direction = "maximize") -> Run:
    sign = 1.0 if direction == "maximize" else -1.0
    rows = [
        trial_row(0, 0.5 * sign, seconds=100.0),
        trial_row(1, 0.4 * sign, seconds=200.0, status="pruned"),
        trial_row(2, 0.7 * sign, seconds=300.0),
        trial_row(3, 0.2 * sign, seconds=100.0),
        trial_row(4, seconds=1.0, status="failed"),
    ]
    return load_run(write_tables(folder, rows, [], Objective("t.loss", direction)))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_trial_is_worth_its_cost_unless_a_cheaper_one_is_better(tmp_path: Path, direction: Direction) -> None:
    frame = cost_table(_run(tmp_path, direction))
    assert frame["trial_id"].tolist() == ["t0000", "t0003", "t0001", "t0002"]
    assert frame["is_worth_it"].tolist() == [True, False, False, True]


def test_the_figure_has_a_point_for_each_trial_and_joins_those_worth_it(tmp_path: Path) -> None:
    figure = cost_figure(cost_table(_run(tmp_path)))
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces) == ["completed", "pruned", "best for its cost"]
    assert list(traces["best for its cost"].x) == [100 / 60, 5.0]
    assert figure.layout.xaxis.title.text == "minutes on a worker"
    assert list(traces["pruned"].text) == ["t0001"]


def test_without_a_score_or_that_cost_the_figure_says_so(tmp_path: Path) -> None:
    assert cost_figure(cost_table(_run(tmp_path)), "gpu_seconds").layout.annotations[0].text
