"""Each task head alone on the frozen encoder, before everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtsearch.training import pretraining
from mtsearch.training.evaluate import Evaluation, NotFiniteError, evaluate_trial
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts, TaskParts
from mtsearch.training.pretraining import pretrain_heads
from tests.training.trials import STILL, assert_equal, numbers, snapshot

Start = Callable[..., Parts]

PRETRAINED: dict[str, Any] = {"individual_pretraining": {"epochs": 4, "lr": 0.01}, "epochs": 2}
SIMILARITY = {"kind": "pair_regression", "data": "stsb", "low": 0.0, "high": 5.0}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))


def head(parts: Parts, task: str) -> dict[str, torch.Tensor]:
    return snapshot(parts.state.model.heads[task])


def test_heads_change_and_the_encoder_does_not(start: Start) -> None:
    parts = start(training=PRETRAINED)
    before = snapshot(parts.state.model)
    pretrain_heads(parts)
    changed = {name for name, tensor in snapshot(parts.state.model).items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in changed} == {"heads"}


def test_afterwards_all_but_the_heads_is_as_before(start: Start) -> None:
    parts = start(training=PRETRAINED, unfreezing={"name": "layers", "first": 2})
    torch.manual_seed(3)
    random = torch.get_rng_state()
    trains = [parameter.requires_grad for parameter in parts.state.model.parameters()]
    pretrain_heads(parts)
    assert torch.equal(torch.get_rng_state(), random)
    assert [parameter.requires_grad for parameter in parts.state.model.parameters()] == trains
    assert all(parameter.grad is None for parameter in parts.state.model.parameters())
    assert not parts.state.optimizer.optimizer.state
    assert parts.state.progress.positions == {}


def test_the_best_of_each_head_is_kept(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    scores: dict[str, list[float]] = {}

    def look(parts: Parts, task: TaskParts) -> Evaluation:
        found = evaluate_trial(parts, task)
        scores.setdefault(task.name, []).append(found.metrics[task.kind.metrics[0]])
        return found

    monkeypatch.setattr(pretraining, "evaluate_trial", look)
    parts = start(training={"individual_pretraining": {"epochs": 4, "lr": 0.5}})
    told = {m.task: m.value for m in pretrain_heads(parts)}
    assert all(len(of_task) == 1 + 4 for of_task in scores.values())  # the first before any training
    assert told == {name: max(of_task) for name, of_task in scores.items()}
    assert any(of_task[-1] < max(of_task) for of_task in scores.values())  # or this would show nothing
    for name, task in parts.tasks.items():
        pretraining._score(parts, task)
        assert scores[name][-1] == told[name]


def test_a_head_that_has_run_away_is_never_the_best(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def diverge(parts: Parts, task: TaskParts) -> Evaluation:
        if task.name in seen:
            raise NotFiniteError
        seen.append(task.name)
        return evaluate_trial(parts, task)

    monkeypatch.setattr(pretraining, "evaluate_trial", diverge)
    parts = start(training=PRETRAINED)
    before = snapshot(parts.state.model)
    pretrain_heads(parts)
    assert_equal(snapshot(parts.state.model), before)


def test_it_gives_the_same_whatever_was_drawn_before_and_other_tasks_there_are(start: Start) -> None:
    joint, alone = (start(training=PRETRAINED, **only) for only in ({}, {"tasks": {"similarity": SIMILARITY}}))
    of_joint = {m.task: m for m in pretrain_heads(joint)}
    torch.rand(17)
    (of_alone,) = pretrain_heads(alone)
    assert of_alone == of_joint["similarity"]
    assert_equal(head(alone, "similarity"), head(joint, "similarity"))


def test_the_training_that_follows_draws_what_it_would_have_drawn(start: Start) -> None:
    # A rate that moves nothing: the heads stay, and so must all that comes after.
    idle = {"individual_pretraining": {"epochs": 1, "lr": 1e-30}}
    plain, pretrained = (numbers(list(fit(start(training=training)))) for training in ({}, idle))
    told = [{name: value for name, value in one.items() if "pretrained" not in name} for one in pretrained]
    assert told == plain


def test_the_first_report_alone_tells_of_it(start: Start) -> None:
    reports = list(fit(start(training=PRETRAINED)))
    told = [
        {(m.task, m.split, m.metric) for m in report.measurements if "pretrained" in m.metric} for report in reports
    ]
    assert told == [
        {
            ("sentiment", "dev", "pretrained_accuracy"),
            ("paraphrase", "dev", "pretrained_accuracy"),
            ("similarity", "dev", "pretrained_pearson"),
        },
        set(),
    ]
    assert not any("pretrained" in name for name in reports[0].scores)


def test_it_gives_the_same_with_and_without_the_prefix_cache(start: Start) -> None:
    def run(cache: bool) -> dict[str, float]:
        training = {"individual_pretraining": {"epochs": 2}, "precision": "fp32", "cache_frozen": cache}
        return {m.task: m.value for m in pretrain_heads(start(training=training))}

    assert run(True) == pytest.approx(run(False), abs=1e-4)


def test_the_momentum_teacher_starts_from_the_pretrained_heads(start: Start) -> None:
    parts = start(**STILL, training={**PRETRAINED, "precision": "fp32"}, regularizers={"proximal": {}})
    pretrain_heads(parts)
    (proximal,) = parts.state.regularizers
    assert_equal(proximal.tensors(), snapshot(parts.state.model))


def test_without_it_nothing_is_told_nor_changed(start: Start) -> None:
    parts = start()
    before = snapshot(parts.state.model)
    assert pretrain_heads(parts) == ()
    assert_equal(snapshot(parts.state.model), before)
