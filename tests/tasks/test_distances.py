"""Distances between outputs, against numbers worked by hand and torch's own divergence."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import kl_div

from mtsearch.tasks import Classification, PairClassification, PairRegression, Regression
from mtsearch.tasks.contract import Inventory, Logits
from mtsearch.tasks.distances import squared_error, symmetric_kl

INVENTORY = Inventory(("a", "b"), (1, 1), {"mean": 0.0, "deviation": 1.0})


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_divergence_worked_by_hand() -> None:
    half, quarter = Logits(torch.tensor([[0.0, 0.0]])), Logits(torch.tensor([[math.log(3), 0.0]]))
    # (1/2 - 3/4) · log (2/3) + (1/2 - 1/4) · log 2
    assert float(symmetric_kl(half, quarter)) == pytest.approx(math.log(3) / 4)


def test_it_is_the_divergence_both_ways_summed_over_rows() -> None:
    p, q = random_logits(5, 4), random_logits(5, 4, seed=1)
    log_p, log_q = p.log_softmax(-1), q.log_softmax(-1)
    both = [kl_div(a, b, reduction="sum", log_target=True) for a, b in ((log_p, log_q), (log_q, log_p))]
    assert float(symmetric_kl(Logits(p), Logits(q))) == pytest.approx(float(sum(both)), rel=1e-5)


@given(st.floats(-1e-3, 1e-3), st.integers(0, 100))
def test_nearly_equal_distributions_are_never_less_than_nothing_apart(size: float, seed: int) -> None:
    p = 5 * random_logits(3, 4, seed=seed)
    q = p + size * random_logits(3, 4, seed=seed + 1)
    assert float(symmetric_kl(Logits(p), Logits(q))) >= 0
    assert float(symmetric_kl(Logits(p), Logits(p))) == 0


def test_squared_error_is_summed_over_rows() -> None:
    assert float(squared_error(Logits(torch.tensor([1.0, 2.0])), Logits(torch.tensor([3.0, 5.0])))) == 13


@pytest.mark.parametrize("distance", [symmetric_kl, squared_error])
def test_what_is_masked_does_not_count_whatever_it_holds(distance: object) -> None:
    mask = torch.tensor([[True, False], [True, True]])
    p, q = random_logits(2, 2, 3), random_logits(2, 2, 3, seed=1)
    whole = distance(Logits(p[mask]), Logits(q[mask]))  # type: ignore[operator]
    p[0, 1], q[0, 1] = torch.nan, torch.inf
    p.requires_grad_()
    masked = distance(Logits(p, mask), Logits(q, mask))  # type: ignore[operator]
    assert float(masked.detach()) == pytest.approx(float(whole))
    masked.backward()
    assert p.grad is not None
    assert p.grad.isfinite().all()
    assert not p.grad[0, 1].any()


@pytest.mark.parametrize("distance", [symmetric_kl, squared_error])
def test_it_is_differentiable_in_both(distance: object) -> None:
    p, q = (random_logits(3, 4, seed=seed).double().requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda p, q: distance(Logits(p), Logits(q)), (p, q))  # type: ignore[operator]


@pytest.mark.parametrize("distance", [symmetric_kl, squared_error])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_compared_in_single(distance: object, dtype: torch.dtype) -> None:
    p = torch.tensor([[1.0, 0.0]], dtype=dtype)
    found = distance(Logits(p), Logits(p + 0.0078125))  # type: ignore[operator]
    assert found.dtype == torch.float32


def test_classes_diverge_and_numbers_differ() -> None:
    p, q = Logits(random_logits(3, 2)), Logits(random_logits(3, 2, seed=1))
    for kind in (Classification(data="x"), PairClassification(data="x")):
        assert torch.equal(kind.distance(p, q, INVENTORY), symmetric_kl(p, q))
    for number in (Regression(data="x"), PairRegression(data="x")):
        assert torch.equal(number.distance(p, q, INVENTORY), squared_error(p, q))
