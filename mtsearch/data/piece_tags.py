"""From tags of words to tags of the tokens that an encoder sees."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mtsearch.data.examples import Example
from mtsearch.data.places import Spelled
from mtsearch.data.tokens import Ragged, TokenTable
from mtsearch.data.word_tags import TagLayer, WordTags, renumbered

__all__ = ["PieceTags", "TagNames", "Tagger", "spelled_texts", "tag_pieces", "tags_seen"]

TagNames = Mapping[TagLayer, tuple[str, ...]]
"""For each layer its tags: tag n is ``names[layer][n - 1]``, and 0 is none."""


class Tagger(Hashable, Protocol):
    """Gives texts their tags; equal ones give the same."""

    def describe(self) -> str:
        """What it is and of which version, for people."""

    def identity(self) -> str:
        """Names all that decides the tags of a text."""

    def tag(self, examples: Sequence[Example], layout: str) -> WordTags:
        """The tags of all texts: of the first example's, then of the second's, and so on.

        Args:
            examples: of one split.
            layout: as the task reads them (:data:`mtsearch.tasks.contract.Layout`).

        Raises:
            DataError: the examples have no tags, where they should.
        """


def spelled_texts(examples: Iterable[Example], layout: str) -> list[Spelled]:
    """Each example's texts, as the tokenizer is given them."""
    if layout == "words":
        return [example.words or () for example in examples]
    num_texts = 1 if layout == "single" else 2
    return [text for example in examples for text in example.texts[:num_texts]]


@dataclass(frozen=True)
class PieceTags:
    """The tags of each row's tokens.

    Attributes:
        columns: for each layer a number for each token, 0 for none; with ``_2`` for the second sequence of a pair.
        names: what the numbers mean.
    """

    columns: Mapping[str, Ragged]
    names: TagNames

    def renumbered(self, names: TagNames) -> PieceTags:
        """In the numbers of ``names``, for those layers alone; a tag that is not among them becomes none."""
        columns = {}
        for layer, into in names.items():
            for column in (layer, f"{layer}_2"):
                if (ragged := self.columns.get(column)) is not None:
                    numbers = renumbered(ragged.values, self.names[layer], into)
                    columns[column] = Ragged(numbers, ragged.offsets)
        return PieceTags(columns, names)

    def padded(self, rows: npt.NDArray[np.int64], suffix: str) -> npt.NDArray[np.int64]:
        """The tags of these rows' tokens, [B, L, T] in the order of the layers, with 0 after a row's end.

        Args:
            rows: B of them.
            suffix: ``""`` for the first sequence, ``"_2"`` for the second.
        """
        return np.stack([self.columns[f"{layer}{suffix}"].padded(rows, 0)[0] for layer in self.names], axis=-1)


def tag_pieces(words: WordTags, table: TokenTable) -> PieceTags:
    """The tags of tokens: each has that of the word in which its first character lies.

    Args:
        words: of the texts of the examples that ``table`` was made of, in order.
        table: with places.
    """
    num_texts = 0 if not len(table.example) else (len(words.offsets) - 1) // (int(table.example[-1]) + 1)
    text_of_word = np.repeat(np.arange(len(words.offsets) - 1), np.diff(words.offsets))
    keys = (text_of_word << 32) + words.starts
    columns = {}
    for number, suffix in enumerate(("", "_2")):
        places = table.columns.get(f"places{suffix}")
        if places is None:
            continue
        text = np.repeat(table.example.astype(np.int64) * num_texts + number, places.lengths)
        text += table.columns[f"sides{suffix}"].values
        word = np.searchsorted(keys, (text << 32) + places.values, side="right") - 1
        inside = (places.values >= 0) & (word >= 0)
        candidate = word[inside]
        inside[inside] = (text_of_word[candidate] == text[inside]) & (places.values[inside] < words.ends[candidate])
        for layer, numbers in words.numbers.items():
            values = np.zeros(len(word), dtype=np.int32)
            values[inside] = numbers[word[inside]]
            columns[f"{layer}{suffix}"] = Ragged(values, places.offsets)
    return PieceTags(columns, words.names)


def tags_seen(tags: Iterable[PieceTags], layer: TagLayer) -> tuple[str, ...]:
    """The tags of a layer that any token has, in the alphabet's order."""
    seen: set[str] = set()
    for one in tags:
        for column in (layer, f"{layer}_2"):
            if column in one.columns:
                numbers = np.unique(one.columns[column].values)
                seen.update(one.names[layer][number - 1] for number in numbers[numbers > 0].tolist())
    return tuple(sorted(seen))
