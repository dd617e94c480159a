"""A trial with a holdout: it is measured beside dev, and nothing of the training goes by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch.errors import ConfigError
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.report import Objective, Report
from tests.training.trials import assert_equal, numbers, weights

HALF = Objective(holdout_ratio=0.5)
BUMPY: dict[str, Any] = {
    "training": {"epochs": 5, "early_stopping_patience": 1},
    "optimizer": {"name": "adamw", "lr": 0.03},
    "schedule": {"name": "plateau", "patience": 0},
}


def on_dev(reports: list[Report]) -> list[dict[str, float]]:
    return [{key: x for key, x in told.items() if ".holdout." not in key} for told in numbers(reports)]


def test_each_evaluation_tells_the_same_metrics_of_the_holdout(start: Callable[..., Parts], tmp_path: Path) -> None:
    parts = start(tmp_path, objective=HALF)
    reports = list(fit(parts))
    for report in reports:
        assert report.held_out.keys() == report.scores.keys()
        assert report.held_out_score == report.held_out["mean_score"] != report.score
        told = {f"{m.task}.{m.metric}".lstrip("."): m.value for m in report.measurements if m.split == "holdout"}
        assert {name: value for name, value in told.items() if not name.endswith("loss")} == report.held_out
        assert Report.from_json(report.to_json()) == report
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    predictions = pd.read_parquet(checkpoint / "predictions.parquet")
    for name, task in parts.tasks.items():
        of_task = predictions[predictions["task"] == name].groupby("split")["example"].agg(set)
        assert of_task.index.tolist() == ["dev", "holdout"]
        assert of_task["dev"] | of_task["holdout"] == {one.id for one in task.data.splits["dev"].examples}
        assert of_task["dev"].isdisjoint(of_task["holdout"])


def test_without_one_all_of_dev_is_dev(start: Callable[..., Parts]) -> None:
    parts = start()
    assert all(task.examples.keys() == task.splits.keys() == {"train", "dev"} for task in parts.tasks.values())
    assert all(task.examples["dev"] == task.data.splits["dev"].examples for task in parts.tasks.values())
    report = next(fit(parts))
    assert (report.held_out, report.held_out_score) == ({}, None)
    assert {m.split for m in report.measurements} == {"train", "dev"}


def test_neither_plateau_nor_stopping_nor_what_is_best_goes_by_it(start: Callable[..., Parts]) -> None:
    with_holdout = start(objective=HALF, **BUMPY)
    # The same dev; what is held out are the training examples, whose scores grow where dev's do not.
    others = {
        name: replace(
            task,
            examples={**task.examples, "holdout": task.examples["train"]},
            splits={**task.splits, "holdout": task.splits["train"]},
        )
        for name, task in with_holdout.tasks.items()
    }
    reports = list(fit(with_holdout))
    with_another = list(fit(replace(start(objective=HALF, **BUMPY), tasks=others)))
    assert on_dev(with_another) == on_dev(reports)
    assert [r.held_out for r in with_another] != [r.held_out for r in reports]
    assert [(r.best_evaluation, r.best_score, r.reason) for r in with_another] == [
        (r.best_evaluation, r.best_score, r.reason) for r in reports
    ]


def test_measuring_it_changes_no_weight(start: Callable[..., Parts], tmp_path: Path) -> None:
    for name, objective in (("with", HALF), ("without", Objective())):
        list(fit(start(tmp_path / name, objective=objective)))
    last = "checkpoints/evaluation-0002"
    assert_equal(weights(tmp_path / "with" / last), weights(tmp_path / "without" / last))


def test_a_cost_that_is_searched_for_is_told_of_both(start: Callable[..., Parts]) -> None:
    report = next(fit(start(objective=replace(HALF, metric="score_per_second", costs=("score_per_second",)))))
    assert report.held_out_score == report.held_out["score_per_second"]
    ratio = report.held_out["mean_score"] / report.scores["mean_score"]
    assert report.held_out_score / report.score == pytest.approx(ratio)


def test_a_final_model_is_trained_on_all_of_dev(start: Callable[..., Parts], tiny_data: Path) -> None:
    config = start().config
    parts = build(config, Place(None, tiny_data), HALF, train_on=("train", "dev"))
    assert {name: len(task.examples["train"]) for name, task in parts.tasks.items()} == dict.fromkeys(parts.tasks, 72)


def test_preflight_tells_how_much_is_held_out_and_refuses_a_ratio_that_leaves_nothing(
    start: Callable[..., Parts], tiny_data: Path
) -> None:
    parts, lines = start(objective=HALF), list[str]()
    preflight([parts.config], Place(None, tiny_data), HALF, lines.append)
    held_out, remaining = (len(parts.tasks["paraphrase"].examples[split]) for split in ("holdout", "dev"))
    assert f"paraphrase: {held_out} of dev are held out to rank trials by; {remaining} remain" in lines
    with pytest.raises(
        ConfigError, match=r"search\.holdout_ratio: .* of the 24 of dev of sentiment 0\.001 holds out none"
    ):
        preflight([parts.config], Place(None, tiny_data), Objective(holdout_ratio=0.001), str)
