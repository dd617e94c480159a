"""Attention heads that are cut out are those that gates have closed: in every family, under every kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from mtsearch.data.batching import Batch, Inputs
from mtsearch.model.extension import Host
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.pruned import RunTimeGates, bare_copy, can_fold, cut_heads, fold_gates, kept_heads
from mtsearch.model.serving import Serving
from mtsearch.model.sublayers import Sublayers, find_sublayers
from mtsearch.tasks.contract import Encoded, Logits
from tests.model.test_layers import LAYERED, tiny

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

HEADS, LAYERS = 4, 3
KERNELS = ("eager", "sdpa")
POSITIONS = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"}
GATES = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=LAYERS * HEADS, max_size=LAYERS * HEADS)


def encoder_of(name: str, kernel: str = "eager") -> PreTrainedModel:
    settings: dict[str, Any] = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    match name.split():
        case ["distilbert"]:
            settings |= {"n_layers": LAYERS, "n_heads": HEADS}
        case ["modernbert"]:
            settings |= {"attention_bias": True}
        case ["deberta-v2", *shared]:
            settings |= {**POSITIONS, "share_att_key": bool(shared)}
    encoder = tiny(name.split()[0], attn_implementation=kernel, **settings)
    with torch.no_grad():
        for parameter in encoder.parameters():  # biases, which begin at 0, are to count
            parameter.normal_(0, 0.2)
    return encoder.eval()


def has_kernel(name: str, kernel: str) -> bool:
    return kernel == "eager" or name.split()[0] not in ("deberta-v2", "mpnet")


CASES = [(name, kernel) for name in (*LAYERED, "deberta-v2 shared") for kernel in KERNELS if has_kernel(name, kernel)]


def sublayers(encoder: nn.Module) -> tuple[Sublayers, ...]:
    return find_sublayers(encoder, find_layers(encoder).layers, "pruning")


IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 0, 0]])
INPUTS = Inputs(IDS, (IDS > 0).long())


def run(encoder: nn.Module) -> Tensor:
    with torch.no_grad():
        states: Tensor = encoder(**INPUTS.arguments()).last_hidden_state
    return states


def run_gated(encoder: nn.Module, gates_NH: Tensor) -> Tensor:
    """With each head's context vector multiplied by its gate before they are joined."""
    calls: list[int] = []
    found = sublayers(encoder)

    def gate(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        calls.append(0)
        gates_H = gates_NH[len(calls) - 1]
        return (args[0] * gates_H.repeat_interleave(found[0].head_size),)

    hooks = [one.register_forward_pre_hook(gate) for one in dict.fromkeys(one.attention_output for one in found)]
    try:
        return run(encoder)
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize(("name", "kernel"), CASES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(values=GATES)
def test_what_is_left_gives_what_the_gated_encoder_gives(name: str, kernel: str, values: Sequence[float]) -> None:
    encoder = encoder_of(name, kernel)
    gates_NH = torch.tensor(values).view(LAYERS, HEADS)
    expected = run_gated(encoder, gates_NH)
    found = sublayers(encoder)
    kept = kept_heads(gates_NH[None], found)
    assert can_fold(gates_NH[None], found)
    fold_gates(gates_NH, found)
    cut_heads(kept, found)
    torch.testing.assert_close(run(encoder), expected, rtol=1e-4, atol=1e-5)
    assert [one.num_heads for one in sublayers(encoder)] == [len(heads) for heads in kept]


@pytest.mark.parametrize(("name", "kernel"), [*CASES, *(("albert", kernel) for kernel in KERNELS)])
def test_layers_without_any_head_keep_the_rest(name: str, kernel: str) -> None:
    encoder = encoder_of(name, kernel)
    expected = run_gated(encoder, torch.zeros(LAYERS, HEADS))
    names = encoder.state_dict().keys()
    cut_heads(((),) * LAYERS, sublayers(encoder))
    torch.testing.assert_close(run(encoder), expected, rtol=1e-4, atol=1e-5)
    lost = names - encoder.state_dict().keys()
    assert lost
    assert all(part in one for one in lost for part in ("att", "."))
    assert not any("output" in one or "norm" in one.lower() or "mlp" in one for one in lost)


@pytest.mark.parametrize("name", [*LAYERED, "albert"])
def test_gates_alone_fold_into_the_weights(name: str) -> None:
    encoder = encoder_of(name)
    gates_NH = torch.tensor([0.9, 0.2, 1.0, 0.6]).repeat(LAYERS, 1)
    expected = run_gated(encoder, gates_NH)
    fold_gates(gates_NH, sublayers(encoder))
    torch.testing.assert_close(run(encoder), expected, rtol=1e-4, atol=1e-5)


def flops(encoder: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter:
        run(encoder)
    return counter.get_total_flops()


def test_half_of_the_heads_are_half_of_the_work_of_attention() -> None:
    encoder = encoder_of("bert")
    whole = flops(encoder)
    cut_heads(((0, 2),) * LAYERS, sublayers(encoder))
    half = flops(encoder)
    tokens, hidden, inner = 10, 32, 64
    projections, feed_forward = 2 * tokens * 4 * hidden * hidden, 2 * tokens * 2 * hidden * inner
    products = 2 * 2 * tokens * 5 * hidden
    assert whole == LAYERS * (projections + feed_forward + products)
    assert half == LAYERS * (projections / 2 + feed_forward + products / 2)


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (((0,),), "must be told of 3 layers, but are of 1"),
        (((0,), (0,), (4,)), r"layer 3 must be some of 0 to 3 in order, but are \(4,\)"),
        (((0,), (1, 0), (0,)), "layer 2 must be some of"),
        (((0,), (1, 1), (0,)), "layer 2 must be some of"),
        (((0,), (-1,), (0,)), "layer 2 must be some of"),
    ],
)
def test_heads_that_do_not_fit_are_refused(kept: tuple[tuple[int, ...], ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cut_heads(kept, sublayers(encoder_of("bert")))


def test_layers_that_share_weights_keep_the_same_heads() -> None:
    found = sublayers(encoder_of("albert"))
    with pytest.raises(ValueError, match="layer 1 must keep the same heads as the layers whose weights it shares"):
        cut_heads(((0,), (0,), (1,)), found)
    gates_NH = torch.zeros(LAYERS, HEADS)
    gates_NH[0, 1] = gates_NH[2, 3] = 1.0
    assert kept_heads(gates_NH[None], found) == ((1, 3),) * LAYERS
    assert not can_fold(gates_NH[None], found)


def test_a_copy_has_no_hooks_and_weights_of_its_own() -> None:
    encoder = encoder_of("bert")
    expected = run(encoder)
    for one in sublayers(encoder):
        one.attention_output.register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    copied = bare_copy(encoder)
    assert torch.equal(run(copied), expected)
    cut_heads(((0,),) * LAYERS, sublayers(copied))
    assert [one.num_heads for one in sublayers(encoder)] == [HEADS] * LAYERS
    assert not torch.equal(run(encoder), expected)


class Mean(nn.Module):
    def forward(self, sequence: Encoded) -> Logits:
        return Logits(sequence.tokens_BLD.mean(1))


def cut_with_gates(encoder: nn.Module, gates_KNH: Tensor) -> MultitaskModel:
    host = Host(encoder, find_layers(encoder), Serving(), ("one", "two"), 7)
    found = host.sublayers("pruning")
    kept = kept_heads(gates_KNH, found)
    cut_heads(kept, found)
    extensions = {"pruning": RunTimeGates(gates_KNH, kept, host)}
    return MultitaskModel(encoder, {task: Mean() for task in host.tasks}, host.layers, extensions, host.serving).eval()


@pytest.mark.parametrize("name", [*LAYERED, "albert"])
def test_gates_that_weights_cannot_hold_multiply_what_is_left(name: str) -> None:
    gates_KNH = torch.tensor(
        [
            [[0.0, 0.5, 1.0, 0.0], [0.0, 0.0, 0.0, 0.3], [0.0, 1.0, 1.0, 0.7]],
            [[0.0, 0.0, 0.2, 0.9], [0.0, 0.0, 0.0, 1.0], [0.0, 0.6, 0.1, 0.0]],
        ]
    )
    model = cut_with_gates(encoder_of(name), gates_KNH)
    assert [one.num_heads for one in sublayers(model.encoder)] == ([3, 3, 3] if name == "albert" else [3, 1, 3])
    for task, gates_NH in zip(("one", "two"), gates_KNH, strict=True):
        expected = run_gated(encoder_of(name), gates_NH).mean(1)
        with torch.no_grad():
            given = model(Batch(task, np.arange(2), (INPUTS,), {})).values
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    assert [name for name in model.state_dict() if not name.startswith("encoder.")] == ["extensions.pruning.gates"]


def test_run_time_gates_leave_the_bare_encoder_alone() -> None:
    encoder = encoder_of("bert")
    expected = run(encoder)
    assert torch.equal(run(cut_with_gates(encoder, torch.full((2, LAYERS, HEADS), 0.5)).encoder), expected)
