"""Trials with projected attention layers: on a frozen encoder, beside other methods, and from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtsearch.model.multitask import MultitaskModel
from mtsearch.regularizers.replay import RandomState
from mtsearch.tasks.contract import Logits
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from mtsearch.training.pretraining import pretrain_heads
from mtsearch.training.trained import TrainedModel
from tests.training.trials import STILL, assert_equal, numbers, snapshot, values

Start = Callable[..., Parts]

PAL: dict[str, Any] = {"adapters": {"name": "pal", "rank": 8, "attention_heads": 2, "dropout": 0.0}}
UPPER: dict[str, Any] = {"adapters": {**PAL["adapters"], "layers": 1}}
FROZEN: dict[str, Any] = {"unfreezing": {"name": "layers", "last": 0}}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))


def moved(before: Mapping[str, Tensor], model: nn.Module) -> set[str]:
    return {name for name, tensor in snapshot(model).items() if not torch.equal(tensor, before[name])}


def adapters(model: MultitaskModel) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith("extensions.adapters.")}


@pytest.mark.parametrize("optimizer", ["adamw", "sophiah"])
def test_on_a_frozen_encoder_adapters_and_task_heads_alone_learn(start: Start, optimizer: str) -> None:
    parts = start(**PAL, **FROZEN, optimizer={"name": optimizer, "lr": 1e-3})
    model = parts.state.model
    before = snapshot(model)
    *_, last = fit(parts)
    assert moved(before, model) == {name for name in before if not name.startswith("encoder.")}
    assert last.facts["trainable_parameters"] == sum(
        p.numel() for name, p in model.named_parameters() if not name.startswith("encoder.")
    )


def test_adapters_fit_what_task_heads_on_a_frozen_encoder_cannot(start: Start) -> None:
    one = {**STILL, **FROZEN, "tasks": {"sentiment": STILL["tasks"]["sentiment"]}}

    def training_loss(**sections: Any) -> float:
        optimizer = {"name": "adamw", "head_lr": 1e-2}
        *_, last = fit(start(**one, **sections, training={"epochs": 16}, optimizer=optimizer))
        return values(last, "loss")["sentiment"]

    assert training_loss(**PAL) < 0.5 * training_loss()


def test_scores_are_the_same_with_and_without_a_cache_of_what_lies_below(start: Start) -> None:
    sections: dict[str, Any] = {**STILL, **UPPER, **FROZEN}
    kept, whole = (list(fit(start(**sections, training={"cache_frozen": cached}))) for cached in (True, False))
    for ours, theirs in zip(numbers(kept), numbers(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
def test_it_trains_beside_smart_a_momentum_teacher_and_sophiah(start: Start, estimator: str) -> None:
    parts = start(
        **PAL,
        regularizers={"smart": {"weight": 0.5}, "proximal": {"weight": 0.5}},
        optimizer={"name": "sophiah", "lr": 1e-3, "hessian_interval": 2, "estimator": estimator},
    )
    model = parts.state.model
    before = snapshot(model)
    *_, last = fit(parts)
    assert last.outcome == "finished"
    assert adapters(model) <= moved(before, model)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    curvature = [state["curvature"] for state in parts.state.optimizer.optimizer.state.values()]
    assert all(torch.isfinite(tensor).all() for tensor in curvature)


def test_the_momentum_teacher_runs_with_averaged_adapters(start: Start) -> None:
    parts = start(**STILL, **PAL, regularizers={"proximal": {"weight": 1.0}})
    model, task = parts.state.model.eval(), parts.tasks["similarity"]
    batch = task.splits["train"].batch(torch.arange(8).numpy())
    teacher: Logits = model(batch)
    nn.init.normal_(model.get_submodule("extensions.adapters.by_task.similarity").up)  # type: ignore[arg-type]
    logits: Logits = model(batch)
    (proximal,) = parts.state.regularizers
    penalty = proximal.penalty(
        model, batch, task.kind, task.inventory, logits, RandomState.now(parts.accelerator.device)
    )
    expected = task.kind.distance(logits, teacher, task.inventory)
    assert expected > 1e-3
    torch.testing.assert_close(penalty, expected)


def test_task_heads_start_alike_with_and_without_adapters(start: Start) -> None:
    with_them, without = (snapshot(start(**sections).state.model.heads) for sections in (PAL, {}))
    assert_equal(with_them, without)


def test_individual_pretraining_leaves_adapters_alone(start: Start) -> None:
    parts = start(**PAL, training={"individual_pretraining": {"epochs": 1}})
    before = snapshot(parts.state.model)
    pretrain_heads(parts)
    assert {name.split(".")[0] for name in moved(before, parts.state.model)} == {"heads"}
    assert all(p.requires_grad for name, p in parts.state.model.named_parameters() if "adapters" in name)


def test_individual_pretraining_keeps_what_lies_below_them(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def pretrained(**sections: Any) -> dict[str, float]:
        parts = start(**STILL, **sections)
        freeze = parts.prefix.freeze
        monkeypatch.setattr(parts.prefix, "freeze", lambda depth: (asked.append(depth), freeze(depth)))
        return {m.task: m.value for m in pretrain_heads(parts)}

    training = {"individual_pretraining": {"epochs": 2}, "precision": "fp32"}
    kept = pretrained(**UPPER, training=training)
    assert asked == [1, None]
    assert kept == pytest.approx(pretrained(**UPPER, training={**training, "cache_frozen": False}), abs=1e-4)
    assert asked == [1, None, None]


@pytest.mark.parametrize("gate", ["hard", "soft"])
def test_beside_experts_each_row_has_its_own_added(start: Start, gate: str) -> None:
    experts = {"experts": {"name": "feed_forward", "layers": 2, "num_experts": 3, "gate": gate}}
    both, alone = (start(**STILL, **PAL, **more).state.model.eval() for more in (experts, {}))
    task = start(**STILL).tasks["paraphrase"]
    batch = task.splits["train"].batch(torch.arange(8).numpy())
    plain = alone(batch).values
    for model in (both, alone):  # all experts are alike at first
        up = model.get_submodule("extensions.adapters.by_task.paraphrase").up
        nn.init.normal_(up, generator=torch.Generator().manual_seed(3))  # type: ignore[arg-type]
    assert not torch.allclose(alone(batch).values, plain, atol=1e-3)
    torch.testing.assert_close(both(batch).values, alone(batch).values, rtol=1e-4, atol=1e-5)


def test_a_report_tells_how_much_they_add(start: Start) -> None:
    parts = start(**PAL)
    first = next(fit(parts))
    added = sum(p.numel() for name, p in parts.state.model.named_parameters() if "adapters" in name)
    assert added == 3 * (2 * 32 * 8 + 2 * 3 * 8**2)
    assert values(first, "adapter_parameters") == {"": added}
    whole = sum(p.numel() for p in parts.state.model.encoder.parameters())
    assert values(first, "adapter_parameter_ratio") == {"": pytest.approx(added / whole)}


def test_a_trained_model_has_its_adapters(start: Start, tiny_data: Path, tmp_path: Path) -> None:
    *_, last = fit(start(tmp_path, **PAL, **FROZEN, training={"epochs": 4}))
    model = TrainedModel(tmp_path / "checkpoints/evaluation-0004")
    for task, metric in (("sentiment", "accuracy"), ("paraphrase", "accuracy"), ("similarity", "pearson")):
        evaluation, _ = model.evaluate(task, "dev", model.data(task, tiny_data))
        assert evaluation.metrics[metric] == pytest.approx(last.scores[f"{task}.{metric}"], abs=1e-6)
