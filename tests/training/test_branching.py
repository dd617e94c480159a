from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtsearch.training.branching import branch_off
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from mtsearch.training.report import Report

Start = Callable[..., Parts]


def sections_with(lr: float, *, schedule: str = "linear", **others: Any) -> dict[str, Any]:
    return {
        "training": {"epochs": 4},
        "optimizer": {"name": "adamw", "lr": lr, "layer_decay": 0.5, **others},
        "schedule": {"name": schedule},
        "weighting": {"name": "uncertainty"},
        "regularizers": {"smart": {"weight": 0.1}},
    }


def trained(start: Start, folder: Path, evaluations: int, sections: dict[str, Any]) -> tuple[Path, list[Report]]:
    trial = fit(start(folder, **sections))
    reports = [next(trial) for _ in range(evaluations)]
    trial.close()
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint, reports


def branched(start: Start, checkpoint: Path, folder: Path, sections: dict[str, Any]) -> Parts:
    parts = start(folder, resume=checkpoint, **sections)
    branch_off(parts, checkpoint)
    return parts


def rates(parts: Parts) -> list[float]:
    return [group["lr"] for group in parts.state.optimizer.param_groups]


def test_with_the_same_settings_it_goes_on_as_if_nothing_had_happened(start: Start, tmp_path: Path) -> None:
    sections = sections_with(1e-3)
    checkpoint, _ = trained(start, tmp_path / "parent", 2, sections)
    whole = [report.score for report in fit(start(**sections))]
    assert [report.score for report in fit(branched(start, checkpoint, tmp_path / "own", sections))] == whole[1:]


@pytest.mark.parametrize("schedule", ["linear", "plateau", "cosine", "none"])
def test_a_learning_rate_is_changed_where_its_schedule_has_brought_it(
    start: Start, tmp_path: Path, schedule: str
) -> None:
    checkpoint, _ = trained(start, tmp_path / "parent", 2, sections_with(1e-3, schedule=schedule))
    same = start(resume=checkpoint, **sections_with(1e-3, schedule=schedule))
    double = branched(start, checkpoint, tmp_path / "own", sections_with(2e-3, schedule=schedule))
    assert rates(double) == pytest.approx([2 * rate for rate in rates(same)])
    for parts in (same, double):
        next(trial := fit(parts))
        next(trial)
        trial.close()
    assert rates(double) == pytest.approx([2 * rate for rate in rates(same)])


def test_weight_decay_and_the_weight_of_a_regulariser_are_its_own(start: Start, tmp_path: Path) -> None:
    checkpoint, _ = trained(start, tmp_path / "parent", 1, sections_with(1e-3, weight_decay=0.01))
    changed = {**sections_with(1e-3, weight_decay=0.2), "regularizers": {"smart": {"weight": 0.4}}}
    parts = branched(start, checkpoint, tmp_path / "own", changed)
    assert {group["weight_decay"] for group in parts.state.optimizer.param_groups} == {0.2, 0.0}
    assert parts.config.regularizers.smart is not None
    assert parts.config.regularizers.smart.weight == 0.4


def test_what_is_best_counts_from_where_it_branched_off(start: Start, tmp_path: Path) -> None:
    sections = sections_with(1e-3)
    checkpoint, reports = trained(start, tmp_path / "parent", 3, sections)
    progress = branched(start, checkpoint, tmp_path / "own", sections).state.progress
    assert (progress.best_evaluation, progress.best_score) == (3, reports[2].score)
    first = next(fit(branched(start, checkpoint, tmp_path / "own", sections)))
    assert (first.evaluation, first.best_evaluation, first.best_score) == (3, 3, reports[2].score)
