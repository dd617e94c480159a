"""Freezing and thawing at work: gradients, modes, rates, and going on from a saved state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mtsearch.data.batching import Batch, Inputs
from mtsearch.errors import ConfigError
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.pooling import build_pooling
from mtsearch.tasks.contract import Encoded, Logits
from mtsearch.training.thawing import Thawing
from mtsearch.unfreezing import Everything, Gradual, Layers
from tests.model.test_layers import tiny

IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.layers = build_pooling("mean", 32), nn.Sequential(nn.Dropout(0.1), nn.Linear(32, 3))

    def forward(self, sequence: Encoded) -> Logits:
        return Logits(self.layers(self.pool(sequence.tokens_BLD, sequence.mask_BL)))


def model() -> MultitaskModel:
    torch.manual_seed(0)
    return MultitaskModel(tiny("bert"), {"task": Head()})


def trained_depths(of: MultitaskModel) -> set[int]:
    batch = Batch("task", torch.arange(2).numpy(), (Inputs(IDS, (IDS > 0).long()),), {})
    of(batch).values.sum().backward()
    return {of.depths[name] for name, parameter in of.named_parameters() if parameter.grad is not None}


def groups(of: MultitaskModel) -> list[dict[str, Any]]:
    depths = sorted(set(of.depths.values()))
    return [
        {"params": [p for name, p in of.named_parameters() if of.depths[name] == depth], "depth": depth}
        for depth in depths
    ]


@pytest.mark.parametrize(("epoch", "depths"), [(0, {3}), (1, {2, 3}), (2, {1, 2, 3}), (3, {0, 1, 2, 3})])
def test_only_what_is_thawed_gets_a_gradient(epoch: int, depths: set[int]) -> None:
    frozen = model()
    thawing = Thawing(frozen, Gradual(), epochs=9)
    thawing.start_epoch(epoch, 0)
    assert trained_depths(frozen) == thawing.trainable == depths


def test_an_epoch_says_what_thawed_in_it_and_only_once() -> None:
    thawing = Thawing(model(), Gradual(interval=2), epochs=9)
    assert thawing.start_epoch(0, 0) == set()
    assert thawing.start_epoch(1, 10) == set()
    assert thawing.start_epoch(2, 20) == {2}
    assert thawing.start_epoch(2, 25) == set()
    assert thawing.thawed_at == {2: 20}


def test_what_never_trains_is_frozen_before_the_optimizer_is_built() -> None:
    frozen = model()
    Thawing(frozen, Gradual(), epochs=2)
    assert {frozen.depths[name] for name, p in frozen.named_parameters() if p.requires_grad} == {2, 3}


def test_a_parameter_that_the_encoder_itself_freezes_stays_so() -> None:
    frozen = model()
    frozen.encoder.embeddings.position_embeddings.weight.requires_grad_(False)
    Thawing(frozen, Everything(), epochs=2).start_epoch(0, 0)
    assert not frozen.encoder.embeddings.position_embeddings.weight.requires_grad


def test_what_is_frozen_has_no_dropout_and_what_trains_has() -> None:
    frozen = model()
    thawing = Thawing(frozen, Layers(first=2), epochs=2)
    thawing.start_epoch(0, 0)
    frozen.eval()
    thawing.set_training_mode()
    layer = frozen.encoder.encoder.layer
    assert not any(module.training for part in (frozen.encoder.embeddings, layer[0]) for module in part.modules())
    assert all(module.training for part in (layer[1], frozen.heads) for module in part.modules())


@pytest.mark.parametrize(
    ("method", "prefix"),
    [(Everything(), None), (Layers(), 0), (Layers(last=0), 2), (Layers(last=0, embeddings=True), None)],
)
def test_the_frozen_prefix_ends_below_the_lowest_depth_that_trains(
    method: Everything | Layers, prefix: int | None
) -> None:
    thawing = Thawing(model(), method, epochs=1)
    thawing.start_epoch(0, 0)
    assert thawing.frozen_prefix == prefix


def test_a_thawed_depth_warms_up_and_the_schedules_rates_stay() -> None:
    thawing = Thawing(model(), Gradual(warmup_updates=4), epochs=9)
    thawing.start_epoch(0, 0)
    thawing.start_epoch(1, 10)
    optimizer = torch.optim.SGD(groups(model()), lr=1.0)
    seen = []
    for step in range(10, 16):
        with thawing.warmed(optimizer.param_groups, step):
            seen.append([group["lr"] for group in optimizer.param_groups])
        assert [group["lr"] for group in optimizer.param_groups] == [1.0] * 4
    assert [rates[2] for rates in seen] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [rates[3] for rates in seen] == [1.0] * 6  # trained from the start: the schedule's warm-up is theirs


def test_without_a_warmup_the_full_rate_comes_at_once() -> None:
    thawing = Thawing(model(), Gradual(), epochs=9)
    thawing.start_epoch(1, 10)
    optimizer = torch.optim.SGD(groups(model()), lr=1.0)
    with thawing.warmed(optimizer.param_groups, 10):
        assert [group["lr"] for group in optimizer.param_groups] == [1.0] * 4


def test_a_saved_state_goes_on_where_it_was() -> None:
    def train(thawing: Thawing, trained: MultitaskModel, optimizer: torch.optim.Optimizer, steps: range) -> None:
        trained.eval()
        for step in steps:
            thawing.start_epoch(step // 4, step)
            trained_depths(trained)
            with thawing.warmed(optimizer.param_groups, step):
                optimizer.step()
            optimizer.zero_grad()

    def start() -> tuple[Thawing, MultitaskModel, torch.optim.Optimizer]:
        made = model()
        return Thawing(made, Gradual(warmup_updates=3), epochs=4), made, torch.optim.SGD(groups(made), lr=1e-2)

    whole = start()
    train(*whole, range(14))
    first, second = start(), start()
    train(*first, range(6))  # in the midst of an epoch and of a warm-up
    second[1].load_state_dict(first[1].state_dict())
    second[0].load_state_dict(first[0].state_dict())
    assert second[0].start_epoch(1, 6) == set()
    train(*second, range(6, 14))
    assert second[0].thawed_at == whole[0].thawed_at == {2: 4, 1: 8, 0: 12}
    for one, other in zip(whole[1].parameters(), second[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_more_layers_than_there_are_is_told_when_it_is_built() -> None:
    with pytest.raises(ConfigError, match=r"unfreezing\.initially: must be at most the encoder's layers \(2\)"):
        Thawing(model(), Gradual(initially=3), epochs=1)
    assert "leave 1 of 2 layers and the embeddings frozen" in Thawing(model(), Gradual(), epochs=2).warnings[0]
