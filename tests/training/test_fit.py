"""The training loop on a tiny encoder: determinism, resuming, and that every setting reaches the model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtsearch.errors import RunError
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from mtsearch.training.report import Objective
from tests.training.trials import assert_equal, numbers, weights


def test_it_learns(start: Callable[..., Parts]) -> None:
    reports = list(fit(start(training={"epochs": 20}, optimizer={"name": "adamw", "lr": 3e-3})))
    assert reports[-1].scores["sentiment.accuracy"] == 1.0
    assert reports[-1].outcome == "finished"
    assert reports[-1].reason == "all 20 epochs done"
    assert [report.evaluation for report in reports] == list(range(1, 21))
    assert reports[-1].examples_seen == 20 * 3 * 48


def test_a_trial_does_not_depend_on_its_predecessor_in_the_process(start: Callable[..., Parts]) -> None:
    alone = numbers(list(fit(start())))
    list(fit(start(training={"seed": 99}, encoder={"pooling": "attention", "dropout": 0.3})))
    torch.rand(17)  # somebody else draws from the global generator
    assert numbers(list(fit(start()))) == alone


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    start: Callable[..., Parts], tmp_path: Path, schedule: str, interrupted_after: int
) -> None:
    sections: dict[str, Any] = {
        "training": {"epochs": 2, "evaluations_per_epoch": 2, "accumulation": 2},
        "sampler": {"name": "uniform", "examples_per_task": 30},  # a position inside the data to go on from
        "schedule": {"name": schedule},
    }
    whole = list(fit(start(tmp_path / "whole", **sections)))
    first = fit(start(tmp_path / "first", **sections))
    head = [next(first) for _ in range(interrupted_after)]
    first.close()
    checkpoint = latest_checkpoint(tmp_path / "first")
    assert checkpoint is not None
    tail = list(fit(start(tmp_path / "second", resume=checkpoint, **sections)))
    assert tail[0] == head[-1]  # told once more
    assert numbers(head + tail[1:]) == numbers(whole)
    last = "checkpoints/evaluation-0004"
    assert_equal(weights(tmp_path / "whole" / last), weights(tmp_path / "second" / last))


def test_resuming_a_finished_trial_gives_its_last_report(start: Callable[..., Parts], tmp_path: Path) -> None:
    reports = list(fit(start(tmp_path)))
    again = list(fit(start(resume=latest_checkpoint(tmp_path))))
    assert again == [reports[-1]]


def test_resuming_on_other_data_is_refused(start: Callable[..., Parts], tmp_path: Path) -> None:
    next(fit(start(tmp_path)))
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    description = json.loads((checkpoint / "model.json").read_text())
    description["data"]["sentiment"] = "0" * 16
    (checkpoint / "model.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"tasks\.sentiment: going on needs the data that training began with"):
        start(resume=checkpoint)


def test_only_the_best_and_the_last_checkpoint_stay(start: Callable[..., Parts], tmp_path: Path) -> None:
    reports = list(fit(start(tmp_path, training={"epochs": 6})))
    kept = {folder.name for folder in (tmp_path / "checkpoints").iterdir()}
    assert kept == {f"evaluation-{reports[-1].best_evaluation:04d}", "evaluation-0006"}


def test_early_stopping_waits_for_its_patience(start: Callable[..., Parts]) -> None:
    reports = list(
        fit(start(training={"epochs": 50, "early_stopping_patience": 1}, optimizer={"name": "adamw", "lr": 1e-12}))
    )
    # The score cannot move, so evaluation 1 stays the best; 2 is tolerated, 3 is one too many.
    assert [report.evaluation for report in reports] == [1, 2, 3]
    assert reports[-1].reason == "no better score for 2 evaluations"


def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(start: Callable[..., Parts], tmp_path: Path) -> None:
    parts = start(tmp_path)
    trial = fit(parts)
    first = next(trial)
    with torch.no_grad():
        next(parts.state.model.parameters()).fill_(float("nan"))
    (last,) = trial
    assert last.outcome == "diverged"
    assert math.isnan(last.score)
    assert "became nan" in last.reason
    assert last.best_score == first.score
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoints/evaluation-0001"  # the poisoned weights are not saved


def test_accumulated_batches_give_the_gradient_of_one_big_batch(start: Callable[..., Parts]) -> None:
    """An update over k batches of one task equals the same update over their union (no dropout, no padding effect)."""

    def trained(batch_size: int, accumulation: int) -> dict[str, torch.Tensor]:
        parts = start(
            tasks={
                "sentiment": {
                    "kind": "classification",
                    "data": "sst5",
                    "class_weights": "balanced",
                    "head": {"dropout": 0.0},
                }
            },
            encoder={"dropout": 0.0, "attention_dropout": 0.0},
            training={"batch_size": batch_size, "accumulation": accumulation, "epochs": 1},
            optimizer={"name": "adamw", "lr": 1e-4, "eps": 1e-3},
            schedule={"name": "none"},
        )
        list(fit(parts))
        return parts.state.model.state_dict()

    one, many = trained(48, 1), trained(6, 8)
    assert all(torch.allclose(one[name], many[name], atol=1e-6) for name in one)


def test_configured_dropout_reaches_the_model(start: Callable[..., Parts]) -> None:
    model = start(encoder={"dropout": 0.37, "attention_dropout": 0.21}).state.model
    rates = {module.p for module in model.encoder.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.37, 0.21}


def test_task_heads_learn_at_their_own_rate_and_norms_do_not_decay(start: Callable[..., Parts]) -> None:
    parts = start(
        optimizer={"name": "adamw", "lr": 1e-4, "head_lr": 1e-3, "weight_decay": 0.1}, schedule={"name": "none"}
    )
    for group in parts.state.optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            assert group["lr"] == (1e-4 if name.startswith("encoder.") else 1e-3)
            assert group["weight_decay"] == (0.1 if parameter.ndim >= 2 else 0.0)
            if "LayerNorm" in name or name.endswith("bias"):
                assert group["weight_decay"] == 0.0
    grouped = sum(len(group["params"]) for group in parts.state.optimizer.param_groups)
    assert grouped == len(list(parts.state.model.parameters()))


def test_a_head_starts_alike_whatever_other_tasks_there_are(start: Callable[..., Parts]) -> None:
    alone = start(tasks={"sentiment": {"kind": "classification", "data": "sst5"}}).state.model.heads["sentiment"]
    joint = start().state.model.heads["sentiment"]
    assert all(torch.equal(a, b) for a, b in zip(alone.state_dict().values(), joint.state_dict().values(), strict=True))


def test_mean_score_is_the_mean_over_the_scored_tasks(start: Callable[..., Parts]) -> None:
    report = next(fit(start(objective=Objective(scored_tasks=("sentiment", "similarity")))))
    expected = (report.scores["sentiment.accuracy"] + report.scores["similarity.pearson"]) / 2
    assert report.scores["mean_score"] == pytest.approx(expected, abs=1e-12)
    assert report.score == report.scores["mean_score"]


def test_another_objective_is_what_is_best(start: Callable[..., Parts]) -> None:
    reports = list(fit(start(objective=Objective("similarity.pearson"), training={"epochs": 4})))
    pearson = [report.scores["similarity.pearson"] for report in reports]
    assert reports[-1].best_score == max(pearson)
    assert reports[-1].best_evaluation == pearson.index(max(pearson)) + 1


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
@pytest.mark.parametrize("pair", ["joint", "siamese", "cosine"])
def test_every_pooling_and_pair_form_trains(start: Callable[..., Parts], pooling: str, pair: str) -> None:
    tasks: dict[str, Any] = {
        "similarity": {"kind": "pair_regression", "data": "stsb", "low": 0.0, "high": 5.0, "pair": pair},
        "paraphrase": {
            "kind": "pair_classification",
            "data": "quora",
            "pair": "joint" if pair == "joint" else "siamese",
        },
    }
    first, *_, last = fit(start(tasks=tasks, encoder={"pooling": pooling}, training={"epochs": 10}))
    losses = [
        next(m.value for m in r.measurements if m.task == "similarity" and m.split == "train") for r in (first, last)
    ]
    assert losses[1] < losses[0]


def test_bf16_trains_on_the_cpu_and_its_weights_stay_fp32(start: Callable[..., Parts], tmp_path: Path) -> None:
    reports = list(fit(start(tmp_path, training={"precision": "bf16"})))
    assert math.isfinite(reports[-1].score)
    assert {t.dtype for t in weights(tmp_path / "checkpoints/evaluation-0002").values()} == {torch.float32}


def test_a_schedule_moves_the_rates_that_are_reported(start: Callable[..., Parts]) -> None:
    reports = list(fit(start(training={"epochs": 2}, schedule={"name": "linear", "warmup_ratio": 0.0})))
    rates = [next(m.value for m in r.measurements if m.metric == "encoder_lr") for r in reports]
    assert rates == pytest.approx([5e-4, 0.0])


def test_predictions_of_every_dev_example_lie_in_the_checkpoint(start: Callable[..., Parts], tmp_path: Path) -> None:
    import pandas as pd

    report = next(fit(start(tmp_path)))
    table = pd.read_parquet(tmp_path / "checkpoints/evaluation-0001/predictions.parquet")
    assert table.groupby("task").size().to_dict() == {"sentiment": 24, "paraphrase": 24, "similarity": 24}
    sentiment = table[table.task == "sentiment"]
    assert (sentiment.gold == sentiment.prediction).mean() == pytest.approx(report.scores["sentiment.accuracy"])
