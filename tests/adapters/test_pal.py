"""Projected attention layers: the equation in every family, and nothing of it before V_D has learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedModel

from mtsearch.adapters import NoAdapters, Pal
from mtsearch.data.batching import Batch, Inputs
from mtsearch.errors import ConfigError
from mtsearch.model.extension import Host
from mtsearch.model.layers import EncoderLayers, entering_states, find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.serving import Serving
from mtsearch.model.sublayers import FAMILIES
from mtsearch.tasks.contract import Encoded, Logits
from mtsearch.training.thawing import Thawing
from mtsearch.unfreezing import Layers
from tests.model.test_layers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

TASKS = ("one", "two")
SMALL = Pal(rank=6, attention_heads=3, dropout=0.0)
NO_FUSED_KERNEL = ("deberta-v2", "mpnet")
KERNELS = [
    (name, kernel)
    for name in FAMILIES
    for kernel in ("eager", "sdpa")
    if kernel == "eager" or name not in NO_FUSED_KERNEL
]
LAST_NORMS = {"albert": "full_layer_layer_norm", "distilbert": "output_layer_norm"}


class Head(nn.Module):
    """Every token scored, so that nothing of the states is lost."""

    def __init__(self, num_sequences: int) -> None:
        super().__init__()
        self.score = nn.Linear(32 * num_sequences, 1)

    def forward(self, *sequences: Encoded) -> Logits:
        length = min(sequence.tokens_BLD.shape[1] for sequence in sequences)
        return Logits(self.score(torch.cat([one.tokens_BLD[:, :length] for one in sequences], -1)).squeeze(-1))


def build(encoder: PreTrainedModel, config: Pal | NoAdapters = SMALL, *, num_sequences: int = 1) -> MultitaskModel:
    host = Host(encoder, find_layers(encoder), Serving(), TASKS, 7)
    extension = config.build(host)
    torch.manual_seed(3)
    heads = {task: Head(num_sequences) for task in TASKS}
    return MultitaskModel(
        encoder, heads, host.layers, {} if extension is None else {"adapters": extension}, host.serving
    ).eval()


def layers_of(model: MultitaskModel, task: str = "one") -> Any:
    return model.get_submodule(f"extensions.adapters.by_task.{task}")


def teach(model: MultitaskModel, *tasks: str) -> MultitaskModel:
    """V_D as if it had learned."""
    for task in tasks:
        nn.init.normal_(layers_of(model, task).up, std=0.3)
    return model


def inputs(padding: int = 0, filler: int = 1) -> Inputs:
    """Three sequences of different lengths."""
    mask = torch.arange(6 + padding) < torch.tensor([6, 4, 5])[:, None]
    ids = torch.arange(18).view(3, 6) % 13 + 4
    ids = nn.functional.pad(ids, (0, padding))
    return Inputs(torch.where(mask, ids, filler), mask.long())


def batch(task: str = "one", *sequences: Inputs) -> Batch:
    return Batch(task, np.arange(3), sequences or (inputs(),), {})


def states(model: MultitaskModel, given: Batch) -> Tensor:
    """What the encoder gives in a pass of the model, [B, L, D]."""
    seen: list[Encoded] = []
    hook = model.heads[given.task].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model(given)
    hook.remove()
    return seen[0].tokens_BLD


def reference(layers: Any, number: int, h_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """V_D · SA_low(V_E · h), one attention head after the other."""
    low = h_BLD @ layers.down.T
    query, key, value = (low @ weight.T for weight in layers.attention[number].chunk(3))
    mixed = []
    for head in torch.arange(6).chunk(3):
        scores = query[..., head] @ key[..., head].transpose(1, 2) / math.sqrt(len(head))
        mixed.append(scores.masked_fill(mask_BL[:, None, :] == 0, -torch.inf).softmax(-1) @ value[..., head])
    return torch.cat(mixed, -1) @ layers.up.T


@pytest.mark.parametrize(("family", "kernel"), KERNELS)
def test_at_first_it_is_the_plain_encoder_bit_for_bit(family: str, kernel: str) -> None:
    encoder = tiny(family, attn_implementation=kernel).eval()
    plain = encoder(**inputs().arguments()).last_hidden_state
    assert torch.equal(states(build(encoder), batch()), plain)


@pytest.mark.parametrize(("family", "kernel"), KERNELS)
def test_each_layer_gives_what_the_equation_says(family: str, kernel: str) -> None:
    encoder = tiny(family, attn_implementation=kernel)
    model = teach(build(encoder), "one")
    found = Host(encoder, model.layers, Serving(), TASKS, 7).sublayers("test")
    seen: dict[str, list[Tensor]] = {"entering": [], "attended": [], "inner": [], "outcome": []}

    def keep(what: str, take: Callable[[Any, Any, Any], Tensor]) -> Any:
        return lambda module, args, kwargs, output: seen[what].append(take(args, kwargs, output))

    def taken(args: Any, kwargs: Any, output: Any) -> Tensor:
        return entering_states(args, kwargs)

    def given_states(args: Any, kwargs: Any, output: Any) -> Tensor:
        return output[0] if isinstance(output, tuple) else output  # a tuple in older versions of transformers

    for one in {one.layer: one for one in found}.values():
        one.layer.register_forward_hook(keep("entering", taken), with_kwargs=True)
        one.feed_forward_out.register_forward_hook(keep("inner", taken), with_kwargs=True)
        if family == "modernbert":  # normalises before its sublayers: the sum that leaves the layer is the outcome
            one.layer.get_submodule("mlp_norm").register_forward_hook(keep("attended", taken), with_kwargs=True)
            one.layer.register_forward_hook(keep("outcome", given_states), with_kwargs=True)
        else:  # the outcome is what the layer's last norm takes
            norm = one.layer.get_submodule(LAST_NORMS.get(family, "output.LayerNorm"))
            one.feed_forward_in.register_forward_hook(keep("attended", taken), with_kwargs=True)
            norm.register_forward_hook(keep("outcome", taken), with_kwargs=True)
    given = batch()
    model(given)

    assert len(seen["outcome"]) == len(found) == 2
    for number, one in enumerate(found):
        h_BLD, attended_BLD, inner, outcome_BLD = (values[number] for values in seen.values())
        plain_BLD = attended_BLD + one.feed_forward_out.forward(inner)
        added_BLD = reference(layers_of(model), number, h_BLD, given.inputs[0].mask_BL)
        assert added_BLD.abs().mean() > 0.01
        torch.testing.assert_close(outcome_BLD, plain_BLD + added_BLD, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_v_d_learns_from_the_first_step_and_all_else_from_the_second(family: str) -> None:
    model = build(tiny(family))
    layers = layers_of(model)
    target = torch.randn(3, 6)

    def differentiate() -> None:
        model.zero_grad()
        ((model(batch()).values - target) ** 2).mean().backward()

    differentiate()
    moving = {name: parameter.grad for name, parameter in layers.named_parameters() if parameter.grad.any()}
    assert moving.keys() == {"up"}
    with torch.no_grad():
        layers.up -= 0.1 * layers.up.grad
    differentiate()
    moving = {name: parameter.grad for name, parameter in layers.named_parameters() if parameter.grad.any()}
    assert moving.keys() == {"up", "down", "attention.0", "attention.1"}
    assert all(parameter.grad is None for parameter in layers_of(model, "two").parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_task_changes_no_other_task(family: str) -> None:
    encoder = tiny(family).eval()
    plain = encoder(**inputs().arguments()).last_hidden_state
    model = teach(build(encoder), "two")
    assert torch.equal(states(model, batch("one")), plain)
    assert not torch.allclose(states(model, batch("two")), plain, atol=1e-2)
    assert torch.equal(encoder(**inputs().arguments()).last_hidden_state, plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_does_not_matter(family: str) -> None:
    model = teach(build(tiny(family)), "one")
    tokens = inputs().mask_BL.bool()
    alone = states(model, batch("one", inputs()))[tokens]
    for padded in (inputs(padding=3), inputs(filler=9)):
        found = states(model, batch("one", padded))[:, :6][tokens]
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


def test_the_two_sequences_of_a_row_see_nothing_of_each_other() -> None:
    model = teach(build(tiny("bert"), num_sequences=2), "one")
    first, second = inputs(), Inputs(torch.full((3, 4), 8), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]))
    both = model(batch("one", first, second)).values
    apart = [Encoded(states(model, batch("one", one, one)), one.mask_BL, None) for one in (first, second)]
    tokens = second.mask_BL.bool()
    torch.testing.assert_close(both[:, :4][tokens], model.heads["one"](*apart).values[tokens], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_lower_layers_without_one_are_left_alone(family: str) -> None:
    encoder = tiny(family, num_hidden_layers=3).eval()
    plain = encoder(**inputs().arguments(), output_hidden_states=True).hidden_states
    model = teach(build(encoder, SMALL.model_copy(update={"layers": 1})), "one")
    given: list[Tensor] = []
    found = Host(encoder, model.layers, Serving(), TASKS, 7).sublayers("test")
    for layer in {one.layer for one in found}:
        layer.register_forward_hook(lambda module, args, output: given.append(output))
    model(batch())
    assert len(layers_of(model).attention) == 1
    assert [torch.equal(ours, theirs) for ours, theirs in zip(given, plain[1:], strict=True)] == [True, True, False]


@pytest.mark.parametrize(("family", "frozen_prefix"), [("bert", 1), ("albert", 0)])
def test_of_a_frozen_encoder_only_what_lies_below_can_be_kept(family: str, frozen_prefix: int) -> None:
    model = build(tiny(family), SMALL.model_copy(update={"layers": 1}))
    assert Thawing(model, Layers(last=0), 1).frozen_prefix == frozen_prefix
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trains == {name for name, _ in model.named_parameters() if not name.startswith("encoder.")}


def test_it_learns_at_the_rate_of_the_task_heads_and_serves_one_task() -> None:
    model = build(tiny("bert"))
    name = "extensions.adapters.by_task.two.down"
    assert model.depths[name] == model.num_layers + 1
    assert not model.is_pretrained(name)
    assert (model.serves(name, ("two",)), model.serves(name, ("one",))) == (True, False)


def test_half_precision_computes_it_in_half_precision() -> None:
    encoder = tiny("bert")
    model, plain = build(encoder), build(tiny("bert"), NoAdapters())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(batch()).values, plain(batch()).values)
    teach(model, "one")
    whole = model(batch()).values
    with torch.autocast("cpu", torch.bfloat16):
        half = model(batch()).values
    assert not torch.equal(half.float(), whole)
    torch.testing.assert_close(half.float(), whole, rtol=0.05, atol=0.05)
    half.float().square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layers_of(model).parameters())


def test_its_dropout_is_at_work_in_training_alone() -> None:
    model = teach(build(tiny("bert", hidden_dropout_prob=0.0), SMALL.model_copy(update={"dropout": 0.5})), "one")
    assert torch.equal(model(batch()).values, model(batch()).values)
    model.extensions.train()
    assert not torch.equal(model(batch()).values, model(batch()).values)


def test_a_task_starts_alike_whatever_other_tasks_there_are_and_no_random_number_is_used_up() -> None:
    encoder = tiny("bert")
    before = torch.get_rng_state()
    hosts = [Host(encoder, find_layers(encoder), Serving(), tasks, 7) for tasks in (("one",), ("two", "one"))]
    alone, among = (cast(nn.Module, SMALL.build(host)).get_submodule("by_task") for host in hosts)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(alone.get_submodule("one").down, among.get_submodule("one").down)  # type: ignore[arg-type]
    assert not torch.equal(among.get_submodule("one").down, among.get_submodule("two").down)  # type: ignore[arg-type]


def test_the_papers_setting_makes_bert_base_1_13_times_as_large_for_8_tasks() -> None:
    with torch.device("meta"):
        encoder = BertModel(BertConfig())
    layers = EncoderLayers((), tuple(encoder.encoder.layer), 12, {})
    extension = Pal().build(Host(encoder, layers, Serving(), tuple("abcdefgh"), 7))
    assert extension is not None
    measured = {name: value for _, name, value in extension.measured()}
    assert measured["adapter_parameters"] == 8 * (2 * 768 * 204 + 12 * 3 * 204**2)
    assert measured["adapter_parameter_ratio"] == pytest.approx(0.13, abs=0.005)


def test_no_adapters_are_nothing() -> None:
    encoder = tiny("bert")
    assert NoAdapters().build(Host(encoder, find_layers(encoder), Serving(), TASKS, 7)) is None


def test_a_rank_that_the_attention_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"must be a multiple of attention_heads \(12\), but got 200; take 204"):
        Pal(rank=200)


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"adapters\.layers: must be at most the encoder's layers \(2\), but got 3"):
        build(tiny("bert"), SMALL.model_copy(update={"layers": 3}))
