"""What kinds of task on the words of a sentence share: their fields, targets of words, and reading them back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.data.examples import Example
from mtsearch.data.windows import Window
from mtsearch.model.words import WordPooling
from mtsearch.tasks.contract import Encoded, Inventory, Layout, TaskConfig

__all__ = [
    "IGNORED",
    "WordVectors",
    "WordsConfig",
    "inventory_of",
    "join_words",
    "labelled_spans",
    "num_targets",
    "numbers",
    "ragged",
    "shown_words",
    "word_targets",
]

IGNORED = -100
"""A target that no loss counts."""


class WordsConfig(TaskConfig):
    """The fields of every kind of task whose texts are words."""

    pieces: Literal["mean", "first"] = "mean"
    """A word's vector: the mean over its tokens, or its first token's."""
    word_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the words whose vectors are zeroed while training."""

    @property
    def layout(self) -> Layout:
        """One text, as words."""
        return "words"


class WordVectors(nn.Module):
    """The vectors of words [B, W, D] that a task head scores, and where there are words [B, W].

    Args:
        config: how a word's vector comes from its tokens', and how many words are dropped while training.
    """

    def __init__(self, config: WordsConfig) -> None:
        super().__init__()
        self.pool = WordPooling(config.pieces)
        self.drop = nn.Dropout1d(config.word_dropout)

    def forward(self, sequence: Encoded) -> tuple[Tensor, Tensor]:
        assert sequence.word_ids_BL is not None  # by the layout
        words_BWD, mask_BW = self.pool(sequence.tokens_BLD, sequence.word_ids_BL)
        return self.drop(words_BWD), mask_BW


def inventory_of(labels: Iterable[str]) -> Inventory:
    """The labels that there are, in the alphabet's order, and how often."""
    counts = Counter(labels)
    names = sorted(counts)
    return Inventory(labels=tuple(names), counts=tuple(counts[name] for name in names))


def numbers(labels: Sequence[str]) -> Callable[[str], int]:
    """From a label to its number; :data:`IGNORED` for one that is not there."""
    index = {label: number for number, label in enumerate(labels)}
    return lambda label: index.get(label, IGNORED)


def ragged(rows: Iterable[Sequence[int]]) -> pa.Array:
    """A target column with a sequence for each row."""
    return pa.array(rows, pa.large_list(pa.int32()))


def num_targets(targets: Mapping[str, Tensor], name: str) -> Tensor:
    """How many words have this target, at least 1; a scalar on the CPU."""
    return (targets[name] != IGNORED).sum().clamp(min=1).float().cpu()


def word_targets(targets: Mapping[str, Tensor], name: str, num_words: int) -> Tensor:
    """A target of words, for as many of them as the longest row has."""
    column = targets[name]
    return torch.nn.functional.pad(column, (0, num_words - column.shape[1]), value=IGNORED)


def labelled_spans(
    spans: Sequence[Sequence[tuple[int, int]]], labels_BWW: Tensor
) -> Iterator[list[tuple[int, int, int]]]:
    """Each row's spans with the numbers of their labels.

    Args:
        spans: of each row, ``(start, end)`` with the end exclusive.
        labels_BWW: the number of the label of the span from one word to another, both inclusive.
    """
    places = [(row, start, end - 1) for row, own in enumerate(spans) for start, end in own]
    found = iter(labels_BWW[torch.tensor(places, dtype=torch.long).reshape(-1, 3).unbind(1)].tolist())
    return ([(start, end, next(found)) for start, end in own] for own in spans)


def join_words(parts: Sequence[Sequence[Any]], windows: Sequence[Window]) -> list[Any]:
    """What is predicted for each word, from the window that the word belongs to.

    Args:
        parts: of each window, one entry for each word that it shows.
        windows: of one example, in order.
    """
    return [part[word - window.first] for part, window in zip(parts, windows, strict=True) for word in window.own]


def shown_words(example: Example, first: int, end: int, label: Any) -> Example:
    """The words ``[first, end)`` as an example with this label."""
    assert example.words is not None  # by the layout
    words = example.words[first:end]
    return replace(example, words=words, texts=(" ".join(words),), label=label)
