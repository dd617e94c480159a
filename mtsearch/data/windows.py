"""Windows: a text too long for the encoder is read in several overlapping rows; each of its words belongs to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Window", "text_words", "windows_of"]


class Window(NamedTuple):
    """The words of an example that one row shows; all of them, where it fits.

    Attributes:
        first: its first word.
        end: the word after its last one.
        own_first: the first of the words that are its own: those of which this row has the most context.
        own_end: the word after the last one of its own.
    """

    first: int
    end: int
    own_first: int
    own_end: int

    @property
    def own(self) -> range:
        """The words of its own."""
        return range(self.own_first, self.own_end)


def windows_of(spans: Sequence[tuple[int, int]]) -> list[Window]:
    """The windows of one example from the words ``[first, end)`` that its rows show, in order.

    Where two rows overlap, each owns its half of the words that both show.
    """
    bounds = [spans[0][0]]
    for (_, end), (first, _) in pairwise(spans):
        bounds.append((first + end) // 2)
    bounds.append(spans[-1][1])
    return [Window(*span, *own) for span, own in zip(spans, pairwise(bounds), strict=True)]


# Scripts that are written without spaces count letter by letter: Thai and its neighbours, Chinese, Japanese.
_LONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_LONE}]|[^\W\d_{_LONE}]+|\d+|_|[^\w\s]")


def text_words(text: str) -> list[tuple[int, int]]:
    """Where each word of a running text begins and ends, in characters: letters, digits, or one other sign."""
    return [match.span() for match in _WORD.finditer(text)]
