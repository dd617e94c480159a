"""A tiny encoder with one task head, a batch with padding, and what reaches the encoder behind its embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from mtsearch.data.batching import Batch, Inputs
from mtsearch.model.multitask import MultitaskModel
from mtsearch.tasks import Classification, PairClassification, PairRegression, Regression
from mtsearch.tasks.contract import Inventory, TaskKind

INVENTORY = Inventory(("a", "b", "c"), (4, 3, 2), {"mean": 2.0, "deviation": 1.5})
LENGTHS = ((6, 3, 4, 6), (5, 7, 2, 4))  # tokens of each row's first and second sequence
KINDS: dict[str, TaskKind] = {
    "classification": Classification(data="x"),
    "regression": Regression(data="x"),
    "siamese": PairClassification(data="x", pair="siamese"),
    "cosine": PairRegression(data="x", pair="cosine", low=0.0, high=5.0),
}


def build_model(kind: TaskKind, *, dropout: float = 0.2, seed: int = 0) -> MultitaskModel:
    """In training mode; weights large enough that the outputs of rows differ."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )
    head = kind.build_head(16, "mean", INVENTORY)
    for module in head.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return MultitaskModel(BertModel(config, add_pooling_layer=False), {"task": head}).train()


def build_batch(kind: TaskKind, *, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)

    def inputs(lengths: tuple[int, ...]) -> Inputs:
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
        return Inputs(torch.randint(1, 40, mask.shape, generator=rng) * mask, mask)

    sequences = LENGTHS[: 2 if kind.layout == "siamese" else 1]
    return Batch("task", np.arange(len(LENGTHS[0])), tuple(inputs(lengths) for lengths in sequences), {})


def token_mask(batch: Batch) -> Tensor:
    """True where the encoder sees a token; two sequences of a row are stacked."""
    return (batch.inputs[0] if len(batch.inputs) == 1 else Inputs.stack(batch.inputs)).mask_BL.bool()


@contextmanager
def embedded(model: MultitaskModel) -> Iterator[list[Tensor]]:
    """The sum of all embeddings of every pass, before it is normalised."""
    seen: list[Tensor] = []

    def look(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        seen.append(arguments[0].detach().clone())

    handle = model.get_submodule("encoder.embeddings.LayerNorm").register_forward_pre_hook(look)
    yield seen
    handle.remove()


@contextmanager
def moved(model: MultitaskModel, delta_BLD: Tensor) -> Iterator[None]:
    """Within it every pass has ``delta_BLD`` added to its word embeddings."""
    embeddings = model.get_submodule("encoder.embeddings.word_embeddings")
    handle = embeddings.register_forward_hook(lambda module, arguments, output: output + delta_BLD)
    yield
    handle.remove()


def assert_is_gradient_of(value: Callable[[], Tensor], gradients: dict[str, Tensor], model: nn.Module) -> None:
    """Central differences of ``value`` along random directions of the double-precision parameters of ``model``."""
    rng = torch.Generator().manual_seed(5)
    step = 1e-5
    parameters = dict(model.named_parameters())
    for _ in range(4):
        direction = {
            name: torch.randn(p.shape, generator=rng, dtype=torch.float64)
            for name, p in parameters.items()
            if name in gradients
        }
        found = []
        for sign in (1, -1):
            with torch.no_grad():
                for name, d in direction.items():
                    parameters[name] += sign * step * d
                found.append(value().item())
                for name, d in direction.items():
                    parameters[name] -= sign * step * d
        expected = sum(float((gradients[name] * d).sum()) for name, d in direction.items())
        assert abs(expected) > 1e-12
        torch.testing.assert_close((found[0] - found[1]) / (2 * step), expected, rtol=1e-4, atol=1e-12)
