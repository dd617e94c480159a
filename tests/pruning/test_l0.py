"""The hard concrete distribution, its gates in every family of encoders, and their training."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import PreTrainedModel

from mtsearch.data.batching import Batch, Inputs
from mtsearch.model.extension import Host
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.serving import Serving
from mtsearch.model.sublayers import find_sublayers
from mtsearch.pruning import L0, NoPruning
from mtsearch.pruning.contract import open_ratio
from mtsearch.pruning.l0 import HardConcreteGates, noiseless, open_probability, sampled
from mtsearch.tasks.contract import Encoded, Logits
from tests.model.test_encoder import FAMILIES
from tests.model.test_layers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

TASKS = ("one", "two")
ATTENTIONS = {name: ("eager",) if name in ("deberta-v2", "mpnet") else ("eager", "sdpa") for name in FAMILIES}
"""The kernels of each family; flex attention, which compiles for a minute first, sees the same inputs as sdpa."""
EVERY = [pytest.param(name, kernel, id=f"{name} {kernel}") for name in FAMILIES for kernel in ATTENTIONS[name]]


class Head(nn.Module):
    """A number for each row, which depends on every attention head."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(32, 1)

    def forward(self, sequence: Encoded) -> Logits:
        return Logits(self.score(sequence.tokens_BLD[:, 1].tanh()).squeeze(-1))


def build(encoder: PreTrainedModel, **settings: Any) -> tuple[MultitaskModel, HardConcreteGates]:
    host = Host(encoder, find_layers(encoder), Serving(), TASKS, 7)
    gates = cast(HardConcreteGates, L0(**{"strength": 1.0, **settings}).build(host))
    torch.manual_seed(1)
    heads = {task: Head() for task in TASKS}
    return MultitaskModel(encoder, heads, host.layers, {"pruning": gates}, host.serving), gates


def batch(task: str = "one") -> Batch:
    ids = torch.tensor([[5, 9, 14, 7, 3], [8, 6, 11, 0, 0]])
    return Batch(task, np.arange(2), (Inputs(ids, (ids > 0).long()),), {})


def projections(encoder: nn.Module) -> list[nn.Linear]:
    found = find_sublayers(encoder, find_layers(encoder).layers, "pruning")
    return [layer.attention_output for layer in found]


def set_alpha(gates: HardConcreteGates, values: Tensor | float, task: str = "one") -> None:
    with torch.no_grad():
        gates.alpha(task).copy_(torch.as_tensor(values).expand_as(gates.alpha(task)))


@pytest.fixture
def pair() -> tuple[MultitaskModel, HardConcreteGates]:
    return build(tiny("bert"))


def test_a_sampled_gate_is_distributed_as_the_closed_form_says() -> None:
    torch.manual_seed(0)
    alpha = torch.linspace(-3, 3, 7)[:, None].expand(7, 200_000)
    z = sampled(alpha, torch.rand(7, 200_000))
    expected = open_probability(alpha[:, 0])
    torch.testing.assert_close((z > 0).float().mean(1), expected, atol=5e-3, rtol=0)
    # the same distribution, stretched by the other side: P(z = 1) = 1 - P(z > 0) at -α
    torch.testing.assert_close((z == 1).float().mean(1), 1 - expected.flip(0), atol=5e-3, rtol=0)
    # and in between by its own distribution function: P(z <= x) = σ(β logit((x - l) / (r - l)) - α)
    middle = torch.sigmoid(0.33 * torch.logit(torch.tensor(0.6 / 1.2)) - alpha[:, 0])
    torch.testing.assert_close((z <= 0.5).float().mean(1), middle, atol=5e-3, rtol=0)


def test_numbers_worked_by_hand() -> None:
    assert float(noiseless(torch.tensor(0.0))) == pytest.approx(0.5)
    assert float(noiseless(torch.tensor(math.log(11.0)))) == pytest.approx(1.0)
    assert float(noiseless(torch.tensor(-math.log(11.0)))) == pytest.approx(0.0, abs=1e-6)
    assert float(open_probability(torch.tensor(0.0))) == pytest.approx(1 / (1 + 11**-0.33))
    assert float(sampled(torch.tensor(0.33), torch.tensor(0.5))) == pytest.approx(1.2 / (1 + math.exp(-1)) - 0.1)


def test_the_smallest_and_the_largest_noise_give_gates_and_gradients_that_are_finite() -> None:
    alpha = torch.zeros(3, requires_grad=True)
    z = sampled(alpha, torch.tensor([0.0, 0.5, 1 - 2**-24]))
    assert z.tolist() == [0.0, 0.5, 1.0]
    z.sum().backward()
    assert torch.isfinite(alpha.grad).all()


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.95, 0.999])
def test_gates_begin_as_open_as_they_are_asked_to(ratio: float) -> None:
    _, gates = build(tiny("bert"), initial_open_ratio=ratio)
    assert gates.alpha("one").shape == (2, 2)
    torch.testing.assert_close(open_probability(gates.alpha("one")), torch.full((2, 2), ratio))


@pytest.mark.parametrize(("name", "kernel"), EVERY)
def test_open_gates_change_no_bit_and_closed_ones_equal_zeroed_columns(name: str, kernel: str) -> None:
    encoder = tiny(name, attn_implementation=kernel).eval()
    model, gates = build(encoder)
    model.eval()
    plain = MultitaskModel(encoder, {"one": model.heads["one"]}).eval()
    shares_a_layer = name == "albert"  # and so the columns of all its layers
    projection = projections(encoder)[0]
    set_alpha(gates, 3.0)
    with torch.no_grad():
        assert torch.equal(model(batch()).values, plain(batch()).values)

        set_alpha(gates, torch.tensor([[3.0, -9.0], [3.0, 3.0]]))
        gated = model(batch()).values
        assert not torch.allclose(gated, plain(batch()).values, atol=1e-6)
        if not shares_a_layer:
            projection.weight[:, 16:] = 0
            torch.testing.assert_close(plain(batch()).values, gated, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "kernel"), EVERY)
def test_gradients_reach_every_gate(name: str, kernel: str) -> None:
    encoder = tiny(name, attn_implementation=kernel).eval()
    model, gates = build(encoder)
    model.eval()
    set_alpha(gates, 0.5)
    model(batch()).values.square().sum().backward()
    gradient_NH = gates.alpha("one").grad
    assert (gradient_NH.abs() > 1e-8).all()

    def loss(alpha: float) -> float:
        set_alpha(gates, torch.tensor([[0.5, 0.5], [alpha, 0.5]]))
        with torch.no_grad():
            return float(model(batch()).values.double().square().sum())

    assert float(gradient_NH[1, 0]) == pytest.approx((loss(0.6) - loss(0.4)) / 0.2, rel=0.05)


def test_each_application_of_alberts_one_layer_has_gates_of_its_own() -> None:
    encoder = tiny("albert", num_hidden_layers=3).eval()
    model, gates = build(encoder)
    model.eval()
    assert gates.alpha("one").shape == (3, 2)
    seen: list[Tensor] = []
    projections(encoder)[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    set_alpha(gates, torch.tensor([[9.0, 9.0], [-9.0, 9.0], [9.0, -9.0]]))
    model(batch())
    closed = [[bool((context[..., half] == 0).all()) for half in (slice(0, 16), slice(16, 32))] for context in seen]
    assert closed == [[False, False], [True, False], [False, True]]


def test_one_draw_serves_all_rows_of_a_batch_and_the_next_batch_has_another(
    pair: tuple[MultitaskModel, HardConcreteGates],
) -> None:
    model, gates = pair
    model.eval()
    gates.train()
    set_alpha(gates, 0.0)
    seen: list[Tensor] = []
    projection = projections(model.encoder)[0]
    projection.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    set_alpha(gates, 9.0)
    model(batch())
    set_alpha(gates, 0.0)
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        model(batch())
    ungated, *gated = seen
    first, again, other = ((context / ungated).view(2, 5, 2, 16) for context in gated)
    torch.testing.assert_close(first, first[:1, :1, :, :1].expand_as(first))
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first, other)


def test_gates_are_computed_in_single_precision_under_autocast(
    pair: tuple[MultitaskModel, HardConcreteGates],
) -> None:
    model, gates = pair
    model.eval()
    seen: list[tuple[Tensor, Tensor | None]] = []
    projections(model.encoder)[0].register_forward_pre_hook(lambda _, args: seen.append((args[0], gates._of_pass_NH)))
    set_alpha(gates, 0.1234)
    with torch.autocast("cpu", torch.bfloat16):
        model(batch())
    ((context_BLD, of_pass_NH),) = seen
    assert context_BLD.dtype == torch.bfloat16
    assert of_pass_NH is not None
    assert torch.equal(of_pass_NH, noiseless(gates.alpha("one")))
    assert gates._of_pass_NH is None  # nothing holds the graph of a pass that is over


def test_gates_of_a_task_serve_it_alone(pair: tuple[MultitaskModel, HardConcreteGates]) -> None:
    model, gates = build(tiny("bert"), scope="per_task")
    model.eval()
    assert gates.tasks == TASKS
    before = model(batch("two")).values
    set_alpha(gates, -9.0, "one")
    assert torch.equal(model(batch("two")).values, before)
    model(batch("one")).values.sum().backward()
    assert gates.alpha("two").grad is None
    assert {name: role.task for name, role in gates.roles().items()} == {"alphas.one": "one", "alphas.two": "two"}
    assert not any("pruning" in name for name in model.depths)


def trained(gates: HardConcreteGates, task_losses: Tensor | None = None, updates: int = 1, **step: Any) -> Any:
    """The training of gates after so many updates, in which the loss is the gates times ``task_losses``."""
    running = gates.start(step.pop("updates_per_epoch", (updates,)))
    for done in range(updates):
        for task in step.get("tasks", TASKS) if gates.tasks != ("",) else ("one",):
            alpha = gates.alpha(task)
            loss = torch.zeros(()) if task_losses is None else (sampled(alpha, torch.rand_like(alpha)) * task_losses)
            (loss.sum() + 0 * alpha.sum()).backward()
        running.step(step.get("tasks", TASKS), done, None)
    return running


def measured(running: Any) -> dict[str, float]:
    return {f"{task}.{name}".lstrip("."): value for task, name, value in running.measured()}


def test_the_penalty_is_the_strength_times_the_mean_number_of_open_heads_of_a_layer() -> None:
    _, gates = build(tiny("bert"), strength=3.0, initial_open_ratio=0.8)
    running: Any = gates.start((10,))
    running._share = 1.0
    assert running._penalty("").item() == pytest.approx(3.0 * 2 * 0.8)  # two attention heads in a layer


def test_strength_rises_over_the_warm_up() -> None:
    _, gates = build(tiny("bert"), strength=2.0, warmup_epochs=1.5)
    running: Any = gates.start((4, 8))
    told = []
    for done in range(10):
        running.step(("one",), done, None)
        told.append(measured(running)["pruning_strength"])
    assert told == pytest.approx([2.0 * min(1, (done + 1) / 8) for done in range(10)])


def test_a_penalty_closes_what_no_task_needs() -> None:
    torch.manual_seed(0)
    _, gates = build(tiny("bert"), strength=0.1, lr=0.05)
    needed = torch.tensor([[-1.0, 0.0], [0.0, -1.0]])
    trained(gates, needed, updates=200)
    assert (gates.evaluated("one") > 1e-3).tolist() == [[True, False], [False, True]]
    assert open_ratio(gates.evaluated("one")) == 0.5


@pytest.mark.parametrize("target", [0.25, 0.75])
@pytest.mark.parametrize("scope", ["shared", "per_task"])
def test_a_target_sparsity_is_reached(target: float, scope: str) -> None:
    torch.manual_seed(0)
    encoder = tiny("bert", num_hidden_layers=4)
    _, gates = build(encoder, strength=None, target_sparsity=target, lr=0.05, warmup_epochs=0.2, scope=scope)
    # every attention head is of use, no two of the same
    running = trained(gates, -torch.linspace(0.1, 1.0, 8).view(4, 2), updates=600)
    for task in gates.tasks:
        assert 1 - open_ratio(gates.evaluated(task)) == target  # of eight
        assert 1 - open_probability(gates.alpha(task)).mean().item() == pytest.approx(target, abs=0.06)
    told = measured(running)
    assert told["target_sparsity"] == target
    names = ["lambda1", "lambda2"] if scope == "shared" else ["one.lambda1", "two.lambda2"]
    assert set(names) <= told.keys()


def test_with_a_target_as_many_are_closed_as_are_expected_to_be_and_the_lowest_are() -> None:
    _, ajar = build(tiny("bert"), strength=1.0)
    _, gates = build(tiny("bert"), strength=None, target_sparsity=0.5)
    # closed with probability .169 + .731 + .731 + .998 = 2.63 of 4, though one gate alone is at 0 in an evaluation
    alpha = torch.tensor([[0.8, -1.8], [-1.8, -7.0]])
    for each in (ajar, gates):
        set_alpha(each, alpha)
    assert (1 - open_probability(alpha)).sum().item() == pytest.approx(2.63, abs=0.01)
    assert (ajar.evaluated("one") > 0).tolist() == [[True, True], [True, False]]
    assert (gates.evaluated("one") > 0).tolist() == [[True, False], [False, False]]
    assert gates.evaluated("one")[0, 0] == noiseless(alpha)[0, 0]


def test_only_the_gates_of_tasks_that_an_update_serves_move() -> None:
    _, gates = build(tiny("bert"), scope="per_task")
    before = gates.alpha("two").detach().clone()
    trained(gates, updates=3, tasks=("one",))
    assert torch.equal(gates.alpha("two"), before)
    assert (gates.alpha("one") < before).all()


@pytest.mark.parametrize("settings", [{}, {"strength": None, "target_sparsity": 0.5}, {"scope": "per_task"}])
def test_training_goes_on_from_its_tensors(settings: dict[str, Any]) -> None:
    (_, whole), (_, cut) = (build(tiny("bert"), lr=0.1, **settings) for _ in range(2))
    running, first = whole.start((10,)), cut.start((10,))
    for done in range(5):
        running.step(("one",), done, None)
        first.step(("one",), done, None)
    second = cut.start((10,))
    second.load_tensors({name: tensor.clone() for name, tensor in first.tensors().items()})
    for done in range(5, 10):
        running.step(("one",), done, None)
        second.step(("one",), done, None)
    for task in whole.tasks:
        assert torch.equal(whole.alpha(task), cut.alpha(task))
    assert measured(running) == measured(second)


@pytest.mark.parametrize("bad", [False, True])
def test_a_scaled_gradient_is_unscaled_and_one_that_overflowed_is_skipped(bad: bool) -> None:
    def moved(scaler: torch.amp.GradScaler | None) -> Tensor:
        _, gates = build(tiny("bert"), strength=0.5, lr=0.1)
        alpha = gates.alpha("")
        start = alpha.detach().clone()
        running = gates.start((1,))
        gradient = torch.tensor([[-1.0, 2.0], [0.0, -0.01]])
        alpha.grad = gradient * (scaler.get_scale() if scaler else 1.0)
        if bad and scaler:
            alpha.grad[0, 0] = float("inf")
        running.step(("one",), 0, scaler)
        return alpha.detach() - start

    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(torch.zeros(()))  # type: ignore[no-untyped-call]
    found = moved(scaler)
    scaler.update()
    if bad:
        assert torch.equal(found, torch.zeros(2, 2))
        assert scaler.get_scale() == 512.0
    else:
        torch.testing.assert_close(found, moved(None))
        assert not torch.equal(found, torch.zeros(2, 2))


def test_what_cannot_close_in_time_is_told() -> None:
    (slow,) = L0(strength=1.0).check((100, 200), 1.0)
    assert slow.startswith("pruning.lr: no attention head is likely to close: on its way from initial_open_ratio 0.95 ")
    assert "about 4,541 updates at lr 0.001, and there are 300; take a larger lr" in slow
    assert L0(strength=1.0, lr=0.02).check((100, 200), 1.0) == []
    (few,) = L0(strength=1.0, lr=0.02, scope="per_task").check((100, 200), 1 / 3)
    assert "about 228 updates at lr 0.02, and there are 100 of each task" in few
    assert L0(strength=1.0, lr=0.02, warmup_epochs=3.0).check((100, 200), 1.0) == [
        "pruning.warmup_epochs: the penalty is whole after 3 epochs, and there are 2"
    ]
    assert NoPruning().check((1,), 1.0) == []


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({}, "one of strength and target_sparsity must be given, but got neither"),
        ({"strength": 1.0, "target_sparsity": 0.5}, "target_sparsity replaces strength, but got both"),
        ({"target_sparsity": 1.0}, "less than 1"),
        ({"target_sparsity": 0.0}, "greater than 0"),
        ({"strength": -1.0}, "greater than or equal to 0"),
        ({"strength": 1.0, "mode": "static"}, "name its run folder or checkpoint as source"),
        ({"strength": 1.0, "source": "runs/x"}, "mode dynamic starts anew and takes no source"),
        ({"strength": 1.0, "initial_open_ratio": 1.0}, "less than 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        L0(**settings)
