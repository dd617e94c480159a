"""Where synonyms come from: WordNet, or the small table ``synonyms.txt`` beside this file."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, TypeAlias

from mtsearch.errors import ConfigError

__all__ = ["SynonymSource", "Synonyms", "find_synonyms", "stop_words"]

SynonymSource: TypeAlias = Literal["auto", "wordnet", "shipped"]


def _lines(file: str) -> list[list[str]]:
    """The words of each line of a file beside this one, without its comments."""
    text = resources.files("mtsearch.augmentation").joinpath(file).read_text(encoding="utf-8")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


@cache
def stop_words() -> frozenset[str]:
    """Words that nothing else can stand for: function words, in small letters."""
    return frozenset(word for line in _lines("stop_words.txt") for word in line)


@dataclass(frozen=True)
class Synonyms:
    """A source of synonyms.

    Attributes:
        name: ``wordnet`` or ``shipped``.
        of: the single words that can stand for a word in small letters, without the word itself; none for many.
    """

    name: str
    of: Callable[[str], tuple[str, ...]]


def find_synonyms(source: SynonymSource) -> Synonyms:
    """The source that is asked for; ``auto`` takes WordNet where this machine has it, else the shipped table.

    Raises:
        ConfigError: ``wordnet`` is asked for, but nltk or its data is not here.
    """
    if source == "shipped":
        return _shipped()
    missing = _missing_for_wordnet()
    if not missing:
        return _wordnet()
    if source == "auto":
        return _shipped()
    raise ConfigError(
        f"augmentation.synonyms: wordnet needs nltk and its WordNet data, but there is no {missing}; "
        "run pip install 'mtsearch[wordnet]' and python -m nltk.downloader wordnet, or choose shipped"
    )


@cache
def _shipped() -> Synonyms:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)  # as ordered sets: sets of strings have no fixed order
    for sense in _lines("synonyms.txt"):
        for word in sense:
            found[word].update(dict.fromkeys(other for other in sense if other != word))
    table = {word: tuple(others) for word, others in found.items()}
    return Synonyms("shipped", lambda word: table.get(word, ()))


def _missing_for_wordnet() -> str:
    """What is missing, in words; empty where nothing is. It may have been installed since the last time."""
    if importlib.util.find_spec("nltk") is None:
        return "nltk"
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return "WordNet in nltk's data folders"
    return ""


@cache
def _wordnet() -> Synonyms:
    from nltk.corpus import wordnet

    @cache
    def of(word: str) -> tuple[str, ...]:
        lemmas = (lemma.name().lower() for synset in wordnet.synsets(word) for lemma in synset.lemmas())
        return tuple(dict.fromkeys(lemma for lemma in lemmas if lemma.isalpha() and lemma != word))

    return Synonyms("wordnet", of)
