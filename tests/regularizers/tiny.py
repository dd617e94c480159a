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
from mtsearch.tasks import (
    Classification,
    Constituency,
    Dependency,
    Ner,
    PairClassification,
    PairRegression,
    Qa,
    Regression,
    Srl,
    Tagging,
)
from mtsearch.tasks.constituency import SpanChart
from mtsearch.tasks.contract import Inventory, TaskKind
from mtsearch.tasks.dependency import BiaffineArcs
from mtsearch.tasks.ner import BiaffineSpans, BioTags
from mtsearch.tasks.srl import BioArguments
from mtsearch.tasks.tagging import TagHead

INVENTORY = Inventory(("a", "b", "c"), (4, 3, 2), {"mean": 2.0, "deviation": 1.5})
LENGTHS = ((6, 3, 4, 6), (5, 7, 2, 4))  # tokens of each row's first and second sequence
KINDS: dict[str, TaskKind] = {
    "classification": Classification(data="x"),
    "regression": Regression(data="x"),
    "siamese": PairClassification(data="x", pair="siamese"),
    "cosine": PairRegression(data="x", pair="cosine", low=0.0, high=5.0),
    "tagging": Tagging(data="x"),
    "tagging crf": Tagging(data="x", head=TagHead(crf=True)),
    "ner": Ner(data="x", head=BiaffineSpans(size=6)),
    "ner bio": Ner(data="x", head=BioTags()),
    "dependency": Dependency(data="x", head=BiaffineArcs(arc_size=6, relation_size=6)),
    "constituency": Constituency(data="x", head=SpanChart(span_size=6, label_size=6)),
    "srl": Srl(data="x", head=BioArguments(reread_layers=1)),
    "qa": Qa(data="x"),
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
        if isinstance(module, nn.Dropout | nn.Dropout1d) and module.p:
            module.p = dropout
    for parameter in head.parameters():
        if not parameter.any():  # as matrices of biaffine scores start
            nn.init.normal_(parameter, std=0.3)
    return MultitaskModel(BertModel(config, add_pooling_layer=False), {"task": head}).train()


def build_batch(kind: TaskKind, *, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)

    def inputs(lengths: tuple[int, ...]) -> Inputs:
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
        words = word_ids(lengths) if kind.layout in ("words", "question") else None
        return Inputs(torch.randint(1, 40, mask.shape, generator=rng) * mask, mask, word_ids_BL=words)

    sequences = LENGTHS[: 2 if kind.layout == "siamese" else 1]
    targets = {"predicates": torch.zeros(len(LENGTHS[0]), 1, dtype=torch.long)} if kind.kind == "srl" else {}
    return Batch("task", np.arange(len(LENGTHS[0])), tuple(inputs(lengths) for lengths in sequences), targets)


def word_ids(lengths: tuple[int, ...]) -> Tensor:
    """Of the tokens between the first and the last one: one word each, but the second token is the first word's too."""
    rows = [[-1, *(max(0, place - 1) for place in range(length - 2)), -1] for length in lengths]
    return torch.tensor([row + [-1] * (max(lengths) - len(row)) for row in rows])


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
    step = 1e-6  # few units of a piecewise linear function change sides
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
