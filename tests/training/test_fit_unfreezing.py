"""Layers that thaw while a trial trains: what moves when, going on after an interruption, and the prefix cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtsearch.data.cache import cache_folder
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from mtsearch.training.report import Objective
from tests.training.trials import assert_equal, numbers, snapshot, values, weights

Start = Callable[..., Parts]

GRADUAL: dict[str, Any] = {
    "unfreezing": {"name": "gradual"},
    "training": {"epochs": 4, "batch_size": 8},
    "sampler": {"name": "uniform", "examples_per_task": 16},
}
"""Six updates an epoch; the tiny encoder's layers thaw at the second and third, its embeddings at the fourth."""
TRAINABLE = ({3}, {2, 3}, {1, 2, 3}, {0, 1, 2, 3})


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))


def depths_with_state(parts: Parts) -> set[int]:
    """Of the parameters of which the optimizer keeps anything."""
    depths = {id(p): parts.state.model.depths[name] for name, p in parts.state.model.named_parameters()}
    return {depths[id(parameter)] for parameter, state in parts.state.optimizer.optimizer.state.items() if state}


@pytest.mark.parametrize("optimizer", ["adamw", "sophiah"])
def test_what_is_frozen_neither_moves_nor_has_optimizer_state_until_it_thaws(start: Start, optimizer: str) -> None:
    parts = start(**GRADUAL, optimizer={"name": optimizer, "lr": 1e-3})
    before = snapshot(parts.state.model)
    for trainable, _ in zip(TRAINABLE, fit(parts), strict=True):
        now = snapshot(parts.state.model)
        moved = {parts.state.model.depths[name] for name in now if not torch.equal(now[name], before[name])}
        assert moved == trainable
        assert depths_with_state(parts) == trainable
        before = now


def test_early_stopping_waits_anew_after_a_thaw(start: Start) -> None:
    training = {**GRADUAL["training"], "early_stopping_patience": 1}
    still = {"optimizer": {"name": "adamw", "lr": 1e-12}}  # the score cannot move: evaluation 1 stays the best
    assert len(list(fit(start(**{**GRADUAL, **still, "training": training})))) == 4
    assert len(list(fit(start(**{**GRADUAL, **still, "training": training, "unfreezing": {"name": "none"}})))) == 3


def test_every_report_tells_what_trained(start: Start) -> None:
    parts = start(**GRADUAL)
    sizes = dict.fromkeys(range(4), 0)
    for name, parameter in parts.state.model.named_parameters():
        sizes[parts.state.model.depths[name]] += parameter.numel()
    reports = list(fit(parts))
    assert [values(report, "lowest_trainable_depth")[""] for report in reports] == [3, 2, 1, 0]
    told = [values(report, "trainable_parameters")[""] for report in reports]
    assert told == [sum(sizes[depth] for depth in trainable) for trainable in TRAINABLE]


def test_a_trial_that_trains_everything_tells_nothing_of_it(start: Start) -> None:
    report = next(fit(start()))
    assert {"lowest_trainable_depth", "trainable_parameters"}.isdisjoint(m.metric for m in report.measurements)


def test_dropout_of_frozen_layers_is_off(start: Start) -> None:
    def scores(dropout: float) -> list[dict[str, float]]:
        frozen = {"unfreezing": {"name": "layers", "last": 0}, "training": {"cache_frozen": False}}
        return numbers(list(fit(start(encoder={"dropout": dropout, "attention_dropout": dropout}, **frozen))))

    assert scores(0.6) == scores(0.0)


def test_a_thawed_layer_warms_up_while_what_is_above_it_goes_on(start: Start) -> None:
    gradual = {"name": "gradual", "warmup_updates": 4}
    parts = start(
        **{**GRADUAL, "unfreezing": gradual}, optimizer={"name": "adamw", "lr": 1.0}, schedule={"name": "none"}
    )
    rates: list[dict[int, float]] = []

    def look(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        rates.append({group["depth"]: group["lr"] for group in optimizer.param_groups})

    parts.state.optimizer.optimizer.register_step_pre_hook(look)
    trial = fit(parts)
    for _ in range(2):
        next(trial)
    trial.close()
    assert [step[2] for step in rates[6:]] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [step[3] for step in rates] == [1] * 12


@pytest.mark.parametrize(("method", "rates"), [("none", [1, 1, 1, 0.1, 0.1]), ("gradual", [1, 1, 1, 1, 1])])
def test_plateau_is_patient_again_after_a_thaw(start: Start, method: str, rates: list[float]) -> None:
    sections = {**GRADUAL, "unfreezing": {"name": method}, "training": {"epochs": 5}}
    parts = start(
        **sections,
        optimizer={"name": "adamw", "lr": 1e-6},
        schedule={"name": "plateau", "patience": 1},
        objective=Objective("sentiment.accuracy"),  # at this rate it cannot move: the first evaluation stays the best
    )
    told = [values(report, "encoder_lr")[""] / 1e-6 for report in fit(parts)]
    assert told == pytest.approx(rates)


@pytest.mark.parametrize(("evaluations_per_epoch", "interruptions"), [(1, (1, 2, 3)), (2, (1, 3, 5, 7))])
def test_interrupted_in_any_epoch_and_resumed_equals_uninterrupted_bit_for_bit(
    start: Start, tmp_path: Path, evaluations_per_epoch: int, interruptions: tuple[int, ...]
) -> None:
    sections = {
        **GRADUAL,
        "unfreezing": {"name": "gradual", "warmup_updates": 5},  # half of it is done in the middle of an epoch
        "training": {"epochs": 4, "evaluations_per_epoch": evaluations_per_epoch, "interference_interval": 2},
        "schedule": {"name": "plateau", "patience": 0},
    }
    whole = list(fit(start(tmp_path / "whole", **sections)))
    last = f"checkpoints/evaluation-{len(whole):04d}"
    for number in interruptions:
        first = fit(start(tmp_path / f"first-{number}", **sections))
        head = [next(first) for _ in range(number)]
        first.close()
        resume = latest_checkpoint(tmp_path / f"first-{number}")
        tail = list(fit(start(tmp_path / f"second-{number}", resume=resume, **sections)))
        assert numbers([*head, *tail[1:]]) == numbers(whole)
        assert [report.interference for report in [*head, *tail[1:]]] == [report.interference for report in whole]
        assert_equal(weights(tmp_path / f"second-{number}" / last), weights(tmp_path / "whole" / last))


def test_scores_are_the_same_with_and_without_the_prefix_cache(start: Start) -> None:
    def run(cache: bool) -> list[dict[str, float]]:
        training = {"epochs": 4, "precision": "fp32", "cache_frozen": cache}
        return numbers(list(fit(start(**{**GRADUAL, "training": training}))))

    cached = run(True)
    assert (cache_folder() / "activations").exists()
    for with_cache, without in zip(cached, run(False), strict=True):
        assert with_cache == pytest.approx(without, abs=1e-4)


def test_what_one_trial_has_computed_serves_the_next_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = {"unfreezing": {"name": "layers", "last": 0}}
    first = numbers(list(fit(start(**frozen))))
    monkeypatch.setattr("mtsearch.training.prefix_cache.states_above", None)
    assert numbers(list(fit(start(**frozen)))) == first


def test_a_full_disk_changes_no_number_and_is_told_once(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cached = numbers(list(fit(start(**GRADUAL))))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "another"))
    parts = start(**GRADUAL)
    monkeypatch.setattr("mtsearch.data.activations.os.fsync", full)
    with caplog.at_level(logging.WARNING):
        assert numbers(list(fit(parts))) == cached
    (warning,) = caplog.messages
    assert "No space left on device" in warning


def test_smart_computes_frozen_layers_each_time_since_it_moves_their_input(start: Start) -> None:
    frozen = {"unfreezing": {"name": "layers", "first": 2}}
    report = next(fit(start(**frozen, regularizers={"smart": {}})))
    assert values(report, "smart_penalty")[""] > 0
    assert not (cache_folder() / "activations").exists()


def test_layers_that_never_thaw_are_warned_of(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        start(**{**GRADUAL, "training": {"epochs": 2}})
    (warning,) = caplog.messages
    assert "2 epochs leave 1 of 2 layers and the embeddings frozen to the end" in warning


def test_a_report_says_that_the_cache_was_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE_BYTES", "10")
    reports = list(fit(start(**GRADUAL)))
    assert ["can no longer be cached" in " ".join(report.warnings) for report in reports].count(True) == 1
