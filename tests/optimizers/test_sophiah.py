"""SophiaH's update, worked by hand, and what becomes of parameters and processes that are not always there."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from mtsearch.optimizers import AdamW, SophiaH, sophiah
from mtsearch.optimizers.contract import NeedsCurvature
from mtsearch.optimizers.sophiah import RunningSophiaH
from tests.optimizers.models import Quadratic, SmallModel, batch, loss_of


def update(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> None:
    """One update as the training loop does it."""
    optimizer.zero_grad()
    loss().backward()
    if isinstance(optimizer, NeedsCurvature) and optimizer.curvature_is_due():
        optimizer.estimate_curvature(loss)
    optimizer.step()


def momentum(optimizer: RunningSophiaH, parameter: Tensor) -> Tensor:
    return optimizer.state[parameter]["momentum"]


def curvature(optimizer: RunningSophiaH, parameter: Tensor) -> Tensor:
    return optimizer.state[parameter]["curvature"]


def test_two_steps_by_hand() -> None:
    model = Quadratic(torch.tensor([[10.0, 1.0, -2.0]]), torch.tensor([[1.0, 3.0, 1.0]]))
    config = SophiaH(lr=0.1, beta1=0.9, beta2=0.5, rho=0.2, weight_decay=0.5, hessian_interval=1)
    optimizer = config.build(model, seed=0)

    update(optimizer, model)
    # g = λx = (10, 3, -2), m = 0.1 g = (1, 0.3, -0.2); ĥ = λ, as Rademacher noise is exact on a diagonal.
    # m / max(ĥ, ε) = (0.1, 0.3, -2e11), clipped to (0.1, 0.2, -0.2); decay takes 0.1 · 0.5 of x first.
    first = torch.tensor([[0.95 - 0.01, 2.85 - 0.02, 0.95 + 0.02]])
    torch.testing.assert_close(model.x.detach(), first)

    model.curvatures = torch.tensor([[4.0, 1.0, 10.0]])
    update(optimizer, model)
    # g = λx = (3.76, 2.83, 9.7), m = 0.9 m + 0.1 g = (1.276, 0.553, 0.79).
    # h = 0.5 h + 0.5 λ over 1 - 0.5²: ĥ = (10 + 2·4, 1 + 2·1, -2 + 2·10) / 3 = (6, 1, 6).
    # The steps are (0.21267, 0.553, 0.131667), clipped to (0.2, 0.2, 0.131667).
    second = first * 0.95 - 0.1 * torch.tensor([[0.2, 0.2, 0.79 / 6]])
    torch.testing.assert_close(model.x.detach(), second)
    torch.testing.assert_close(curvature(optimizer, model.x), torch.tensor([[6.0, 1.0, 6.0]]))


def test_it_is_the_papers_update_in_other_letters() -> None:
    """clip(m / max(h, ε), ±ρ) at rate lr is clip(m / max(γh, ε'), ±1) with γ = ρ, ε' = ρε at rate lr ρ."""
    m, h = torch.randn(1000), torch.randn(1000)
    lr, rho, eps = 4e-4, 0.02, 1e-12
    ours = lr * (m / h.clamp_min(eps)).clamp(-rho, rho)
    papers = lr * rho * (m / (rho * h).clamp_min(rho * eps)).clamp(-1, 1)
    torch.testing.assert_close(ours, papers)


def test_the_first_estimate_is_for_the_first_step_and_then_one_comes_every_interval() -> None:
    model = Quadratic(torch.ones(2), torch.ones(2))
    optimizer = SophiaH(hessian_interval=3).build(model, seed=0)
    due = []
    for _ in range(7):
        due.append(optimizer.curvature_is_due())
        update(optimizer, model)
    assert due == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
def test_an_estimate_leaves_gradients_and_parameters_as_they_are(estimator: Any) -> None:
    model = SmallModel()
    optimizer = SophiaH(estimator=estimator).build(model, seed=0)
    loss_of(model, 0).backward()
    before = [(p.detach().clone(), None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    optimizer.estimate_curvature(lambda: loss_of(model, 0))
    for parameter, (value, gradient) in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
        assert gradient is None if parameter.grad is None else torch.equal(parameter.grad, gradient)


def test_it_beats_adamw_where_curvatures_differ_by_a_million() -> None:
    """With the same bound of 0.1 on an element's step, against AdamW at the best of its settings."""
    curvatures = torch.logspace(-3, 3, 30)
    start = torch.randn(30, generator=torch.Generator().manual_seed(0))

    def reached(config: AdamW | SophiaH) -> float:
        model = Quadratic(curvatures, start)
        optimizer = config.build(model, seed=0)
        for _ in range(100):
            update(optimizer, model)
        return model().item()

    adamw = min(
        reached(AdamW(lr=lr, beta1=beta1, weight_decay=0)) for lr in (0.1, 0.03, 0.01) for beta1 in (0.0, 0.5, 0.9)
    )
    ours = reached(SophiaH(lr=0.5, rho=0.2, beta1=0.5, weight_decay=0))
    assert ours < 1e-6 * adamw


@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
def test_a_network_learns(estimator: Any) -> None:
    model = SmallModel()
    optimizer = SophiaH(lr=0.5, rho=0.04, beta1=0.9, weight_decay=0, estimator=estimator).build(model, seed=0)
    before = loss_of(model, 0).item()
    for _ in range(100):
        update(optimizer, lambda: loss_of(model, 0))
    assert loss_of(model, 0).item() < 0.1 * before


def test_another_tasks_head_waits_for_its_own_first_gradient_and_estimate() -> None:
    model = SmallModel()
    optimizer = SophiaH(lr=0.1, rho=0.02, weight_decay=0.0, hessian_interval=2).build(model, seed=0)
    head = model.heads["second"].weight
    before = head.detach().clone()
    for number in range(3):
        update(optimizer, partial(loss_of, model, number, "first"))
    assert torch.equal(head, before)
    assert head not in optimizer.state

    update(optimizer, lambda: loss_of(model, 3, "second"))  # between estimates: its curvature is not known yet
    moved = (head.detach() - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1 * 0.02), rtol=1e-3, atol=0)
    assert optimizer.state[head]["estimates"] == 0

    update(optimizer, lambda: loss_of(model, 4, "second"))
    assert optimizer.state[head]["estimates"] == 1
    assert optimizer.state[model.encoder["layers"][0].qkv.weight]["estimates"] == 3


def test_a_first_estimate_counts_in_full_however_late_it_comes() -> None:
    x, late = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = RunningSophiaH([{"params": [x, late], "lr": 1e-3, "weight_decay": 0.0}], SophiaH(hessian_interval=1), 0)
    for _ in range(5):
        update(optimizer, lambda: 1.5 * (x**2).sum())
    update(optimizer, lambda: 1.5 * (x**2).sum() + 2.5 * (late**2).sum())
    torch.testing.assert_close(curvature(optimizer, x), torch.full((2,), 3.0))
    torch.testing.assert_close(curvature(optimizer, late), torch.full((2,), 5.0))


def test_a_layer_that_thaws_later_is_estimated_from_then_on() -> None:
    model = SmallModel()
    model.encoder.requires_grad_(False)
    optimizer = SophiaH(hessian_interval=1).build(model, seed=0)
    weight = model.encoder["layers"][1].qkv.weight
    for number in range(2):
        update(optimizer, partial(loss_of, model, number))
    assert weight not in optimizer.state
    model.encoder["layers"][1].requires_grad_(True)
    before = weight.detach().clone()
    update(optimizer, lambda: loss_of(model, 2))
    assert optimizer.state[weight]["estimates"] == 1
    assert not torch.equal(weight, before)
    assert curvature(optimizer, weight).abs().max() > 0


def test_where_there_is_no_second_derivative_the_step_is_the_bound() -> None:
    x = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = RunningSophiaH([{"params": [x], "lr": 0.5, "weight_decay": 0.0}], SophiaH(rho=0.1), seed=0)
    update(optimizer, lambda: functional.relu(x).sum())
    torch.testing.assert_close(x.detach(), torch.tensor([0.95, 1.95]))
    assert optimizer.state[x]["estimates"] == 1
    assert optimizer.measured() == {"clipped_fraction": 1.0, "mean_hessian": 0.0}


def test_a_gradient_clipped_before_the_step_damps_it_as_much() -> None:
    def moved(factor: float) -> Tensor:
        model = Quadratic(torch.tensor([2.0, 5.0]), torch.tensor([1.0, 1.0]))
        optimizer = SophiaH(lr=1.0, rho=1.0, weight_decay=0).build(model, seed=0)
        model().backward()
        optimizer.estimate_curvature(model)
        model.x.grad *= factor
        optimizer.step()
        return 1 - model.x.detach()

    torch.testing.assert_close(moved(0.25), 0.25 * moved(1.0))


def test_it_logs_means_since_it_was_last_asked() -> None:
    model = Quadratic(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0]))
    optimizer = SophiaH(lr=0.1, rho=1e-3, hessian_interval=2).build(model, seed=0)
    assert optimizer.measured() == {}
    update(optimizer, model)
    # The first element has no gradient and does not move; the second is beyond the bound.
    assert optimizer.measured() == {"clipped_fraction": 1.0, "mean_hessian": 2.0}
    update(optimizer, model)
    assert optimizer.measured() == {}


@pytest.mark.parametrize(
    "config", [SophiaH(hessian_interval=2), SophiaH(estimator="finite_difference", noise="gaussian")]
)
@pytest.mark.parametrize("interrupted_after", [2, 3])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(config: SophiaH, interrupted_after: int) -> None:
    def train(model: nn.Module, optimizer: RunningSophiaH, numbers: range) -> None:
        for number in numbers:
            update(optimizer, partial(loss_of, model, number, ("first", "second")[number % 2]))

    whole, first, second = SmallModel(), SmallModel(), SmallModel()
    train(whole, config.build(whole, seed=3), range(7))
    optimizer = config.build(first, seed=3)
    train(first, optimizer, range(interrupted_after))

    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"] = json.loads(json.dumps(saved["param_groups"]))  # as a checkpoint keeps them
    plain = [value for state in saved["state"].values() for value in state.values() if not isinstance(value, Tensor)]
    assert json.loads(json.dumps(plain)) == plain
    second.load_state_dict(first.state_dict())
    resumed = config.build(second, seed=3)
    resumed.load_state_dict(saved)
    train(second, resumed, range(interrupted_after, 7))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def in_processes(work: Callable[[int, Callable[[list[Tensor]], None]], Any], order: tuple[int, ...]) -> list[Any]:
    """Run ``work`` as so many processes; ``reduce`` adds up in this order."""
    barrier = threading.Barrier(len(order))
    offered: dict[int, list[Tensor]] = {}
    results: dict[int, Any] = {}

    def reduce_as(rank: int) -> Callable[[list[Tensor]], None]:
        def reduce(tensors: list[Tensor]) -> None:
            offered[rank] = [tensor.clone() for tensor in tensors]
            barrier.wait(60)
            for i, tensor in enumerate(tensors):
                tensor.zero_()
                for other in order:
                    tensor += offered[other][i]
            barrier.wait(60)

        return reduce

    def run(rank: int) -> None:
        results[rank] = work(rank, reduce_as(rank))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in order]
    # Which attention kernels are allowed is said for the whole process, and put back by the thread that ends first.
    with sdpa_kernel(SDPBackend.MATH):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [results[rank] for rank in range(len(order))]


def estimates(optimizer: RunningSophiaH, model: nn.Module) -> dict[str, Tensor]:
    return {n: curvature(optimizer, p) for n, p in model.named_parameters() if p in optimizer.state}


@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
def test_processes_estimate_together_what_one_would_whichever_comes_first(estimator: Any) -> None:
    """Two processes with half of the rows each; the third has none."""
    config = SophiaH(estimator=estimator)
    ids, targets = batch(0)

    def work(rank: int, reduce: Callable[[list[Tensor]], None]) -> dict[str, Tensor]:
        model = models[rank]
        optimizer = config.build(model, seed=5)
        rows = slice(2 * rank, 2 * rank + 2)

        def loss() -> Tensor:
            if rank == 2:
                return torch.zeros(())
            return functional.mse_loss(model(ids[rows], "first"), targets[rows], reduction="sum") / 4

        optimizer.estimate_curvature(loss, reduce)
        return estimates(optimizer, model)

    models = [SmallModel() for _ in range(3)]
    forward, backward = in_processes(work, (0, 1, 2)), in_processes(work, (2, 1, 0))
    alone = config.build(models[0], seed=5)
    alone.estimate_curvature(lambda: loss_of(models[0], 0))
    expected = estimates(alone, models[0])
    assert not any(name.startswith("heads.second") for name in expected)  # in no process's loss
    for found in (*forward, *backward):
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            assert torch.equal(tensor, forward[0][name])
            torch.testing.assert_close(tensor, expected[name], rtol=0.05, atol=2e-3)


def test_the_same_noise_for_the_same_seed_and_other_noise_for_another() -> None:
    def estimate(seed: int, drawn_before: int) -> Tensor:
        model = SmallModel()
        torch.manual_seed(drawn_before)
        optimizer = SophiaH().build(model, seed)
        before = torch.get_rng_state()
        optimizer.estimate_curvature(lambda: loss_of(model, 0))
        assert torch.equal(torch.get_rng_state(), before)  # this model draws nothing itself
        return curvature(optimizer, model.encoder["layers"][0].qkv.weight)

    assert torch.equal(estimate(1, 0), estimate(1, 99))
    assert not torch.equal(estimate(1, 0), estimate(2, 0))


def test_each_estimate_has_noise_of_its_own() -> None:
    model = SmallModel()
    optimizer = SophiaH(hessian_interval=1, beta2=0.0, lr=1e-30).build(model, seed=0)
    weight = model.encoder["layers"][0].qkv.weight
    found = []
    for _ in range(2):
        update(optimizer, lambda: loss_of(model, 0))
        found.append(curvature(optimizer, weight).clone())
    assert not torch.equal(*found)


def test_steps_in_pieces_are_the_steps_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> list[Tensor]:
        model = SmallModel()
        optimizer = SophiaH(lr=0.1, hessian_interval=2).build(model, seed=0)
        for number in range(3):
            update(optimizer, partial(loss_of, model, number))
        return [*model.parameters(), torch.tensor(list(optimizer.measured().values()))]

    whole = trained()
    monkeypatch.setattr(sophiah, "_CACHED_ELEMENTS", 4)
    assert all(torch.equal(a, b) for a, b in zip(whole, trained(), strict=True))


def test_a_closure_is_called_as_torch_has_it() -> None:
    model = Quadratic(torch.ones(1), torch.ones(1))
    optimizer = SophiaH().build(model, seed=0)

    def closure() -> float:
        loss = model()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 0.5
    assert model.x.item() < 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hessian_interval", 0),
        ("hessian_batch_ratio", 0.0),
        ("hessian_batch_ratio", 1.5),
        ("rho", 0.0),
        ("beta2", 1.0),
        ("eps", 0.0),
    ],
)
def test_values_without_sense_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        SophiaH.model_validate({field: value})
