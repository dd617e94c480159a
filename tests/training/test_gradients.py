"""Each task's gradient in its row, held to ``torch.autograd.grad``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mtsearch.surgery import PCGrad
from mtsearch.training import gradients as module
from mtsearch.training.gradients import TaskGradients, cosines

TASKS = ("a", "b", "c")


class Tiny(nn.Module):
    """Embedding, two layers and a part that only long inputs use, under one task head each."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {
                "embedding": nn.Embedding(11, 6, padding_idx=0),
                "norm": nn.LayerNorm(6),
                "lower": nn.Linear(6, 6),
                "rare": nn.Linear(6, 6),
                "never": nn.Linear(6, 6),
            }
        )
        self.heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in TASKS})

    def forward(self, task: str, ids: Tensor, rare: bool = False) -> Tensor:
        hidden = torch.tanh(self.encoder["lower"](self.encoder["norm"](self.encoder["embedding"](ids))))
        if rare:
            hidden = self.encoder["rare"](hidden)
        loss: Tensor = self.heads[task](hidden.mean(1)).square().mean()
        return loss


@pytest.fixture
def model() -> Tiny:
    torch.manual_seed(0)
    return Tiny()


def batches(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {task: torch.randint(1, 11, (4, 5), generator=generator) for task in TASKS}


def shared(model: Tiny) -> list[nn.Parameter]:
    return list(model.encoder.parameters())


def gradient_of(model: Tiny, loss: Tensor) -> Tensor:
    """The gradient over the shared parameters as one vector, by autograd alone."""
    found = torch.autograd.grad(loss, shared(model), allow_unused=True)
    return torch.cat(
        [torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(found, shared(model), strict=True)]
    )


def now(model: Tiny) -> Tensor:
    """``p.grad`` of the shared parameters as one vector."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in shared(model)])


def differentiate(model: Tiny, gradients: TaskGradients, seed: int = 0, tasks: Sequence[str] = TASKS) -> None:
    for task in tasks:
        gradients.receive(TASKS.index(task))
        model(task, batches(seed)[task]).backward()


def test_a_row_is_the_sum_of_its_tasks_gradients_in_whatever_order_they_come(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 3)
    expected = {task: torch.zeros(()) for task in TASKS}
    for seed, task in enumerate("abacbca"):
        gradients.receive(TASKS.index(task))
        model(task, batches(seed)[task]).backward()
        expected[task] = expected[task] + gradient_of(model, model(task, batches(seed)[task]))
    torch.testing.assert_close(gradients._buffer_KP, torch.stack(list(expected.values())))


def test_autograd_adds_in_place_for_every_kind_of_parameter(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients)
    for parameter, view in zip(shared(model), gradients._views[2], strict=True):
        assert parameter.grad is view
        assert view.untyped_storage().data_ptr() == gradients._buffer_KP.untyped_storage().data_ptr()
    assert model.encoder["embedding"].weight.grad.abs().sum() > 0


def test_task_heads_keep_gradients_of_their_own(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients)
    expected = torch.autograd.grad(model("b", batches()["b"]), model.heads["b"].weight)[0]
    torch.testing.assert_close(model.heads["b"].weight.grad, expected)
    gradients.combine(torch.tensor([0.0, 5.0, 0.0]))
    torch.testing.assert_close(model.heads["b"].weight.grad, expected)


def test_the_gramian_holds_all_inner_products(model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 50)  # does not divide the number of parameters
    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients)
    rows = torch.stack([gradient_of(model, model(task, batches()[task])) for task in TASKS])
    torch.testing.assert_close(gradients.gramian(), rows @ rows.T)


def test_an_update_with_fewer_tasks_is_about_those_alone(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients, seed=1)
    gradients.combine(torch.ones(3))
    differentiate(model, gradients, tasks=("c", "b"))
    assert gradients.rows == (1, 2)
    rows = torch.stack([gradient_of(model, model(task, batches()[task])) for task in ("b", "c")])
    torch.testing.assert_close(gradients.gramian(), rows @ rows.T)
    coefficients = torch.tensor([0.5, -2.0])
    gradients.combine(coefficients)
    torch.testing.assert_close(now(model), coefficients @ rows)
    assert gradients.rows == ()


def test_pcgrad_through_the_gramian_is_pcgrad_on_the_gradients(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 2)
    # b is a with its sign turned, and a little more: they conflict
    first, second = model("a", batches()["a"]), -model("a", batches()["a"]) + 0.3 * model("b", batches()["b"])
    one, other = gradient_of(model, first), gradient_of(model, second)
    gradients.receive(0)
    model("a", batches()["a"]).backward()
    gradients.receive(1)
    (-model("a", batches()["a"]) + 0.3 * model("b", batches()["b"])).backward()
    surgery = PCGrad().build(("a", "b"), 0)
    assert surgery is not None
    inner_product = one @ other
    assert inner_product < 0
    gradients.combine(surgery.coefficients(gradients.gramian(), ("a", "b")))
    expected = one - inner_product / (other @ other) * other + other - inner_product / (one @ one) * one
    torch.testing.assert_close(now(model), expected, rtol=1e-3, atol=1e-6)


def test_coefficients_of_one_train_as_the_summed_losses_do(model: Tiny) -> None:
    torch.manual_seed(0)
    plain = Tiny()
    optimizers = [torch.optim.AdamW(m.parameters(), lr=0.1, weight_decay=0.1) for m in (model, plain)]
    gradients = TaskGradients(shared(model), 3)
    place = gradients._buffer_KP.data_ptr()
    for seed in range(5):
        differentiate(model, gradients, seed)
        gradients.combine(torch.ones(3))
        sum(plain(task, ids) for task, ids in batches(seed).items()).backward()
        for m, optimizer in zip((model, plain), optimizers, strict=True):
            torch.nn.utils.clip_grad_norm_(m.parameters(), 0.1, foreach=True)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert gradients._buffer_KP.data_ptr() == place


def test_a_parameter_that_no_task_reached_has_no_gradient(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 3)
    for rare in (True, False):
        gradients.receive(0)
        model("a", batches()["a"]).backward()
        gradients.receive(2)
        model("c", batches()["c"], rare=rare).backward()
        gradients.combine(torch.tensor([1.0, 2.0]))
        assert model.encoder["never"].weight.grad is None
        assert (model.encoder["rare"].weight.grad is not None) == rare
        assert model.encoder["lower"].weight.grad is not None


def test_a_layer_may_be_frozen_at_first_and_thaw_later(model: Tiny) -> None:
    model.encoder["lower"].requires_grad_(False)
    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients)
    gradients.combine(torch.ones(3))
    assert model.encoder["lower"].weight.grad is None
    assert not model.encoder["lower"].weight.requires_grad
    model.encoder["lower"].requires_grad_(True)
    differentiate(model, gradients)
    gradients.combine(torch.ones(3))
    expected = sum(gradient_of(model, model(task, batches()[task])) for task in TASKS)
    torch.testing.assert_close(now(model), expected)
    assert model.encoder["lower"].weight.grad is not None


def test_reducing_sums_the_rows_and_joins_what_was_reached(model: Tiny) -> None:
    # Two processes: the other had rows of task b alone, which went through the rare part.
    other = TaskGradients(shared(model), 3)
    other.receive(0)
    other.receive(1)
    model("b", batches(1)["b"], rare=True).backward()
    sent: list[Tensor] = []
    other.reduce(lambda tensor: sent.append(tensor.clone()))

    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients, tasks=("a", "b"))
    received = iter(sent)
    gradients.reduce(lambda tensor: tensor.add_(next(received)))
    gradients.combine(torch.tensor([1.0, 3.0]))
    expected = gradient_of(model, model("a", batches()["a"])) + 3 * (
        gradient_of(model, model("b", batches()["b"])) + gradient_of(model, model("b", batches(1)["b"], rare=True))
    )
    torch.testing.assert_close(now(model), expected)
    assert model.encoder["rare"].weight.grad is not None
    assert model.encoder["never"].weight.grad is None


def test_overflow_in_one_tasks_gradient_is_seen_in_the_combined_one(model: Tiny) -> None:
    gradients = TaskGradients(shared(model), 3)
    differentiate(model, gradients)
    gradients._views[1][0][0] = float("inf")
    surgery = PCGrad().build(TASKS, 0)
    assert surgery is not None
    gradients.combine(surgery.coefficients(gradients.gramian(), TASKS))
    assert not torch.isfinite(now(model)).all()


def test_cosines_are_those_of_the_gradients_and_undefined_for_a_gradient_of_zero() -> None:
    rows = torch.tensor([[3.0, 0.0], [1.0, 1.0], [-2.0, 0.0], [0.0, 0.0]])
    found = cosines(rows @ rows.T)
    half = 0.5**0.5
    torch.testing.assert_close(found[:3, :3], torch.tensor([[1, half, -1], [half, 1, -half], [-1, -half, 1]]))
    assert found[3].isnan().all()
    assert found[:, 3].isnan().all()
