"""Inside the layers of the families that we know: what attends, where attention heads meet, what feeds forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from mtsearch.errors import EncoderError

__all__ = ["FAMILIES", "Sublayers", "find_sublayers"]


@dataclass(frozen=True)
class _Family:
    """The names within a layer.

    Attributes:
        attention: what makes the context vectors; it may hold the projection that joins them, too.
        attention_inputs: its projections to queries, keys and values, by their names in it; some may be missing.
        attention_output: the projection that joins the attention heads.
        feed_forward_in: the first linear layer of the feed-forward.
        feed_forward_out: the last.
        head_bias: what the attention is given for each attention head, computed once for all layers, by the
            argument's name; empty if nothing.
        after_heads: the modules of the attention that the context vectors still pass in it, by their names; the one
            that is a norm takes the residual sum.
    """

    attention: str
    attention_inputs: tuple[str, ...]
    attention_output: str
    feed_forward_in: str
    feed_forward_out: str
    head_bias: str = ""
    after_heads: tuple[str, ...] = ()


_BERT = _Family(
    "attention.self", ("query", "key", "value"), "attention.output.dense", "intermediate.dense", "output.dense"
)
_DEBERTA = ("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj")  # positions may share the first
_KNOWN = {
    "albert": _Family(
        "attention",
        ("query", "key", "value"),
        "attention.dense",
        "ffn",
        "ffn_output",
        after_heads=("dense", "output_dropout", "LayerNorm"),
    ),
    "bert": _BERT,
    "deberta-v2": replace(_BERT, attention_inputs=_DEBERTA),
    "distilbert": _Family(
        "attention", ("q_lin", "k_lin", "v_lin"), "attention.out_lin", "ffn.lin1", "ffn.lin2", after_heads=("out_lin",)
    ),
    "electra": _BERT,
    "modernbert": _Family("attn", ("Wqkv",), "attn.Wo", "mlp.Wi", "mlp.Wo", after_heads=("Wo", "out_drop")),
    "mpnet": _Family(
        "attention.attn",
        ("q", "k", "v"),
        "attention.attn.o",
        "intermediate.dense",
        "output.dense",
        head_bias="position_bias",
        after_heads=("o",),
    ),
    "roberta": _BERT,
    "xlm-roberta": _BERT,
}

FAMILIES: tuple[str, ...] = tuple(_KNOWN)
"""The values of ``config.model_type`` that :func:`find_sublayers` knows."""


@dataclass(frozen=True)
class Sublayers:
    """One layer of an encoder. Of ALBERT, whose layers share one module, each is told of, with the same modules.

    Attributes:
        depth: 1 for the lowest, N for the highest.
        layer: the whole layer, which takes and gives hidden states [B, L, D].
        attention: makes the context vectors of all attention heads.
        attention_inputs: its projections to queries, keys and values, each from [B, L, D] to H · D/H, or three times
            that; none where no attention head is left.
        attention_output: takes the context vectors of all attention heads side by side, [B, L, H · D/H].
        feed_forward_in: [B, L, D] to the inner size, which of some families is twice the feed-forward's.
        feed_forward_out: from the inner size to [B, L, D]; before dropout, the residual sum and any norm after it.
        head_bias: the attention's argument [B, H, L, L] that all layers share; empty if there is none.
        after_heads: names of modules in ``attention`` that the context vectors pass before they leave it.
        num_heads: H; what is left of it where attention heads were cut out.
        head_size: D/H, as it is in the whole encoder.
    """

    depth: int
    layer: nn.Module
    attention: nn.Module
    attention_inputs: tuple[nn.Linear, ...]
    attention_output: nn.Linear
    feed_forward_in: nn.Linear
    feed_forward_out: nn.Linear
    head_bias: str
    after_heads: tuple[str, ...]
    num_heads: int
    head_size: int


def find_sublayers(encoder: nn.Module, layers: Sequence[nn.Module], wanted_by: str) -> tuple[Sublayers, ...]:
    """The inner parts of an encoder's layers, lowest first.

    Args:
        encoder: as ``AutoModel`` loads it.
        layers: the encoder's list of layers; empty for ALBERT.
        wanted_by: the config's section that needs them, for the error.

    Raises:
        EncoderError: the encoder is of a family that we do not know.
    """
    config = encoder.config
    family = _KNOWN.get(config.model_type)  # type: ignore[union-attr, arg-type]
    if family is None:
        raise EncoderError(
            f"{wanted_by}: must have an encoder of a family whose layers are known ({', '.join(FAMILIES)}), "
            f"but encoder.model is a {config.model_type}; choose another encoder, or leave {wanted_by} out"  # type: ignore[union-attr]
        )
    applied = list(layers) or _shared(encoder)
    head_size: int = config.hidden_size // config.num_attention_heads  # type: ignore[union-attr, operator, assignment]
    return tuple(_sublayers(layer, depth, family, head_size) for depth, layer in enumerate(applied, start=1))


def _sublayers(layer: nn.Module, depth: int, family: _Family, head_size: int) -> Sublayers:
    attention = layer.get_submodule(family.attention)
    attention_output = _linear(layer, family.attention_output)
    return Sublayers(
        depth,
        layer,
        attention,
        tuple(_linear(attention, name) for name in family.attention_inputs if hasattr(attention, name)),
        attention_output,
        _linear(layer, family.feed_forward_in),
        _linear(layer, family.feed_forward_out),
        family.head_bias,
        family.after_heads,
        attention_output.in_features // head_size,
        head_size,
    )


def _shared(encoder: nn.Module) -> list[nn.Module]:
    """ALBERT's layers in the order in which it passes them, the same modules again and again."""
    num_layers: int = encoder.config.num_hidden_layers  # type: ignore[union-attr, assignment]
    groups: Sequence[nn.Module] = encoder.encoder.albert_layer_groups  # type: ignore[union-attr, assignment]
    passed = [groups[number * len(groups) // num_layers] for number in range(num_layers)]
    return [layer for group in passed for layer in group.albert_layers]  # type: ignore[union-attr]


def _linear(layer: nn.Module, name: str) -> nn.Linear:
    found = layer.get_submodule(name)
    assert isinstance(found, nn.Linear)
    return found
