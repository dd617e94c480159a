"""Whole encoders as experts, in every family that we load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.experts import EncoderExperts
from mtsearch.experts.routing import ExpertGate, GateKind, HardRouting, SoftRouting
from mtsearch.model.multitask import MultitaskModel
from mtsearch.training.thawing import Thawing
from mtsearch.unfreezing import Layers
from tests.experts.models import batch, build, plain, randomise
from tests.model.test_encoder import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


def config(gate: GateKind, num_experts: int = 3) -> EncoderExperts:
    return EncoderExperts(gate=gate, num_experts=num_experts)


def gate_of(model: MultitaskModel) -> ExpertGate:
    gate = model.extensions["experts"].gate
    assert isinstance(gate, ExpertGate)
    return gate


def copies_of(model: MultitaskModel) -> nn.ModuleList:
    copies = model.extensions["experts"].copies
    assert isinstance(copies, nn.ModuleList)
    return copies


def each_output(model: MultitaskModel, one: Batch) -> Tensor:
    """What each encoder gives for all rows, [E, B, L, D]."""
    inputs = one.inputs[0]
    words = model.encoder.get_input_embeddings()(inputs.ids_BL)  # type: ignore[operator]
    given = {name: value for name, value in inputs.arguments().items() if name != "input_ids"}
    states = [copied(inputs_embeds=words, **given).last_hidden_state for copied in copies_of(model)]
    return torch.stack([plain(model, one), *(one * inputs.mask_BL.unsqueeze(-1) for one in states)])


@pytest.mark.parametrize("gate", ["soft", "hard"])
@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_changes_before_the_first_step(name: str, gate: GateKind) -> None:
    model, one = build(config(gate), name), batch()
    with torch.no_grad():
        assert torch.allclose(model(one).values, plain(model, one), atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_soft_experts_are_a_mixture_of_the_encoders(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config("soft"), name), batch()
    randomise(copies_of(model))
    probabilities_BE = torch.rand(6, 3).softmax(1)
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: SoftRouting(probabilities_BE))
    with torch.no_grad():
        expected = torch.einsum("be,ebld->bld", probabilities_BE, each_output(model, one))
        assert torch.allclose(model(one).values, expected, atol=1e-5)
        assert not torch.allclose(model(one).values, plain(model, one), atol=1e-2)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_hard_expert_is_the_chosen_encoder_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config("hard"), name), batch()
    randomise(copies_of(model))
    chosen = [2, 0, 1, 2, 0, 0]
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: HardRouting(torch.eye(3)[chosen]))
    with torch.no_grad():
        expected = each_output(model, one)[chosen, torch.arange(6)]
        assert torch.allclose(model(one).values, expected, atol=1e-5)
        assert not torch.allclose(model(one).values, plain(model, one), atol=1e-2)


def test_each_encoder_runs_on_its_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config("hard")), batch()
    rows: dict[nn.Module, int] = {}
    for encoder in (model.encoder, *copies_of(model)):
        encoder.register_forward_hook(
            lambda module, args, kwargs, output: rows.update({module: len(kwargs["inputs_embeds"])}), with_kwargs=True
        )

    def run(*chosen: int) -> list[int]:
        rows.clear()
        monkeypatch.setattr(gate_of(model), "forward", lambda *args: HardRouting(torch.eye(3)[list(chosen)]))
        model(one)
        return [rows.get(encoder, 0) for encoder in (model.encoder, *copies_of(model))]

    with torch.no_grad():
        assert run(0, 2, 1, 2, 2, 1) == [1, 2, 3]
        assert run(0, 0, 1, 1, 1, 1) == [2, 4, 0]
        assert run(1, 1, 1, 1, 1, 1) == [1, 6, 0]  # the encoder itself cannot run on none


def test_an_encoder_without_rows_has_a_gradient_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where another process has rows for it: an optimizer must do the same in both.
    model, one = build(config("hard")), batch()
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: HardRouting(torch.eye(3)[[1] * 6]))
    model(one).values[:, 0, 0].sum().backward()
    slopes = [[p.grad for p in encoder.encoder.parameters()] for encoder in (model.encoder, *copies_of(model))]
    assert [any(bool(slope.any()) for slope in of_one) for of_one in slopes] == [False, True, False]


@pytest.mark.parametrize("gate", ["soft", "hard"])
def test_the_gate_reads_the_mean_word_and_learns(gate: GateKind, monkeypatch: pytest.MonkeyPatch) -> None:
    model, one = build(config(gate)), batch(task="two")
    randomise(copies_of(model))
    given: list[Any] = []
    forward = gate_of(model).forward
    monkeypatch.setattr(gate_of(model), "forward", lambda *args: given.append(args) or forward(*args))
    model(one).values[:, 0, 0].sum().backward()
    ((words_BLD, mask_BL, task),) = given
    assert torch.equal(words_BLD, model.encoder.embeddings.word_embeddings(one.inputs[0].ids_BL))  # type: ignore[union-attr, operator]
    assert (mask_BL is one.inputs[0].mask_BL, task) == (True, "two")
    slope = gate_of(model).weight.grad
    assert slope is not None
    assert float(slope.norm()) > 1e-4


def test_word_embeddings_are_shared_and_copies_train_with_what_they_copy() -> None:
    model = build(config("hard", num_experts=2))
    copied = {name: depth for name, depth in model.depths.items() if ".copies." in name}
    own = {name: depth for name, depth in model.depths.items() if name.startswith("encoder.")}
    assert {name.replace("extensions.experts.copies.0", "encoder"): depth for name, depth in copied.items()} == {
        name: depth for name, depth in own.items() if "word_embeddings" not in name
    }
    assert all(model.is_pretrained(name) for name in copied)
    assert model.depths["extensions.experts.gate.weight"] == 3


def test_copies_freeze_with_the_encoder_and_nothing_is_kept() -> None:
    model = build(config("hard"))
    thawing = Thawing(model, Layers(first=2), 1)
    thawing.set_training_mode()
    for encoder in (model.encoder, *copies_of(model)):
        assert [layer.training for layer in encoder.encoder.layer] == [False, True]
        trains = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
        assert trains
        assert all("layer.1" in name for name in trains)
    assert thawing.frozen_prefix is None


def test_the_bare_encoder_stays_as_it_is() -> None:
    model, one = build(config("hard")), batch()
    before = plain(model, one)
    randomise(copies_of(model))
    model(one)
    assert torch.equal(plain(model, one), before)


def test_nothing_else_may_extend_whole_encoders(tiny_config: Callable[..., dict[str, Any]]) -> None:
    sections = {"experts": {"name": "encoders"}, "adapters": {"name": "pal"}}
    with pytest.raises(ValidationError, match=r"experts\.name: 'encoders' takes several encoders, but adapters would"):
        TrialConfig.model_validate(tiny_config(**sections))
    TrialConfig.model_validate(tiny_config(**{**sections, "experts": {"name": "feed_forward"}}))
