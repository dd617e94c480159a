"""The momentum teacher: its average, what it shares with the model, and what is learned from it."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from mtsearch.data.batching import Batch
from mtsearch.model.multitask import MultitaskModel
from mtsearch.regularizers import Proximal
from mtsearch.regularizers.contract import RunningRegularizer
from mtsearch.regularizers.replay import RandomState
from mtsearch.tasks.contract import TaskKind
from tests.regularizers.tiny import INVENTORY, KINDS, assert_is_gradient_of, build_batch, build_model

RANDOM = RandomState.now(torch.device("cpu"))
BIAS = "encoder.encoder.layer.0.output.dense.bias"


def penalise(running: RunningRegularizer, model: MultitaskModel, batch: Batch, kind: TaskKind) -> Tensor:
    return running.penalty(model, batch, kind, INVENTORY, model(batch), RANDOM)


def shift(model: MultitaskModel, by: float) -> None:
    """An update that moves every trainable parameter."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += by


def test_the_teacher_is_the_moving_average_of_the_weights() -> None:
    model = build_model(KINDS["classification"])
    first = model.get_parameter(BIAS).detach().clone()
    running = Proximal(momentum=0.9).build(model)
    for by in (1.0, 10.0):  # to first + 1, then to first + 11
        shift(model, by)
        running.after_update(model)
    # 0.9 · (0.9 · 0 + 0.1 · 1) + 0.1 · 11
    torch.testing.assert_close(running.tensors()[BIAS], first + 1.19)


@pytest.mark.parametrize("name", KINDS)
def test_the_penalty_is_the_distance_from_the_teacher_without_dropout(name: str) -> None:
    kind = KINDS[name]
    model, batch = build_model(kind), build_batch(kind)
    running = Proximal(weight=2.0).build(model)
    teacher = deepcopy(model).eval()
    shift(model, 0.01)
    logits = model(batch)
    expected = 2 * kind.distance(logits, teacher(batch), INVENTORY)
    penalty = running.penalty(model, batch, kind, INVENTORY, logits, RANDOM)
    assert penalty.item() == pytest.approx(expected.item())
    assert penalty.item() > 0


def test_a_model_that_has_not_moved_costs_nothing() -> None:
    kind = KINDS["regression"]
    model, batch = build_model(kind, dropout=0.0), build_batch(kind)
    for running in (Proximal().build(model), Proximal(momentum=0.0).build(model)):
        running.after_update(model)
        assert penalise(running, model, batch, kind).item() == 0.0


def test_without_momentum_the_teacher_is_the_model() -> None:
    model = build_model(KINDS["regression"])
    running = Proximal(momentum=0.0).build(model)
    shift(model, 0.5)
    running.after_update(model)
    assert all(torch.equal(running.tensors()[name], parameter) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("name", KINDS)
def test_parameters_learn_and_the_teacher_does_not(name: str) -> None:
    kind = KINDS[name]
    model, batch = build_model(kind, dropout=0.0).double(), build_batch(kind)
    running = Proximal().build(model)
    shift(model, 0.05)
    parameters = dict(model.named_parameters())
    penalty = penalise(running, model, batch, kind)
    found = torch.autograd.grad(penalty, list(parameters.values()), materialize_grads=True)
    assert_is_gradient_of(
        lambda: penalise(running, model, batch, kind), dict(zip(parameters, found, strict=True)), model
    )
    assert not any(tensor.requires_grad for tensor in running.tensors().values())


def test_modes_and_generators_are_left_as_they_were() -> None:
    kind = KINDS["classification"]
    model, batch = build_model(kind), build_batch(kind)
    model.get_submodule("encoder.encoder.layer.0").eval()  # as a frozen layer is
    modes = [module.training for module in model.modules()]
    logits = model(batch)
    state = torch.get_rng_state()
    Proximal().build(model).penalty(model, batch, kind, INVENTORY, logits, RANDOM)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_frozen_is_not_copied_and_joins_when_it_has_thawed() -> None:
    kind = KINDS["classification"]
    model, batch = build_model(kind), build_batch(kind)
    layer = model.get_submodule("encoder.encoder.layer.0").requires_grad_(False)
    running = Proximal(momentum=0.9).build(model)
    shift(model, 0.1)
    running.after_update(model)
    assert BIAS not in running.tensors()
    layer.requires_grad_(True)
    assert penalise(running, model, batch, kind).item() > 0
    shift(model, 0.1)
    running.after_update(model)
    torch.testing.assert_close(running.tensors()[BIAS], model.get_parameter(BIAS).detach())
    entered = running.tensors()[BIAS].clone()
    shift(model, 1.0)
    running.after_update(model)
    torch.testing.assert_close(running.tensors()[BIAS], entered + 0.1)


def test_a_saved_teacher_goes_on_where_it_was() -> None:
    kind = KINDS["siamese"]
    model, batch = build_model(kind, dropout=0.0), build_batch(kind)
    running = Proximal().build(model)
    shift(model, 0.1)
    running.after_update(model)
    saved = {name: tensor.clone() for name, tensor in running.tensors().items()}
    resumed_model = deepcopy(model)
    resumed = Proximal().build(resumed_model)
    resumed.load_tensors(saved)
    for by in (0.1, -0.3):
        expected = penalise(running, model, batch, kind)
        assert torch.equal(penalise(resumed, resumed_model, batch, kind), expected)
        for one, of in ((running, model), (resumed, resumed_model)):
            shift(of, by)
            one.after_update(of)
    assert all(torch.equal(resumed.tensors()[name], tensor) for name, tensor in running.tensors().items())
    assert not any(torch.equal(saved[name], tensor) for name, tensor in running.tensors().items())  # a copy was loaded
