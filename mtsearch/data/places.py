"""Where in its text a token stands, whatever the tokenizer counts as part of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

__all__ = ["Spelled", "joined", "spaced", "token_places", "word_starts"]

Spelled = str | Sequence[str]
"""A text, or its words."""


def joined(text: Spelled) -> str:
    """The text; its words are joined by single spaces where it is given as words."""
    return text if isinstance(text, str) else " ".join(text)


def word_starts(words: Sequence[str]) -> list[int]:
    """The character at which each word begins in the joined text."""
    return [0, *accumulate(len(word) + 1 for word in words)][: len(words)]


def spaced(words: Sequence[str]) -> list[str]:
    """The words, each but the first with the space before it: the parts of the joined text."""
    return [f" {word}" if number else word for number, word in enumerate(words)]


def token_places(encoding: Any, texts: Sequence[str | Sequence[str]]) -> tuple[list[int], list[int]]:
    """For each token the place of its first character in its text, and which text that is.

    Spaces in front, which some tokenizers count as part of a token, are passed over. A token that stands for no
    character, as special ones do, has the place -1.

    Args:
        encoding: of the tokenizers library, of one sequence.
        texts: the one or two that it was made of; the parts of one that was given in parts.
    """
    starts = [None if isinstance(text, str) else [0, *accumulate(map(len, text))] for text in texts]
    places: list[int] = []
    sides: list[int] = []
    for side, word, (begin, end) in zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True):
        place = -1
        if side is not None:
            given, begins = texts[side], starts[side]
            spelled, first = (given, 0) if begins is None else (given[word], begins[word])
            # What stood in for the part may have been longer.
            visible = (at for at in range(begin, min(end, len(spelled))) if not spelled[at].isspace())
            place = next((first + at for at in visible), -1)
        places.append(place)
        sides.append(side or 0)
    return places, sides
