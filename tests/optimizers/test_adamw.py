"""AdamW, as the config builds it."""

from __future__ import annotations

import torch

from mtsearch.optimizers import AdamW
from mtsearch.optimizers.contract import NeedsCurvature
from tests.optimizers.models import SmallModel, loss_of


def test_a_step_is_adams_with_decoupled_decay() -> None:
    model = SmallModel()
    optimizer = AdamW(lr=0.1, weight_decay=0.5, beta1=0.8, beta2=0.9, eps=1e-3).build(model, seed=0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loss_of(model, 0).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        if parameter.grad is None:  # the other task's head
            assert torch.equal(parameter, before[name])
            continue
        decay = 0.5 if parameter.ndim >= 2 else 0.0
        # After one step both means are corrected to the gradient itself.
        expected = before[name] * (1 - 0.1 * decay) - 0.1 * parameter.grad / (parameter.grad.abs() + 1e-3)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)


def test_a_layer_that_thaws_later_starts_with_steps_of_its_own() -> None:
    model = SmallModel()
    model.encoder.requires_grad_(False)
    optimizer = AdamW(lr=0.1, weight_decay=0.0, eps=1e-12).build(model, seed=0)
    for number in range(3):
        loss_of(model, number).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.encoder.requires_grad_(True)
    weight = model.encoder["layers"][1].qkv.weight
    before = weight.detach().clone()
    loss_of(model, 3).backward()
    optimizer.step()
    # A first step of Adam has the length of the rate wherever there is a gradient.
    moved = (before - weight.detach()).abs()[weight.grad.abs() > 1e-6]
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1), rtol=1e-3, atol=0)


def test_it_asks_for_no_curvature() -> None:
    assert not isinstance(AdamW().build(SmallModel(), seed=0), NeedsCurvature)
