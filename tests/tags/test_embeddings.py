"""Tag embeddings in every family: nothing at first, gradient from the first step, and a say in the output."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from mtsearch.data.batching import Batch, Inputs
from mtsearch.model.extension import Host
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.serving import Serving
from mtsearch.regularizers.smart import _added, _word_embeddings
from mtsearch.tags import Columns, NoTags, Spacy
from mtsearch.tags.contract import TagConfig
from tests.model.test_encoder import FAMILIES
from tests.model.test_layers import tiny
from tests.model.test_multitask import Head

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

NAMES = {"pos": ("ADJ", "NOUN"), "entities": ("WORK",)}
IDS_BL = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
MASK_BL = (IDS_BL > 0).long()
TAGS_BLT = torch.tensor([[[0, 0], [1, 0], [2, 1], [0, 0]], [[0, 0], [2, 0], [0, 0], [0, 0]]])


def build(family: str, init_std: float = 0.0, **settings: int) -> tuple[MultitaskModel, nn.Module]:
    encoder = tiny(family, **settings)
    host = Host(encoder, find_layers(encoder), Serving(), ("one",), 7, NAMES)  # type: ignore[arg-type]
    extension = Columns(init_std=init_std).build(host)
    assert isinstance(extension, nn.Module)
    torch.manual_seed(1)
    model = MultitaskModel(encoder, {"one": Head()}, host.layers, {"tags": extension}, host.serving)
    return model.eval(), extension


def batch(tags_BLT: torch.Tensor | None = TAGS_BLT, num_sequences: int = 1) -> Batch:
    return Batch("one", np.arange(2), (Inputs(IDS_BL, MASK_BL, tags_BLT=tags_BLT),) * num_sequences, {})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_starts_as_the_plain_encoder_bit_for_bit_and_learns_from_the_first_step(family: str) -> None:
    model, extension = build(family)
    plain = MultitaskModel(tiny(family), {"one": model.heads["one"]}).eval()
    assert torch.equal(model(batch()).values, plain(batch(None)).values)
    model(batch()).values.square().sum().backward()
    for layer, names in NAMES.items():
        gradient_CD = extension.by_layer[layer].grad
        assert gradient_CD.shape[0] == 1 + len(names)
        assert gradient_CD[0].eq(0).all()
        assert gradient_CD[1:].ne(0).any(1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tag_moves_what_its_tokens_give(family: str) -> None:
    model, _ = build(family, init_std=1.0)
    tagged, untagged = model(batch()).values, model(batch(torch.zeros_like(TAGS_BLT))).values
    plain = MultitaskModel(tiny(family), {"one": model.heads["one"]}).eval()
    assert not torch.allclose(tagged, untagged)
    assert torch.equal(untagged, plain(batch(None)).values)


@pytest.mark.parametrize("family", ["electra", "albert"])
def test_embeddings_may_be_narrower_than_the_encoder(family: str) -> None:
    model, extension = build(family, init_std=1.0, embedding_size=8)
    assert {tuple(p.shape) for p in extension.parameters()} == {(3, 8), (2, 8)}
    assert model(batch()).values.isfinite().all()


def test_the_sum_is_that_of_the_word_and_its_tags() -> None:
    model, extension = build("bert", init_std=1.0)
    seen: list[torch.Tensor] = []
    words = model.encoder.get_input_embeddings()
    words.register_forward_hook(lambda module, args, output: seen.append(output))
    model(batch())
    pos, entities = extension.by_layer["pos"], extension.by_layer["entities"]
    assert torch.allclose(seen[0][0, 2], words.weight[7] + pos[2] + entities[1])
    assert torch.equal(seen[0][0, 3], words.weight[8])


def test_both_sequences_of_a_row_have_their_own_tags() -> None:
    model, _ = build("bert", init_std=1.0)
    model.heads["one"] = Sides()
    both = Batch("one", np.arange(2), (batch().inputs[0], batch(torch.zeros_like(TAGS_BLT)).inputs[0]), {})
    first, second = model(both)
    assert not torch.allclose(first, second)
    assert torch.allclose(first, model(batch(num_sequences=2))[1])


class Sides(nn.Module):
    """The mean token of each sequence."""

    def forward(self, first: object, second: object) -> tuple[torch.Tensor, torch.Tensor]:
        return first.tokens_BLD.mean(1), second.tokens_BLD.mean(1)  # type: ignore[attr-defined]


def test_the_bare_encoder_stays_plain() -> None:
    model, _ = build("bert", init_std=1.0)
    inputs = {"input_ids": IDS_BL, "attention_mask": MASK_BL}
    assert torch.equal(model.encoder(**inputs).last_hidden_state, tiny("bert").eval()(**inputs).last_hidden_state)


def test_they_add_up_with_a_change_of_the_word_embeddings() -> None:
    model, extension = build("bert", init_std=1.0)
    delta_BLD = torch.randn(2, 4, 32) * MASK_BL.unsqueeze(-1)
    seen: list[torch.Tensor] = []
    with _added(delta_BLD, _word_embeddings(model)):
        model.encoder.get_input_embeddings().register_forward_hook(lambda module, args, output: seen.append(output))
        model(batch())
    assert torch.allclose(
        seen[0][0, 1], model.encoder.get_input_embeddings().weight[6] + extension.by_layer["pos"][1] + delta_BLD[0, 1]
    )


def test_other_weights_may_stand_in_for_them() -> None:
    model, _ = build("bert", init_std=1.0)
    zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters() if name.startswith("extensions.")}
    away = torch.func.functional_call(model, zeros, (batch(),)).values
    assert torch.equal(away, model(batch(torch.zeros_like(TAGS_BLT))).values)


def test_they_are_drawn_by_the_seed_and_their_length_is_told() -> None:
    first, extension = build("bert", init_std=0.5)
    second, _ = build("bert", init_std=0.5)
    for one, other in zip(first.extensions.parameters(), second.extensions.parameters(), strict=True):
        assert torch.equal(one, other)
    measured = {name: value for _, name, value in extension.measured()}
    expected = first.extensions["tags"].by_layer["pos"][1:].norm(dim=1).mean().item()
    assert measured["pos_tag_norm"] == pytest.approx(expected)
    assert set(measured) == {"pos_tag_norm", "entities_tag_norm"}


def test_nothing_of_frozen_layers_is_kept_below_them() -> None:
    model, extension = build("bert")
    assert model.frozen_prefix({2, 3}) is None
    assert {model.depths[f"extensions.tags.{name}"] for name, _ in extension.named_parameters()} == {3}


def test_no_tags_are_no_extension() -> None:
    encoder = tiny("bert")
    assert NoTags().build(Host(encoder, find_layers(encoder), Serving(), ("one",), 7)) is None
    assert NoTags().tagger(is_cached=True, open_export=Mock()) is None


@pytest.mark.parametrize(
    ("source", "layers"),
    [
        (NoTags(), ()),
        (Spacy(), ("pos", "entities")),
        (Spacy(layers="pos"), ("pos",)),
        (Columns(layers="entities"), ("entities",)),
    ],
)
def test_the_layers_are_those_that_are_asked_for(source: TagConfig, layers: tuple[str, ...]) -> None:
    assert source.tag_layers == layers
