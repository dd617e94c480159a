"""Inside the layers: the projection that joins the attention heads, and the two ends of the feed-forward."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtsearch.errors import EncoderError
from mtsearch.model.layers import find_layers
from mtsearch.model.sublayers import FAMILIES, Sublayers, find_sublayers
from tests.model.test_encoder import FAMILIES as TESTED
from tests.model.test_layers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

KNOWN = [name for name, (kind, _) in TESTED.items() if kind.model_type in FAMILIES]


def sublayers(encoder: nn.Module) -> tuple[Sublayers, ...]:
    return find_sublayers(encoder, find_layers(encoder).layers, "pruning")


def test_most_of_the_families_that_we_load_are_known() -> None:
    wanted = {"bert", "roberta", "electra", "distilbert", "deberta-v2", "modernbert", "albert", "mpnet"}
    assert wanted <= {TESTED[name][0].model_type for name in KNOWN}


@pytest.mark.parametrize("name", KNOWN)
def test_each_part_is_run_once_in_each_layer_in_its_place(name: str) -> None:
    encoder = tiny(name).eval()
    found = sublayers(encoder)
    calls: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []

    def tell(what: str) -> object:
        return lambda module, args, output: calls.append((what, tuple(args[0].shape), tuple(output.shape)))

    for one in {id(one.layer): one for one in found}.values():
        one.attention_output.register_forward_hook(tell("attention"))
        one.feed_forward_in.register_forward_hook(tell("in"))
        one.feed_forward_out.register_forward_hook(tell("out"))
    ids = torch.randint(5, 20, (2, 7))
    encoder(input_ids=ids, attention_mask=torch.ones_like(ids))

    assert [one.depth for one in found] == list(range(1, encoder.config.num_hidden_layers + 1))
    assert [what for what, _, _ in calls] == ["attention", "in", "out"] * len(found)
    hidden = encoder.config.hidden_size
    for what, taken, given in calls:
        assert taken[:2] == given[:2] == (2, 7)
        assert what != "attention" or (taken[-1] % found[0].num_heads == 0 and given[-1] == hidden)
        assert what != "in" or taken[-1] == hidden
        assert what != "out" or given[-1] == hidden


def test_an_unknown_family_is_told_with_those_that_are_known() -> None:
    class Strange(nn.Module):
        class config:  # noqa: N801
            model_type = "strange"

    with pytest.raises(EncoderError, match=r"pruning: .* \(albert, bert, .*\), but encoder\.model is a strange"):
        find_sublayers(Strange(), (), "pruning")
