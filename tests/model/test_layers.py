"""The layers of an encoder: found in every architecture, and every parameter at its depth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModel, DebertaV2Config, PreTrainedModel

from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from tests.model.test_encoder import FAMILIES, SIZES

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

LAYERED = [name for name in FAMILIES if name != "albert"]


def tiny(name: str, **settings: Any) -> PreTrainedModel:
    kind, own = FAMILIES[name]
    torch.manual_seed(0)
    config = kind(**{**SIZES, "intermediate_size": 64, "max_position_embeddings": 64, **own, **settings})
    try:
        return AutoModel.from_config(config, add_pooling_layer=False)
    except TypeError:
        return AutoModel.from_config(config)


@pytest.mark.parametrize("name", LAYERED)
def test_every_layer_has_the_depth_of_its_place(name: str) -> None:
    layers = find_layers(tiny(name))
    assert layers.num_layers == 2
    for parameter, depth in layers.depths.items():
        numbers = [int(part) for part in parameter.split(".") if part.isdigit()]
        if numbers:
            assert depth == numbers[0] + 1, parameter
        if "embeddings." in parameter and "rel" not in parameter:
            assert depth == 0, parameter
    assert set(layers.depths.values()) == {0, 1, 2}


def test_what_comes_after_the_layers_is_as_deep_as_the_top_one() -> None:
    assert find_layers(tiny("modernbert")).depths["final_norm.weight"] == 2


def test_what_projects_embeddings_belongs_to_them() -> None:
    depths = find_layers(tiny("electra", embedding_size=16)).depths
    assert depths["embeddings_project.weight"] == 0


def test_positions_that_all_layers_share_are_as_deep_as_the_lowest_that_uses_them() -> None:
    assert find_layers(tiny("mpnet")).depths["encoder.relative_attention_bias.weight"] == 1
    settings = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"}
    deberta = AutoModel.from_config(DebertaV2Config(**SIZES, intermediate_size=64, conv_kernel_size=3, **settings))
    depths = find_layers(deberta).depths
    shared = {name: depth for name, depth in depths.items() if ".layer." not in name and depth}
    assert {name.split(".")[1] for name in shared} == {"rel_embeddings", "LayerNorm", "conv"}
    assert set(shared.values()) == {1}


def test_an_encoder_that_shares_one_layer_counts_as_one() -> None:
    layers = find_layers(tiny("albert"))
    assert (layers.num_layers, layers.layers) == (1, ())
    assert {depth for name, depth in layers.depths.items() if name.startswith("embeddings.")} == {0}
    assert {depth for name, depth in layers.depths.items() if not name.startswith("embeddings.")} == {1}


def test_looking_leaves_no_trace() -> None:
    encoder = tiny("modernbert").train()
    encoder.final_norm.weight.requires_grad_(False)
    random = torch.get_rng_state()
    find_layers(encoder)
    assert all(module.training for module in encoder.modules())
    assert not encoder.final_norm.weight.requires_grad
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_model_adds_the_task_heads_on_top() -> None:
    model = MultitaskModel(tiny("bert"), {"sentiment": torch.nn.Linear(32, 5)})
    assert model.num_layers == 2
    assert model.depths.keys() == dict(model.named_parameters()).keys()
    assert model.depths["heads.sentiment.weight"] == 3
    assert model.depths["encoder.embeddings.word_embeddings.weight"] == 0
    assert model.depths["encoder.encoder.layer.1.output.dense.bias"] == 2
