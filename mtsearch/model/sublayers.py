"""Inside the layers of the families that we know: where attention heads meet, and what a feed-forward consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mtsearch.errors import EncoderError

__all__ = ["FAMILIES", "Sublayers", "find_sublayers"]


@dataclass(frozen=True)
class _Family:
    """The names within a layer.

    Attributes:
        attention_output: the projection that joins the attention heads.
        feed_forward_in: the first linear layer of the feed-forward.
        feed_forward_out: the last.
    """

    attention_output: str
    feed_forward_in: str
    feed_forward_out: str


_BERT = _Family("attention.output.dense", "intermediate.dense", "output.dense")
_KNOWN = {
    "albert": _Family("attention.dense", "ffn", "ffn_output"),
    "bert": _BERT,
    "deberta-v2": _BERT,
    "distilbert": _Family("attention.out_lin", "ffn.lin1", "ffn.lin2"),
    "electra": _BERT,
    "modernbert": _Family("attn.Wo", "mlp.Wi", "mlp.Wo"),
    "mpnet": _Family("attention.attn.o", "intermediate.dense", "output.dense"),
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
        attention_output: takes the context vectors of all attention heads side by side, [B, L, H · D/H].
        feed_forward_in: [B, L, D] to the inner size, which of some families is twice the feed-forward's.
        feed_forward_out: from the inner size to [B, L, D]; before dropout, the residual sum and any norm after it.
        num_heads: H.
    """

    depth: int
    layer: nn.Module
    attention_output: nn.Linear
    feed_forward_in: nn.Linear
    feed_forward_out: nn.Linear
    num_heads: int


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
    num_heads: int = config.num_attention_heads  # type: ignore[union-attr, assignment]
    return tuple(
        Sublayers(
            depth,
            layer,
            _linear(layer, family.attention_output),
            _linear(layer, family.feed_forward_in),
            _linear(layer, family.feed_forward_out),
            num_heads,
        )
        for depth, layer in enumerate(applied, start=1)
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
