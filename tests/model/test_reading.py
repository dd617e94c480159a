"""Rows that the upper layers read once more: what comes out, what trains, and what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch, Inputs, PrefixStates
from mtsearch.errors import ConfigError
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.prefix import states_above
from mtsearch.tasks.contract import Encoded, Logits, Reading
from mtsearch.training.assembly import check_rereading
from tests.model.test_layers import tiny

FAMILIES = ("bert", "roberta", "electra", "distilbert", "deberta-v2", "modernbert", "mpnet")
IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


class Twice(nn.Module):
    """Reads the first row twice and the second once more, and gives the tokens of that."""

    def __init__(self, reread_layers: int, rows: list[int], added: float) -> None:
        super().__init__()
        self.reread_layers = reread_layers
        self.rows = torch.tensor(rows, dtype=torch.long)
        self.added = nn.Parameter(torch.tensor(added))
        self.again: Encoded | None = None

    def reading(self, sequence: Encoded) -> Reading:
        return Reading(self.rows, self.added * torch.ones_like(sequence.tokens_BLD[self.rows]))

    def forward(self, sequence: Encoded, again: Encoded | None = None) -> Logits:
        self.again = again
        return Logits(sequence.tokens_BLD if again is None else again.tokens_BLD)


def build(family: str = "bert", layers: int = 1, rows: tuple[int, ...] = (0, 1, 0), added: float = 0.0) -> Any:
    return MultitaskModel(tiny(family), {"task": Twice(layers, list(rows), added)}).eval()


def batch(states: PrefixStates | None = None) -> Batch:
    return Batch("task", np.arange(2), (Inputs(IDS, MASK),), {}, states)


def tokens(model: MultitaskModel, given: Batch) -> Tensor:
    with torch.no_grad():
        return model(given).values


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_read_again_unchanged_comes_out_as_before(family: str, layers: int) -> None:
    model, once = build(family, layers), build(family, 0)
    once.encoder.load_state_dict(model.encoder.state_dict())
    expected, found = tokens(once, batch()), tokens(model, batch())
    for row, source in zip(found, (0, 1, 0), strict=True):
        kept = MASK[source].bool()
        torch.testing.assert_close(row[kept], expected[source][kept], rtol=1e-4, atol=1e-5)
    assert model.heads["task"].again.mask_BL.tolist() == MASK[[0, 1, 0]].bool().tolist()


def test_what_is_added_reaches_what_comes_out_and_learns() -> None:
    model = build(added=0.5).train()
    assert not torch.allclose(tokens(model.eval(), batch()), tokens(build(), batch())[:3])
    model(batch()).values.square().sum().backward()
    assert model.heads["task"].added.grad.abs() > 0
    lower = [p.grad for name, p in model.encoder.named_parameters() if "layer.0" in name]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in lower if gradient is not None)
    assert any(gradient is not None for gradient in lower)


def test_where_nothing_is_to_be_read_again_the_first_reading_counts() -> None:
    model, once = build(rows=()), build(layers=0)
    once.encoder.load_state_dict(model.encoder.state_dict())
    assert torch.equal(tokens(model, batch()), tokens(once, batch()))


@pytest.mark.parametrize("depth", [0, 1])
def test_it_reads_again_from_states_that_were_kept(depth: int) -> None:
    model = build(added=0.5)
    with torch.no_grad():
        kept = states_above(depth, batch().inputs[0], model.encoder, model.layers)
    found = tokens(model, batch(PrefixStates(depth, (kept,))))
    torch.testing.assert_close(found, tokens(model, batch()), rtol=1e-4, atol=1e-5)


def test_no_states_are_kept_above_what_is_read_again() -> None:
    assert build(layers=0).frozen_prefix([3]) == 2
    assert build(layers=1).frozen_prefix([3]) == 1
    assert build(layers=2).frozen_prefix([3]) == 0


def srl(reread_layers: int, **sections: Any) -> TrialConfig:
    task = {"kind": "srl", "data": "srl_propbank_ewt", "head": {"reread_layers": reread_layers}}
    return TrialConfig.model_validate({"tasks": {"roles": task}, **sections})


def test_an_encoder_must_have_the_layers_and_be_able_to_start_above_the_others() -> None:
    encoder: Callable[[str], nn.Module] = tiny
    bert, albert = encoder("bert"), encoder("albert")
    check_rereading(srl(2), bert, find_layers(bert))
    with pytest.raises(ConfigError, match=r"tasks.roles.head.reread_layers: must be at most .* \(2\), but got 3"):
        check_rereading(srl(3), bert, find_layers(bert))
    check_rereading(srl(0), albert, find_layers(albert))
    with pytest.raises(ConfigError, match="AlbertModel cannot be started above its lower layers; set it to 0"):
        check_rereading(srl(1), albert, find_layers(albert))


def test_whole_encoders_as_experts_read_once() -> None:
    srl(0, experts={"name": "encoders"})
    with pytest.raises(ValidationError, match="several encoders cannot read a sentence once more"):
        srl(1, experts={"name": "encoders"})
