"""Kinds of task on words: random labels for them, and what a task head gives where it is sure of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor, nn

from mtsearch.data.batching import EncodedSplit
from mtsearch.data.examples import Example
from mtsearch.data.tokens import Ragged, TokenTable
from mtsearch.tasks import Task
from mtsearch.tasks.bio import spans_of, tags_of
from mtsearch.tasks.contract import Encoded, Inventory, Logits, TaskKind
from tests.tasks.decoding.batches import mask_of

__all__ = [
    "CASES",
    "Case",
    "build_head",
    "encoded",
    "plain",
    "row_of",
    "sentence",
    "sentences",
    "targets_of",
    "task_of",
]

SURE = 40.0  # beside such a score the others are nothing
HIDDEN = 8

Labels = Callable[[int], st.SearchStrategy[Any]]


@dataclass(frozen=True)
class Case:
    """A kind of task with one of its task heads.

    Attributes:
        task: the kind, with a small head.
        inventory: of all labels that ``labels`` draws.
        labels: for so many words.
        sure: the logits for rows that leave no doubt of their labels.
    """

    task: TaskKind
    inventory: Inventory
    labels: Labels
    sure: Callable[[Sequence[Example], Inventory], Logits]

    def logits(self, rows: Sequence[Example]) -> Logits:
        """Those that are sure of the rows' labels."""
        return self.sure(rows, self.inventory)


def task_of(kind: str, **settings: Any) -> TaskKind:
    """A kind of task with these settings."""
    task: TaskKind = TypeAdapter(Task).validate_python({"kind": kind, "data": "x", **settings})
    return task


def sentence(num_words: int, label: Any) -> Example:
    """One of so many words."""
    words = tuple("abcdefghijklmnopqrstuvwxyz"[number % 26] for number in range(num_words))
    return Example("1", (" ".join(words),), label, 1, words)


def sentences(case: Case, longest: int = 6) -> st.SearchStrategy[list[Example]]:
    """A batch of them."""
    lengths = st.integers(1, longest)
    return st.lists(
        lengths.flatmap(lambda n: case.labels(n).map(lambda label: sentence(n, label))), min_size=1, max_size=3
    )


def targets_of(task: TaskKind, rows: Sequence[Example], inventory: Inventory) -> dict[str, Tensor]:
    """The targets of a batch of these rows."""
    zeros, places = np.zeros(len(rows), dtype=np.int32), np.arange(len(rows) + 1)
    tokens = TokenTable({"ids": Ragged(zeros, places)}, np.arange(len(rows), dtype=np.int32), 0)
    return EncodedSplit("task", tokens, task.encode_targets(rows, inventory), 0).targets(places[:-1])


def plain(label: Any) -> Any:
    """A label or prediction as JSON has it."""
    return json.loads(json.dumps(label))


# Labels


def _tags(num_words: int) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from("ABC"), min_size=num_words, max_size=num_words).map(tuple)


def _spans(num_words: int) -> st.SearchStrategy[Any]:
    tags = st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"])
    return st.lists(tags, min_size=num_words, max_size=num_words).map(spans_of)


@st.composite
def _arcs(draw: st.DrawFn, num_words: int) -> Any:
    """A tree: each word hangs from one that is in it already, the first from the root."""
    order = draw(st.permutations(range(1, num_words + 1)))
    heads = {order[0]: 0}
    for place in range(1, num_words):
        heads[order[place]] = order[draw(st.integers(0, place - 1))]
    return tuple((heads[word], draw(st.sampled_from("ABC"))) for word in range(1, num_words + 1))


@st.composite
def _tree(draw: st.DrawFn, num_words: int) -> Any:
    def phrases(start: int, end: int) -> list[tuple[int, int, str]]:
        own = [(start, end, label) for label in draw(st.lists(st.sampled_from("AB"), max_size=2))]
        if end - start == 1:
            return own
        cuts = sorted(draw(st.sets(st.integers(start + 1, end - 1), min_size=1)))
        return own + [one for a, b in zip([start, *cuts], [*cuts, end], strict=True) for one in phrases(a, b)]

    return ("NN",) * num_words, tuple(phrases(0, num_words))


@st.composite
def _propositions(draw: st.DrawFn, num_words: int) -> Any:
    predicates = draw(st.sets(st.integers(0, num_words - 1)))
    return tuple((predicate, draw(_spans(num_words))) for predicate in sorted(predicates))


# Logits


def _numbers(labels: Sequence[str]) -> dict[str, int]:
    return {label: number for number, label in enumerate(labels)}


def _bio(inventory: Inventory) -> dict[str, int]:
    return _numbers(["O", *(f"{mark}-{label}" for label in inventory.labels for mark in "BI")])


def _mask(rows: Sequence[Example]) -> Tensor:
    return mask_of([len(row.words or ()) for row in rows])


def _of_tags(rows: Sequence[Sequence[str]], numbers: dict[str, int], mask_BW: Tensor) -> Tensor:
    values = torch.zeros(*mask_BW.shape, len(numbers))
    for row, tags in enumerate(rows):
        for word, tag in enumerate(tags):
            values[row, word, numbers[tag]] = SURE
    return values


def _no_neighbours(num_tags: int) -> dict[str, Tensor]:
    return {
        "transitions": torch.zeros(num_tags, num_tags),
        "starts": torch.zeros(num_tags),
        "ends": torch.zeros(num_tags),
    }


def _sure_tags(crf: bool) -> Callable[[Sequence[Example], Inventory], Logits]:
    def sure(rows: Sequence[Example], inventory: Inventory) -> Logits:
        mask_BW = _mask(rows)
        values = _of_tags([row.label for row in rows], _numbers(inventory.labels), mask_BW)
        return Logits(values, mask_BW, shared=_no_neighbours(len(inventory.labels)) if crf else {})

    return sure


def _sure_bio(crf: bool) -> Callable[[Sequence[Example], Inventory], Logits]:
    def sure(rows: Sequence[Example], inventory: Inventory) -> Logits:
        mask_BW, numbers = _mask(rows), _bio(inventory)
        values = _of_tags([tags_of(row.label, len(row.words or ())) for row in rows], numbers, mask_BW)
        return Logits(values, mask_BW, shared=_no_neighbours(len(numbers)) if crf else {})

    return sure


def _sure_spans(rows: Sequence[Example], inventory: Inventory) -> Logits:
    mask_BW, numbers = _mask(rows), _numbers(inventory.labels)
    values = torch.zeros(*mask_BW.shape, mask_BW.shape[1], len(numbers) + 1)
    values[..., 0] = SURE
    for row, example in enumerate(rows):
        for start, end, label in example.label:
            values[row, start, end - 1] = 0
            values[row, start, end - 1, numbers[label] + 1] = SURE
    return Logits(values, (mask_BW.unsqueeze(1) & mask_BW.unsqueeze(2)).triu())


def _sure_arcs(rows: Sequence[Example], inventory: Inventory) -> Logits:
    mask_BW, numbers = _mask(rows), _numbers(inventory.labels)
    num_words = mask_BW.shape[1]
    scores = torch.zeros(*mask_BW.shape, num_words + 1, len(numbers))
    for row, example in enumerate(rows):
        scores[row, :, len(example.words or ()) + 1 :] = -torch.inf
        for word, (head, relation) in enumerate(example.label):
            if head >= 0:  # else it is not in this row
                scores[row, word, head, numbers[relation]] = SURE
    words = torch.arange(num_words)
    scores[:, words, words + 1] = -torch.inf
    return Logits(scores.flatten(2).log_softmax(-1), mask_BW)


def _sure_phrases(rows: Sequence[Example], inventory: Inventory) -> Logits:
    mask_BW, numbers = _mask(rows), _numbers(inventory.labels)
    values = torch.full((*mask_BW.shape, mask_BW.shape[1], len(numbers) + 1), -SURE)
    values[..., 0] = 0
    for row, example in enumerate(rows):
        chains: dict[tuple[int, int], list[str]] = {}
        for start, end, label in example.label[1]:
            chains.setdefault((start, end), []).append(label)
        for (start, end), labels in chains.items():
            values[row, start, end - 1, numbers[" ".join(labels)] + 1] = SURE
    return Logits(values, (mask_BW.unsqueeze(1) & mask_BW.unsqueeze(2)).triu())


def _sure_propositions(rows: Sequence[Example], inventory: Inventory) -> Logits:
    mask_BW, numbers = _mask(rows), _bio(inventory)
    is_read_BW = torch.zeros_like(mask_BW)
    values = torch.zeros(*mask_BW.shape, mask_BW.shape[1], len(numbers))
    for row, example in enumerate(rows):
        for predicate, arguments in example.label:
            is_read_BW[row, predicate] = True
            num_words = len(example.words or ())
            values[row, predicate, :num_words] = _of_tags(
                [tags_of(arguments, num_words)], numbers, mask_BW[row : row + 1, :num_words]
            )[0]
    predicates = torch.where(is_read_BW, SURE, -SURE).masked_fill(~mask_BW, -1e4)
    return Logits(values, is_read_BW.unsqueeze(2) & mask_BW.unsqueeze(1), {"predicates": predicates})


_PHRASES = ("A", "A A", "A B", "B", "B A", "B B")


def _inventory(*labels: str) -> Inventory:
    return Inventory(labels, (1,) * len(labels))


CASES: dict[str, Case] = {
    "tagging": Case(task_of("tagging"), _inventory(*"ABC"), _tags, _sure_tags(False)),
    "tagging crf": Case(task_of("tagging", head={"crf": True}), _inventory(*"ABC"), _tags, _sure_tags(True)),
    "ner": Case(task_of("ner", head={"name": "biaffine", "size": 6}), _inventory(*"AB"), _spans, _sure_spans),
    "ner best": Case(
        task_of("ner", head={"name": "biaffine", "size": 6, "decoding": "best"}), _inventory(*"AB"), _spans, _sure_spans
    ),
    "ner bio": Case(task_of("ner", head={"name": "bio", "crf": False}), _inventory(*"AB"), _spans, _sure_bio(False)),
    "ner bio crf": Case(task_of("ner", head={"name": "bio"}), _inventory(*"AB"), _spans, _sure_bio(True)),
    "dependency": Case(
        task_of("dependency", head={"arc_size": 6, "relation_size": 5}), _inventory(*"ABC"), _arcs, _sure_arcs
    ),
    "constituency": Case(
        task_of("constituency", head={"span_size": 6, "label_size": 5}), _inventory(*_PHRASES), _tree, _sure_phrases
    ),
    "srl": Case(task_of("srl", head={"reread_layers": 0}), _inventory(*"AB"), _propositions, _sure_propositions),
}


# Task heads


def build_head(case: Case, seed: int = 0) -> nn.Module:
    """The case's task head in evaluation mode, all of its weights random."""
    torch.manual_seed(seed)
    head = case.task.build_head(HIDDEN, "mean", case.inventory)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    return head.eval()


def encoded(lengths: Sequence[int], targets: dict[str, Tensor] | None = None, seed: int = 0) -> Encoded:
    """Random tokens for sentences of so many words, of one to three tokens each, between two special ones."""
    rng = torch.Generator().manual_seed(seed)
    words = [[-1, *(word for word in range(length) for _ in range(1 + (word + length) % 3)), -1] for length in lengths]
    longest = max(map(len, words))
    tokens_BLD = torch.randn(len(words), longest, HIDDEN, generator=rng)
    mask_BL = mask_of([len(row) for row in words])
    word_ids_BL = torch.tensor([row + [-1] * (longest - len(row)) for row in words])
    return Encoded(tokens_BLD, mask_BL, word_ids_BL, targets or {})


def row_of(batch: Encoded, row: int, targets: dict[str, Tensor] | None = None) -> Encoded:
    """One row of a batch, without its padding."""
    length = int(batch.mask_BL[row].sum())
    assert batch.word_ids_BL is not None
    parts = (batch.tokens_BLD, batch.mask_BL, batch.word_ids_BL)
    return replace(Encoded(*(part[row : row + 1, :length] for part in parts)), targets=targets or {})
