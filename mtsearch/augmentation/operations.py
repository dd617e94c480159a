"""The four operations of EDA on one text. Punctuation stays between the words, and capitals where they belong."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeAlias

from mtsearch.augmentation.synonyms import Synonyms, stop_words

__all__ = ["OPERATIONS", "Operation", "Text", "delete", "insert", "replace", "split", "swap"]


class Text(NamedTuple):
    """A text as words and what lies between them.

    Attributes:
        words: in order.
        gaps: spaces and punctuation before each word and after the last; one more than words.
    """

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    def __str__(self) -> str:
        first, *rest = self.gaps
        return first + "".join(word + gap for word, gap in zip(self.words, rest, strict=True))


Operation: TypeAlias = Callable[[Text, float, Random, Synonyms], Text]
"""From a text, the share of its words to change, a generator and synonyms to a text; the same one if nothing can be."""

# A clitic that stands alone ('s, in treebanks), a number with its points and commas, or letters with inner - and '.
_WORD = re.compile(r"(?<!\w)['’](?:s|m|d|t|re|ve|ll)\b|\d+(?:[.,]\d+)+|\w+(?:[-'’.]\w+)*", re.IGNORECASE)


def split(text: str) -> Text:
    """The words of a text; ``str`` of what it gives is the text."""
    words, gaps, end = [], [], 0
    for match in _WORD.finditer(text):
        gaps.append(text[end : match.start()])
        words.append(match.group())
        end = match.end()
    return Text(tuple(words), (*gaps, text[end:]))


def replace(text: Text, rate: float, rng: Random, synonyms: Synonyms) -> Text:
    """Synonym replacement: words that are not stop words give way to a synonym each."""
    places = _replaceable(text, synonyms)
    if not places:
        return text
    words = list(text.words)
    for place in rng.sample(places, min(_number(text, rate), len(places))):
        words[place] = _cased_like(rng.choice(synonyms.of(words[place].lower())), words[place])
    return Text(tuple(words), text.gaps)


def insert(text: Text, rate: float, rng: Random, synonyms: Synonyms) -> Text:
    """Random insertion: synonyms of words that are not stop words come in at random places."""
    places = _replaceable(text, synonyms)
    if not places:
        return text
    words, gaps = list(text.words), list(text.gaps)
    for _ in range(_number(text, rate)):
        synonym = rng.choice(synonyms.of(text.words[rng.choice(places)].lower()))
        place = rng.randint(0, len(words))
        words.insert(place, synonym)
        # Before a word, after the punctuation there; at the end, before the punctuation.
        gaps.insert(place + 1 if place < len(words) - 1 else place, " ")
    return Text(_recapitalised(words, text), tuple(gaps))


def swap(text: Text, rate: float, rng: Random, synonyms: Synonyms) -> Text:
    """Random swap: two words change places, as often as there are words to change."""
    if len(text.words) < 2:
        return text
    words = list(text.words)
    for _ in range(_number(text, rate)):
        first, second = rng.sample(range(len(words)), 2)
        words[first], words[second] = words[second], words[first]
    return Text(_recapitalised(words, text), text.gaps)


def delete(text: Text, rate: float, rng: Random, synonyms: Synonyms) -> Text:
    """Random deletion: each word goes with probability ``rate``, but one stays."""
    stays = [rng.random() >= rate for _ in text.words]
    if all(stays):
        return text
    if not any(stays):
        stays[rng.randrange(len(stays))] = True
    words: list[str] = []
    gaps = [text.gaps[0]]
    for word, gap, kept in zip(text.words, text.gaps[1:], stays, strict=True):
        if kept:
            words.append(word)
            gaps.append(gap)
        else:
            gaps[-1] = _closed(gaps[-1], gap, at_start=not words)
    return Text(_recapitalised(words, text), tuple(gaps))


OPERATIONS: dict[str, Operation] = {"replacement": replace, "insertion": insert, "swap": swap, "deletion": delete}


def _number(text: Text, rate: float) -> int:
    return max(1, int(rate * len(text.words)))


def _replaceable(text: Text, synonyms: Synonyms) -> list[int]:
    """The places of the words that are not stop words and have synonyms."""
    stops, lowered = stop_words(), enumerate(word.lower() for word in text.words)
    return [place for place, word in lowered if word not in stops and synonyms.of(word)]


def _cased_like(word: str, model: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return _capitalised(word) if model[0].isupper() else word


def _capitalised(word: str) -> str:
    """A word with a capital, where its first letter has one of its own: ß and the micro sign have not."""
    capital = word[0].upper()
    return capital + word[1:] if capital.lower() == word[0] else word


def _recapitalised(words: list[str], before: Text) -> tuple[str, ...]:
    """Words whose order changed: a text that began with a capital does so again, and its "The" is no name inside it."""
    opening = before.words[0]
    if words[0] == opening or not opening[0].isupper():
        return tuple(words)
    is_capital_of_place = opening.lower() in stop_words() and opening == opening.capitalize() and opening != "I"
    rest = [word.lower() if is_capital_of_place and word == opening else word for word in words[1:]]
    return (_capitalised(words[0]), *rest)


def _closed(before: str, after: str, at_start: bool) -> str:
    """The gap that a word leaves, given the gaps on its two sides."""
    if not before.strip():
        return before + after.lstrip(" ,;:.!?") if at_start else after or before
    if not after.strip():
        return before
    # Of "good, bad." nothing is left to separate.
    ends = after.lstrip()[0] in ",;:.!?"
    return (before.rstrip(" ,;:") if ends else before.rstrip()) + after
