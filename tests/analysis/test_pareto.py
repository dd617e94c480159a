from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.pareto import (
    hypervolume,
    hypervolume_curve,
    hypervolume_figure,
    is_on_front,
    pareto_figure,
    pareto_front,
)
from mtsearch_analysis.style import WINNER_COLOUR
from mtsearch_analysis.tables import Direction, Objective
from tests.analysis.run_folders import START, trial_row, write_tables

DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize", "maximize")
OBJECTIVE = Objective(others={"open_heads": "minimize"})
# Few values, so that ties, equal rows and both zeros are common.
VALUE = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, float("nan"), float("inf")])


def dominates(left: np.ndarray, right: np.ndarray, directions: tuple[Direction, ...]) -> bool:
    pairs = [
        (a, b) if direction == "maximize" else (-a, -b) for a, b, direction in zip(left, right, directions, strict=True)
    ]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[VALUE] * n), min_size=1, max_size=12)))
def test_the_front_is_what_its_definition_says(rows: list[tuple[float, ...]]) -> None:
    values = np.array(rows)
    directions = DIRECTIONS[: values.shape[1]]
    expected = [
        not np.isnan(row).any() and not any(dominates(other, row, directions) for other in values) for row in values
    ]
    assert is_on_front(values, directions).tolist() == expected


def test_equal_rows_are_on_the_front_together() -> None:
    assert is_on_front(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]), ("maximize", "minimize")).tolist() == [
        True,
        True,
        False,
    ]


def test_no_rows_have_no_front() -> None:
    assert is_on_front(np.empty((0, 2)), ("maximize", "minimize")).tolist() == []


def traded(number: int, score: float, heads: float, pareto: bool | None, **columns: Any) -> dict[str, Any]:
    best = {"best/mean_score": score, "best/open_heads": heads}
    return trial_row(number, score, pareto=pareto, **best, **columns)


@pytest.fixture
def traded_off(tmp_path: Path) -> Run:
    rows = [
        traded(0, 0.50, 10, True),
        traded(1, 0.75, 72, True),
        traded(2, 0.25, 40, False),
        traded(3, 0.90, 72, None, status="pruned"),
        trial_row(4, status="failed"),
    ]
    return load_run(write_tables(tmp_path, rows, [], OBJECTIVE))


def test_the_front_of_a_run_is_sorted_by_the_first_objective(traded_off: Run) -> None:
    front = pareto_front(traded_off)
    assert front["trial_id"].tolist() == ["t0001", "t0000"]
    assert front["rank"].tolist() == [2, 3]
    assert front["best/open_heads"].tolist() == [72, 10]


def test_a_search_with_one_objective_has_no_front(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.5)], []))
    with pytest.raises(ValueError, match="this search has one, mean_score; best_trials says which trial is best"):
        pareto_front(run)


def test_the_figure_has_each_completed_trial_once_and_the_front_in_the_winners_colour(traded_off: Run) -> None:
    rest, front = pareto_figure(traded_off, against="open_heads").data
    assert (list(rest.text), list(front.text)) == (["t0002"], ["t0000", "t0001"])
    assert (list(front.x), list(front.y)) == ([10, 72], [0.5, 0.75])
    assert front.marker.color == WINNER_COLOUR
    assert (front.mode, front.line.shape) == ("lines+markers", "hv")


def test_with_three_objectives_no_line_is_drawn(tmp_path: Path) -> None:
    objective = Objective(others={"open_heads": "minimize", "latency_ratio": "minimize"})
    rows = [traded(0, 0.5, 10, True, **{"best/latency_ratio": 0.9})]
    run = load_run(write_tables(tmp_path, rows, [], objective))
    assert pareto_figure(run, against="latency_ratio").data[-1].mode == "markers"


def test_before_a_trial_has_completed_the_figure_says_so(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, status="running")], [], OBJECTIVE))
    assert pareto_front(run).empty
    assert pareto_figure(run, against="open_heads").layout.annotations[0].text == "No trial has completed yet."


def test_the_hypervolume_of_two_objectives_is_the_area_worked_by_hand() -> None:
    # More of the first, less of the second, from (0, 10): 1 x 8, and 2 x 4 beyond it; the others lie inside.
    points = np.array([[1.0, 2.0], [3.0, 6.0], [0.5, 5.0], [3.0, 6.0], [-1.0, 0.0], [np.nan, 1.0]])
    assert hypervolume(points, ("maximize", "minimize"), (0.0, 10.0)) == 1 * 8 + 2 * 4


def test_the_hypervolume_of_three_objectives_is_the_volume_worked_by_hand() -> None:
    # Boxes 2x2x1 and 1x1x3 share 1x1x1; 3x1x1 shares 2x1x1 with the first, of which 1x1x1 is the second's too.
    points = np.array([[2.0, 2.0, 1.0], [1.0, 1.0, 3.0], [3.0, 1.0, 1.0]])
    assert hypervolume(points, ("maximize",) * 3, (0, 0, 0)) == 4 + 2 + 1
    assert hypervolume(-points, ("minimize",) * 3, (0, 0, 0)) == 7


@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, 4)] * n), min_size=1, max_size=6)))
def test_the_hypervolume_of_integers_is_their_number_of_unit_cells(rows: list[tuple[int, ...]]) -> None:
    points = np.array(rows, dtype=float)
    cells = np.indices((4,) * points.shape[1]).reshape(points.shape[1], -1).T
    covered = ((cells[:, None] + 1) <= points[None]).all(axis=2).any(axis=1).sum()
    assert hypervolume(points, ("maximize",) * points.shape[1], [0] * points.shape[1]) == covered


def test_the_hypervolume_grows_with_each_completed_trial(tmp_path: Path) -> None:
    ends = [START + timedelta(minutes=minutes) for minutes in (3, 1, 2)]
    values = [(0.9, 0.5), (0.5, 0.1), (0.4, 0.6)]
    rows = [
        trial_row(i, score, started_at=START, ended_at=end, **{"best/open_heads": open_heads})
        for i, ((score, open_heads), end) in enumerate(zip(values, ends, strict=True))
    ]
    run = load_run(write_tables(tmp_path, [*rows, trial_row(3, 1.0, status="pruned")], [], OBJECTIVE))
    frame = hypervolume_curve(run, reference=(0.0, 1.0))
    assert frame["trial_id"].tolist() == ["t0001", "t0002", "t0000"]
    assert frame["seconds"].tolist() == [60.0, 120.0, 180.0]
    assert frame["hypervolume"].tolist() == pytest.approx([0.45, 0.45, 0.45 + 0.4 * 0.5])
    assert frame["share"].iloc[-1] == 1.0
    assert list(hypervolume_figure(frame).data[0].y) == frame["hypervolume"].tolist()
    assert hypervolume_curve(run)["hypervolume"].is_monotonic_increasing


def test_one_objective_has_no_hypervolume(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="several objectives"):
        hypervolume_curve(load_run(write_tables(tmp_path, [trial_row(0, 0.5)], [])))
