"""Expert feed-forwards in the upper layers, in every family whose layers are known."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.func import functional_call

from mtsearch.data.batching import Batch, Inputs, PrefixStates
from mtsearch.errors import ConfigError, EncoderError
from mtsearch.experts import FeedForwardExperts
from mtsearch.experts.routing import ExpertGate, GateKind, HardRouting, SoftRouting
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.prefix import states_above
from mtsearch.model.sublayers import Sublayers, find_sublayers
from mtsearch.training.thawing import Thawing
from mtsearch.unfreezing import Layers
from tests.experts.models import batch, build, plain, randomise
from tests.model.test_layers import tiny
from tests.model.test_sublayers import KNOWN

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

EAGER_ONLY = ("deberta-v2", "mpnet")
KERNELS = [
    (name, kernel) for name in KNOWN for kernel in ("eager", "sdpa") if kernel == "eager" or name not in EAGER_ONLY
]


Linear = Callable[[Tensor], Tensor]


def config(gate: GateKind, *, layers: int = 1, num_experts: int = 3) -> FeedForwardExperts:
    return FeedForwardExperts(gate=gate, layers=layers, num_experts=num_experts)


def experts_of(model: MultitaskModel) -> nn.Module:
    return model.extensions["experts"]


def gate_of(model: MultitaskModel) -> ExpertGate:
    gate = experts_of(model).gate
    assert isinstance(gate, ExpertGate)
    return gate


def sublayers(model: MultitaskModel) -> tuple[Sublayers, ...]:
    return find_sublayers(model.encoder, model.layers.layers, "experts")


def routed_in_turn(model: MultitaskModel, monkeypatch: pytest.MonkeyPatch, kind: GateKind) -> Tensor:
    """Let the rows of :func:`batch` go to the experts in turn; gives the probabilities."""
    preferred = torch.arange(6) % 3
    probabilities_BE = torch.full((6, 3), 0.2).scatter(1, preferred[:, None], 0.6)
    routing = SoftRouting(probabilities_BE) if kind == "soft" else HardRouting(probabilities_BE)
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: routing)
    return probabilities_BE


@pytest.mark.parametrize("gate", ["soft", "hard"])
@pytest.mark.parametrize(("name", "kernel"), KERNELS)
def test_nothing_changes_before_the_first_step(name: str, kernel: str, gate: GateKind) -> None:
    model = build(config(gate, layers=2), name, attn_implementation=kernel)
    one = batch()
    with torch.no_grad():
        assert torch.allclose(model(one).values, plain(model, one), atol=1e-6)


def bare(model: MultitaskModel, one: Batch, first: Linear | None, last: Linear) -> tuple[Tensor, Tensor]:
    """A pass of the plain encoder in whose top layer these take the places of the feed-forward's linear layers.

    Gives what the second one gave, and the encoder's output.
    """
    top = sublayers(model)[-1]
    num_calls = sum(one.layer is top.layer for one in sublayers(model))  # ALBERT's is passed once for each layer
    given: list[Tensor] = []

    def replace(linear: Linear, keep: list[Tensor]) -> Callable[..., Tensor | None]:
        numbers = itertools.count(1)

        def run(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor | None:
            if next(numbers) < num_calls:
                return None
            keep.append(linear(*args))
            return keep[-1]

        return run

    handles = [top.feed_forward_out.register_forward_hook(replace(last, given))]
    if first is not None:
        handles.append(top.feed_forward_in.register_forward_hook(replace(first, [])))
    try:
        states_BLD = plain(model, one)
    finally:
        for handle in handles:
            handle.remove()
    return given[-1], states_BLD


def each_output(model: MultitaskModel, one: Batch) -> list[Tensor]:
    """What each expert's whole feed-forward gives in the top layer for all rows."""
    top = sublayers(model)[-1]
    copies = experts_of(model).layers[str(top.depth)]
    own = copy.deepcopy(top.feed_forward_in), copy.deepcopy(top.feed_forward_out)
    for linear in own:  # without the hooks of the experts
        linear._forward_hooks.clear()
        linear._forward_pre_hooks.clear()
    pairs = [own, *zip(copies.feed_forward_in, copies.feed_forward_out, strict=True)]
    return [bare(model, one, first, last)[0] for first, last in pairs]


@pytest.mark.parametrize("name", KNOWN)
def test_soft_experts_are_a_mixture_of_whole_feed_forwards(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config("soft"), name), batch()
    randomise(experts_of(model))
    probabilities_BE = routed_in_turn(model, monkeypatch, "soft")
    with torch.no_grad():
        mixed_BLD = torch.einsum("be,ebld->bld", probabilities_BE, torch.stack(each_output(model, one)))
        _, expected = bare(model, one, None, lambda states: mixed_BLD)
        assert torch.allclose(model(one).values, expected, atol=1e-5)
        assert not torch.allclose(model(one).values, plain(model, one), atol=1e-2)


@pytest.mark.parametrize("name", KNOWN)
def test_a_hard_expert_is_the_chosen_feed_forward_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config("hard"), name), batch()
    randomise(experts_of(model))
    chosen_B = routed_in_turn(model, monkeypatch, "hard").argmax(1)
    with torch.no_grad():
        chosen_BLD = torch.stack(each_output(model, one))[chosen_B, torch.arange(len(chosen_B))]
        _, expected = bare(model, one, None, lambda states: chosen_BLD)
        assert torch.allclose(model(one).values, expected, atol=1e-5)
        assert not torch.allclose(model(one).values, plain(model, one), atol=1e-2)


@pytest.mark.parametrize("gate", ["soft", "hard"])
def test_each_linear_layer_sees_its_rows_alone(gate: GateKind, monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config(gate, layers=2)), batch()
    routing = (
        HardRouting(torch.eye(3)[[0, 2, 2, 0, 2, 0]]) if gate == "hard" else SoftRouting(torch.full((6, 3), 1 / 3))
    )
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: routing)
    rows: dict[nn.Module, int] = {}
    linears = [linear for layer in sublayers(model) for linear in (layer.feed_forward_in, layer.feed_forward_out)]
    copied = [module for module in experts_of(model).modules() if isinstance(module, nn.Linear)]
    for linear in (*linears, *copied):
        linear.register_forward_hook(lambda module, args, output: rows.update({module: len(args[0])}))
    model(one)
    others = [0, 3] * 4 if gate == "hard" else [6] * 8
    assert [rows[linear] for linear in linears] == [3 if gate == "hard" else 6] * 4
    assert [rows[linear] for linear in copied] == others


@pytest.mark.parametrize("name", KNOWN)
def test_both_gates_learn(name: str) -> None:
    for gate in ("soft", "hard"):
        model = build(config(gate, layers=2), name)  # type: ignore[arg-type]
        if gate == "soft":  # experts that are alike cannot tell a soft gate which is better
            randomise(experts_of(model).layers)
        model(batch()).values[:, 0, 0].sum().backward()
        slope = gate_of(model).weight.grad
        assert slope is not None
        assert float(slope.norm()) > 1e-4


@pytest.mark.parametrize("gate", ["soft", "hard"])
def test_equal_experts_part_as_they_learn(gate: GateKind) -> None:
    model = build(config(gate)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(5):
        model(batch([4] * 12, seed=step)).values[:, 0].square().matmul(torch.arange(32.0)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    copies = experts_of(model).layers["2"]
    learned = [sublayers(model)[-1].feed_forward_out, *copies.feed_forward_out]
    weights = [linear.weight.detach() for linear in learned]
    for first, second in itertools.combinations(weights, 2):
        assert float((first - second).abs().mean()) > 1e-4  # they moved by 5e-3


def test_layers_that_share_a_module_have_experts_of_their_own() -> None:
    model, one = build(config("hard", layers=1), "albert", num_hidden_layers=3), batch()
    assert list(experts_of(model).layers) == ["3"]
    linear = experts_of(model).layers["3"].feed_forward_in[0]
    seen: list[int] = []
    linear.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    model(one)
    assert len(seen) == 1
    assert experts_of(model).lowest_depth == 1


def test_the_gate_reads_what_enters_the_lowest_expert_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config("hard", layers=1)), batch(task="two")
    entered: list[Tensor] = []
    sublayers(model)[1].layer.register_forward_pre_hook(lambda module, args: entered.append(args[0]))
    given: list[tuple[Tensor, Tensor, str]] = []
    forward = gate_of(model).forward
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: given.append(args) or forward(*args))
    model(one)
    ((states_BLD, mask_BL, task),) = given
    assert torch.equal(states_BLD, entered[0])
    assert torch.equal(mask_BL, one.inputs[0].mask_BL)
    assert task == "two"


def test_a_sequence_gets_what_it_gets_alone() -> None:
    model = build(config("hard", layers=2))
    randomise(experts_of(model))
    together = batch()
    with torch.no_grad():
        whole = model(together).values
        for row, length in enumerate((7, 3, 5, 7, 2, 6)):
            inputs = together.inputs[0]
            alone = Inputs(inputs.ids_BL[row : row + 1, :length], inputs.mask_BL[row : row + 1, :length])
            one = Batch("one", together.rows[:1], (alone,), {})
            assert torch.allclose(model(one).values[0], whole[row, :length], atol=1e-5)


def test_the_bare_encoder_stays_as_it_is() -> None:
    model, one = build(config("hard", layers=2)), batch()
    before = plain(model, one)
    randomise(experts_of(model))
    model(one)
    assert torch.equal(plain(model, one), before)


def test_a_pass_may_run_with_other_weights_in_their_place() -> None:
    model, one = build(config("soft")), batch()
    with torch.no_grad():
        start = model(one).values
        others = {name: p.roll(1, 0) for name, p in model.named_parameters() if "feed_forward_out.0.weight" in name}
        assert len(others) == 1
        moved = functional_call(model, others, (one,)).values
        for name, value in others.items():
            model.get_parameter(name).copy_(value)
        assert torch.equal(model(one).values, moved)
        assert not torch.allclose(moved, start, atol=1e-3)


def test_copies_train_with_the_layer_that_they_copy_and_the_gate_with_the_task_heads() -> None:
    model = build(config("hard", num_experts=2))
    assert {name: depth for name, depth in model.depths.items() if name.startswith("extensions.")} == {
        "extensions.experts.gate.weight": 3,
        **{
            f"extensions.experts.layers.2.feed_forward_{end}.0.{kind}": 2
            for end in ("in", "out")
            for kind in ("weight", "bias")
        },
    }
    pretrained = [name for name in model.depths if model.is_pretrained(name) and not name.startswith("encoder.")]
    assert len(pretrained) == 4
    assert "extensions.experts.gate.weight" not in pretrained
    assert experts_of(model).lowest_depth == 2


def test_frozen_layers_freeze_their_experts_and_keep_what_lies_below() -> None:
    model = build(config("hard"))
    thawing = Thawing(model, Layers(last=0), 1)
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name in trains if name.startswith("extensions.")} == {"extensions.experts.gate.weight"}
    assert thawing.frozen_prefix == 1


def test_a_pass_may_start_above_frozen_layers() -> None:
    model, one = build(config("hard", layers=1)), batch()
    randomise(experts_of(model))
    with torch.no_grad():
        states_BLD = states_above(1, one.inputs[0], model.encoder, model.layers)
        above = replace(one, states=PrefixStates(1, (states_BLD,)))
        assert torch.allclose(model(above).values, model(one).values, atol=1e-5)


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"experts\.layers: must be at most the encoder's layers \(2\), but got 3"):
        build(config("hard", layers=3))


def test_an_unknown_family_is_refused() -> None:
    encoder = tiny("bert")
    encoder.config.model_type = "strange"
    with pytest.raises(EncoderError, match=r"experts: must have an encoder of a family whose layers are known"):
        build(config("hard"), encoder)


@pytest.mark.parametrize(
    ("field", "value"), [("num_experts", 1), ("layers", 0), ("balance_weight", -0.1), ("gate", "top")]
)
def test_what_makes_no_sense_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        FeedForwardExperts.model_validate({field: value})
