"""Tags of the words of many texts, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["TagLayer", "Word", "WordTags", "renumbered"]

TagLayer = Literal["pos", "entities"]
"""Parts of speech; kinds of named entities."""


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        start: its first character.
        end: the character after its last one.
        tags: one for each layer; "" for none.
    """

    start: int
    end: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class WordTags:
    """The words of texts, end to end: text i has the words ``offsets[i]:offsets[i + 1]``, in the text's order.

    Attributes:
        offsets: [texts + 1].
        starts: of each word its first character in its text.
        ends: the character after its last one.
        numbers: for each layer the number of each word's tag, 0 for none.
        names: for each layer its tags; tag n is ``names[layer][n - 1]``.
    """

    offsets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    numbers: Mapping[TagLayer, npt.NDArray[np.int32]]
    names: Mapping[TagLayer, tuple[str, ...]]

    @classmethod
    def of(cls, texts: Iterable[Sequence[Word]], layers: Sequence[TagLayer]) -> WordTags:
        """The tags of texts whose words have one for each of ``layers``."""
        known: list[dict[str, int]] = [{"": 0} for _ in layers]
        counts: list[int] = [0]
        rows: list[tuple[int, ...]] = []
        for words in texts:
            counts.append(len(words))
            for start, end, tags in words:
                rows.append((start, end, *(of.setdefault(tag, len(of)) for of, tag in zip(known, tags, strict=True))))
        starts, ends, *numbers = np.array(rows, dtype=np.int32).reshape(-1, 2 + len(layers)).T.copy()
        return cls(
            np.cumsum(counts, dtype=np.int64),
            starts,
            ends,
            dict(zip(layers, numbers, strict=True)),
            {layer: tuple(of)[1:] for layer, of in zip(layers, known, strict=True)},
        )

    def take(self, texts: npt.NDArray[np.int64]) -> WordTags:
        """Those of these texts, in their order."""
        lengths = self.offsets[texts + 1] - self.offsets[texts]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        words = np.repeat(self.offsets[texts] - offsets[:-1], lengths) + np.arange(offsets[-1])
        numbers = {layer: numbers[words] for layer, numbers in self.numbers.items()}
        return WordTags(offsets, self.starts[words], self.ends[words], numbers, self.names)

    @staticmethod
    def join(parts: Sequence[WordTags]) -> WordTags:
        """The texts of all ``parts``, of which there is one at least, one after the other."""
        names = {
            layer: tuple(dict.fromkeys(name for part in parts for name in part.names[layer]))
            for layer in parts[0].names
        }
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return WordTags(
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.ends for part in parts]),
            {
                layer: np.concatenate([renumbered(part.numbers[layer], part.names[layer], into) for part in parts])
                for layer, into in names.items()
            },
            names,
        )


def renumbered(numbers: npt.NDArray[np.int32], names: Sequence[str], into: Sequence[str]) -> npt.NDArray[np.int32]:
    """Numbers of tags of ``names`` as numbers of tags of ``into``; 0 for those that are not there."""
    known = {name: number for number, name in enumerate(into, start=1)}
    table = np.array([0, *(known.get(name, 0) for name in names)], dtype=np.int32)
    return table[numbers]
