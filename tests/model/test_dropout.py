"""Dropout with packed random numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtsearch.model.dropout import Dropout, replace_dropout


def test_it_zeroes_the_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    out = Dropout(0.3)(torch.ones(1000, 501))
    dropped = (out == 0).float().mean().item()
    assert dropped == pytest.approx(0.3, abs=0.003)  # four standard deviations
    kept = out[out != 0]
    assert torch.equal(kept, torch.full_like(kept, 65536 / (65536 - round(0.3 * 65536))))
    assert out.mean().item() == pytest.approx(1.0, abs=0.005)


def test_neighbours_that_share_a_number_are_independent() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(200_000, 4)) == 0).float()
    correlation = torch.corrcoef(dropped.T) - torch.eye(4)
    assert correlation.abs().max() < 0.01


@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_any_size_will_do(size: int) -> None:
    assert Dropout(0.5)(torch.ones(size)).shape == (size,)


def test_the_gradient_has_the_mask_of_the_forward_pass() -> None:
    x = torch.ones(64, 64, requires_grad=True)
    out = Dropout(0.4)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())  # type: ignore[arg-type]


def test_the_mask_depends_on_torchs_seed_alone() -> None:
    drop, x = Dropout(0.4), torch.ones(33)
    torch.manual_seed(3)
    first, second = drop(x), drop(x)
    torch.manual_seed(3)
    assert torch.equal(drop(x), first)
    assert not torch.equal(first, second)


def test_in_evaluation_and_at_zero_nothing_changes_and_nothing_is_drawn() -> None:
    x = torch.randn(8, 8)
    before = torch.get_rng_state()
    assert Dropout(0.0)(x) is x
    assert Dropout(0.4).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_every_dropout_of_a_model_is_replaced_at_its_rate() -> None:
    shared = nn.Dropout(0.25)
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.ModuleDict({"a": shared, "b": nn.Sequential(shared)}))
    replace_dropout(model)
    rates = sorted(module.p for module in model.modules() if isinstance(module, Dropout))
    assert rates == [0.1, 0.25, 0.25]
    assert not any(type(module) is nn.Dropout for module in model.modules())
