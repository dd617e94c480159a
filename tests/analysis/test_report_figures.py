from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtsearch_analysis.findings import find
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.report import write_report
from mtsearch_analysis.report_figures import ReportFigure, run_figures
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import trial_row, write_gates, write_interference, write_tables

OBJECTIVE = Objective(task_metrics=("pos.accuracy", "ner.f1"))


def trial(number: int, tasks: str, **columns: Any) -> dict[str, Any]:
    scores = {"pos": {"best/pos.accuracy": 0.9 + number / 100}, "ner": {"best/ner.f1": 0.5 - number / 100}}
    of_tasks = {name: value for task in tasks.split("+") for name, value in scores[task].items()}
    return trial_row(number, 0.5, tasks=tasks, **of_tasks, **columns)


def figures_of(run: Run, section: str) -> dict[str, ReportFigure]:
    return {figure.id: figure for figure in run_figures(find(run))[section]}


@pytest.fixture
def pruned(tmp_path: Path) -> Run:
    """Two tasks in every trial, whose gradients were compared and whose attention heads were pruned."""
    costs = [{"best/open_heads": share, "best/latency_ratio": share} for share in (0.5, 1.0)]
    rows = [trial(i, "pos+ner", **cost) for i, cost in enumerate(costs)] + [trial(2, "pos+ner", status="pruned")]
    folder = write_tables(tmp_path, rows, [], OBJECTIVE)
    gates = {"t0000": [[[1.0, 0.0]]], "t0001": [[[1.0, 0.5]]], "t0002": [[[0.0, 0.0]]]}
    write_gates(folder, gates)
    write_interference(folder, [("t0000", 1, "pos", "ner", -0.1, 3)])
    return load_run(folder)


def test_tasks_of_one_model_are_shown_against_one_another_and_where_they_conflict(pruned: Run) -> None:
    figures = figures_of(pruned, "together")
    assert list(figures) == ["trade-offs", "interference"]
    assert list(figures["trade-offs"].figure.data[1].x) == [0.9, 0.91]


def test_the_map_of_attention_heads_is_over_completed_trials(pruned: Run) -> None:
    figures = figures_of(pruned, "heads")
    assert list(figures) == ["head-map", "head-costs"]
    assert figures["head-map"].figure.data[0].z.tolist() == [[1.0, 0.25]]


def test_encoders_of_different_shapes_have_no_map_in_common(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, [trial(0, "pos"), trial(1, "pos")], [], OBJECTIVE)
    write_gates(folder, {"t0000": [[[1.0, 0.0]]], "t0001": [[[1.0], [0.5]]]})
    assert figures_of(load_run(folder), "heads") == {}


def test_sets_of_tasks_are_shown_against_the_tasks_alone(tmp_path: Path) -> None:
    rows = [trial(0, "pos"), trial(1, "ner"), trial(2, "pos+ner")]
    figures = figures_of(load_run(write_tables(tmp_path, rows, [], OBJECTIVE)), "together")
    assert list(figures) == ["joint-gains", "negative-transfer"]


def test_a_search_without_these_has_no_such_sections(finished_run: Run, tmp_path: Path, pruned: Run) -> None:
    assert list(figures_of(finished_run, "together")) == ["trade-offs"]
    assert figures_of(finished_run, "heads") == {}
    without, whole = (
        write_report(run, tmp_path / f"{i}.html").read_text(encoding="utf-8")
        for i, run in enumerate((finished_run, pruned))
    )
    assert 'id="heads"' not in without
    assert 'href="#heads"' not in without
    assert 'id="heads"' in whole
    assert 'href="#together"' in whole
