"""Running the lower part of an encoder alone, and the rest from what it gave, equals running it whole."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, DebertaV2Config

from mtsearch.data.batching import Inputs
from mtsearch.model.layers import find_layers
from mtsearch.model.prefix import can_start_above, starting_above, states_above
from tests.model.test_encoder import FAMILIES, SIZES
from tests.model.test_layers import LAYERED, tiny

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 0, 0, 0]])
MASK = (IDS > 0).long()
INPUTS = Inputs(IDS, MASK)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("name", LAYERED)
def test_the_two_parts_give_what_the_whole_gives(name: str, depth: int) -> None:
    encoder = tiny(name, embedding_size=16) if name == "electra" else tiny(name)
    encoder.eval()
    layers = find_layers(encoder)
    assert can_start_above(depth, encoder, layers)
    whole_BLD = encoder(**INPUTS.arguments()).last_hidden_state
    states_BLD = states_above(depth, INPUTS, encoder, layers)
    assert not states_BLD.requires_grad
    if depth == layers.num_layers:
        assert torch.equal(states_BLD, whole_BLD)
        return
    states_BLD[~MASK.bool()] = 0.0  # what stands in padding is not kept
    with starting_above(depth, states_BLD, layers):
        parts_BLD = encoder(**INPUTS.arguments()).last_hidden_state
    assert torch.equal(parts_BLD[MASK.bool()], whole_BLD[MASK.bool()])
    assert torch.equal(encoder(**INPUTS.arguments()).last_hidden_state, whole_BLD)  # all is as it was


def test_a_convolution_over_the_first_layer_is_part_of_it() -> None:
    torch.manual_seed(0)
    config = DebertaV2Config(**SIZES, intermediate_size=64, conv_kernel_size=3, relative_attention=True)
    encoder = AutoModel.from_config(config).eval()
    layers = find_layers(encoder)
    whole_BLD = encoder(**INPUTS.arguments()).last_hidden_state
    with starting_above(1, states_above(1, INPUTS, encoder, layers), layers):
        parts_BLD = encoder(**INPUTS.arguments()).last_hidden_state
    assert torch.equal(parts_BLD, whole_BLD)


def test_the_upper_layers_get_the_same_gradients() -> None:
    encoder = tiny("bert").eval()
    layers = find_layers(encoder)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(layers.depths[name] > 1)
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]

    def gradients() -> tuple[torch.Tensor, ...]:
        states_BLD = encoder(**INPUTS.arguments()).last_hidden_state
        return torch.autograd.grad(states_BLD[MASK.bool()].square().sum(), trained)

    whole = gradients()
    with starting_above(1, states_above(1, INPUTS, encoder, layers), layers):
        parts = gradients()
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_the_frozen_part_is_run_without_dropout_and_the_mode_stays() -> None:
    encoder = tiny("bert").train()
    layers = find_layers(encoder)
    assert torch.equal(states_above(1, INPUTS, encoder, layers), states_above(1, INPUTS, encoder, layers))
    assert all(module.training for module in encoder.modules())


def test_an_encoder_of_one_shared_layer_starts_above_all_of_it_or_not_at_all() -> None:
    encoder = tiny("albert").eval()
    layers = find_layers(encoder)
    assert can_start_above(1, encoder, layers)
    assert not can_start_above(0, encoder, layers)


def test_an_encoder_that_adds_embeddings_on_its_way_is_refused() -> None:
    kind, settings = FAMILIES["bert"]

    class Adding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = kind(**{**SIZES, **settings})
            self.words, self.positions = torch.nn.Embedding(50, 8), torch.nn.Embedding(9, 8)
            self.layer = torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)])

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
            embedded = self.words(input_ids) + self.positions(torch.arange(input_ids.shape[1]))
            above = self.layer[1](self.layer[0](embedded))
            return type("Output", (), {"last_hidden_state": above + embedded})

    encoder = Adding()
    assert not can_start_above(1, encoder, find_layers(encoder))
