"""Both estimators of the Hessian's diagonal, held to the exact one of a small nonlinear model with attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.optimizers.curvature import difference_product, draw_noise, exact_product
from tests.optimizers.models import SmallModel, batch, loss_of

ESTIMATORS = [pytest.param(exact_product, id="exact"), pytest.param(difference_product, id="finite_difference")]


def in_double(seed: int = 0) -> tuple[SmallModel, list[Any]]:
    """The model and its parameters that the first task uses, in float64, so that only the method errs."""
    model = SmallModel().double()
    return model, [p for name, p in model.named_parameters() if not name.startswith("heads.second")]


def double_loss(model: nn.Module) -> Tensor:
    ids, targets = batch(0)
    return functional.mse_loss(model(ids, "first"), targets.double())


def exact_hessian(model: SmallModel) -> Tensor:
    """[P, P], by torch's own second derivatives."""
    named = {name: p.detach() for name, p in model.named_parameters() if not name.startswith("heads.second")}
    sizes = [p.numel() for p in named.values()]

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split(sizes)
        values = {n: piece.view_as(p) for (n, p), piece in zip(named.items(), pieces, strict=True)}
        ids, targets = batch(0)
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            predicted = torch.func.functional_call(model, values, (ids, "first"))
        return functional.mse_loss(predicted, targets.double())

    flat = torch.cat([p.reshape(-1) for p in named.values()])
    return torch.autograd.functional.hessian(loss, flat)


def flat(tensors: list[Any]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@pytest.mark.parametrize("product", ESTIMATORS)
def test_a_product_is_the_hessian_times_the_noise(product: Any) -> None:
    model, parameters = in_double()
    noise = draw_noise(parameters, "gaussian", (0, 0))
    products = product(lambda: double_loss(model), parameters, noise)
    torch.testing.assert_close(flat(products), exact_hessian(model) @ flat(noise), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
@pytest.mark.parametrize("product", ESTIMATORS)
def test_the_mean_over_many_draws_is_the_diagonal(product: Any, distribution: Any) -> None:
    model, parameters = in_double()
    hessian = exact_hessian(model)
    draws = []
    for number in range(150):
        noise = draw_noise(parameters, distribution, (0, number))
        draws.append(flat(noise) * flat(product(lambda: double_loss(model), parameters, noise)))
    # The estimate of element i has the variance Σ_{j≠i} H_ij² (and 2 H_ii² more for Gaussian noise).
    diagonal = hessian.diagonal()
    variance = (hessian**2).sum(1) - diagonal**2 + (2 * diagonal**2 if distribution == "gaussian" else 0)
    scaled = (torch.stack(draws).mean(0) - diagonal) / (variance / len(draws)).sqrt().clamp_min(1e-9)
    assert scaled.abs().max() < 5
    assert 0.5 < scaled[variance > 1e-12].square().mean() < 2  # it does vary as much as theory says


def test_rademacher_noise_is_signs_and_gaussian_noise_is_not() -> None:
    parameters = [torch.zeros(100, 100), torch.zeros(3)]
    signs = flat(draw_noise(parameters, "rademacher", (1, 2)))
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.05
    normal = flat(draw_noise(parameters, "gaussian", (1, 2)))
    assert abs(normal.mean()) < 0.05
    assert normal.std() == pytest.approx(1, abs=0.05)


def test_noise_depends_on_both_numbers_of_its_seed_and_on_nothing_else() -> None:
    parameters = [torch.zeros(64)]
    torch.manual_seed(1)
    (first,) = draw_noise(parameters, "gaussian", (3, 4))
    torch.manual_seed(2)
    assert torch.equal(first, draw_noise(parameters, "gaussian", (3, 4))[0])
    others = [draw_noise(parameters, "gaussian", seed)[0] for seed in ((3, 5), (4, 4), (4, 3), (3 + 2**31 - 1, 4))]
    assert not any(torch.equal(first, other) for other in others)


def test_noise_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw_noise([torch.zeros(64)], "rademacher", (0, 0))
    draw_noise([torch.zeros(64)], "gaussian", (0, 0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("product", ESTIMATORS)
def test_dropout_is_the_same_in_every_pass_and_moves_the_generator_once(product: Any) -> None:
    x = nn.Parameter(torch.arange(1.0, 9.0))

    def loss() -> Tensor:
        return functional.dropout(x**2, 0.5).sum()

    torch.manual_seed(3)
    (found,) = product(loss, [x], [torch.ones(8)])
    after = torch.get_rng_state()
    torch.manual_seed(3)
    kept = functional.dropout(torch.ones(8), 0.5)
    torch.testing.assert_close(found, 2 * kept, rtol=1e-2, atol=1e-2)
    assert torch.equal(torch.get_rng_state(), after)


def test_a_difference_puts_the_parameters_back_bit_for_bit_even_after_an_error() -> None:
    model = SmallModel()
    parameters = list(model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    noise = draw_noise(parameters, "gaussian", (0, 0))
    difference_product(lambda: loss_of(model, 0), parameters, noise)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
    seen: list[bool] = []

    def failing() -> Tensor:
        seen.append(torch.equal(before[0], parameters[0]))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        difference_product(failing, parameters, noise)
    assert seen == [False]  # it had been moved
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))


def test_a_difference_in_single_precision_agrees_with_the_exact_product() -> None:
    model = SmallModel()
    parameters = [p for name, p in model.named_parameters() if not name.startswith("heads.second")]
    noise = draw_noise(parameters, "rademacher", (0, 0))
    exact = flat(exact_product(lambda: loss_of(model, 0), parameters, noise))
    difference = flat(difference_product(lambda: loss_of(model, 0), parameters, noise))
    assert (exact - difference).norm() / exact.norm() < 0.01


@pytest.mark.parametrize("product", ESTIMATORS)
def test_what_the_loss_is_linear_in_has_no_curvature_and_what_it_lacks_has_none_known(product: Any) -> None:
    curved, linear, absent = (nn.Parameter(torch.full((3,), 2.0)) for _ in range(3))
    parameters = [curved, linear, absent]
    noise = draw_noise(parameters, "rademacher", (0, 0))
    found = product(lambda: (curved**2).sum() + functional.relu(linear).sum(), parameters, noise)
    torch.testing.assert_close(found[0], 2 * noise[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1], torch.zeros(3), rtol=0, atol=1e-3)
    assert found[2] is None
    (only,) = product(lambda: functional.relu(linear).sum(), [linear], noise[:1])
    torch.testing.assert_close(only, torch.zeros(3), rtol=0, atol=1e-3)


@pytest.mark.parametrize("product", ESTIMATORS)
def test_a_loss_without_a_graph_has_no_curvature_known(product: Any) -> None:
    x = nn.Parameter(torch.ones(2))
    assert product(lambda: torch.zeros(()), [x], [torch.ones(2)]) == [None]


@pytest.mark.parametrize("product", ESTIMATORS)
def test_half_precision_around_it_does_not_reach_the_loss(product: Any) -> None:
    a = nn.Parameter(torch.ones(2, 2))
    types = []

    def loss() -> Tensor:
        values = a @ a
        types.append(values.dtype)
        return values.sum()

    with torch.autocast("cpu", torch.bfloat16):
        product(loss, [a], [torch.ones(2, 2)])
    assert set(types) == {torch.float32}
