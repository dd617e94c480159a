"""EDA: easy data augmentation by four operations on words."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mtsearch.augmentation.operations import OPERATIONS, Text, split
from mtsearch.augmentation.synonyms import Synonyms, SynonymSource, find_synonyms
from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example

__all__ = ["Eda"]


class Eda(Frozen):
    """Copies of texts with synonyms in place of words, words inserted, words swapped, or words deleted.

    Each copy is made by one of the four operations; four copies in a row take one each, in an order drawn for the
    example. An operation that leaves a text as it was gives way to the next; a text that none can alter, such as one
    of a single word without synonyms, is copied as it is. Each text of a pair is altered by itself.

    Source: Wei & Zou 2019 (arXiv 1901.11196), and its numbers. Differently from its code, words keep their capitals and
    the punctuation between them, synonyms are single words, and a copy depends on the seed and its example alone.
    """

    name: Literal["eda"] = "eda"
    alpha: float = Field(default=0.1, gt=0, lt=1)
    """Share of a text's words that an operation changes, at least one; for deletion, each word's probability."""
    replacement: float | None = Field(default=None, ge=0, lt=1)
    """Share of words replaced by synonyms; null takes ``alpha``, 0 leaves the operation out."""
    insertion: float | None = Field(default=None, ge=0, lt=1)
    """Share of words inserted, synonyms of others; null takes ``alpha``, 0 leaves the operation out."""
    swap: float | None = Field(default=None, ge=0, lt=1)
    """Share of swaps of two words; null takes ``alpha``, 0 leaves the operation out."""
    deletion: float | None = Field(default=None, ge=0, lt=1)
    """Probability that a word is deleted; null takes ``alpha``, 0 leaves the operation out."""
    num_augmented: Literal["auto"] | Annotated[int, Field(gt=0)] = "auto"
    """Copies of each example; with ``balance``, at most. ``auto`` takes the paper's 16 up to 500 training examples, 8
    up to 2,000 and 4 for more; with ``balance``, as many as that needs."""
    balance: float | None = Field(default=None, gt=0, le=1)
    """Copy only the classes with less than this share of the largest class's examples, until they have it; 1 makes
    all classes equal. A task of numbers then gets no copies. Null copies every example."""
    tasks: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)
    """The tasks that are augmented; null takes all whose labels belong to whole texts, not to words."""
    synonyms: SynonymSource = "auto"
    """``wordnet`` needs nltk and its data, ``shipped`` is a small table; ``auto`` takes WordNet where it is there."""

    @model_validator(mode="after")
    def _something_is_done(self) -> Eda:
        if not self._rates():
            raise ValueError(f"{', '.join(OPERATIONS)}: one must be above 0, but all are 0; choose none instead of eda")
        return self

    def _rates(self) -> dict[str, float]:
        asked = {operation: getattr(self, operation) for operation in OPERATIONS}
        rates = {operation: self.alpha if rate is None else rate for operation, rate in asked.items()}
        return {operation: rate for operation, rate in rates.items() if rate > 0}

    def describe(self) -> str:
        """``eda`` and which synonyms."""
        return f"{self.name}, {find_synonyms(self.synonyms).name} synonyms"

    def copies(self, examples: Sequence[Example], seed: int) -> list[Example]:
        """The copies of each example after one another, marked ``+eda1``, ``+eda2`` .. behind their ids."""
        synonyms, rates = find_synonyms(self.synonyms), self._rates()
        made: list[Example] = []
        for example, number in zip(examples, self._num_copies(examples, seed), strict=True):
            if number:
                made += _copies(example, number, rates, seed, synonyms)
        return made

    def _num_copies(self, examples: Sequence[Example], seed: int) -> list[int]:
        """How many copies of each example."""
        if self.balance is None:
            number = _num_by_size(len(examples)) if self.num_augmented == "auto" else self.num_augmented
            return [number] * len(examples)
        numbers = [0] * len(examples)
        members: defaultdict[str, list[int]] = defaultdict(list)
        for place, example in enumerate(examples):
            if isinstance(example.label, str):
                members[example.label].append(place)
        wanted = round(self.balance * max(map(len, members.values()), default=0))
        for places in members.values():
            # The remainder falls to examples by lot, whatever their order.
            turn = sorted(places, key=lambda place: (_lot(examples[place], seed), examples[place].id))
            each, rest = divmod(max(0, wanted - len(places)), len(places))
            for rank, place in enumerate(turn):
                number = each + (rank < rest)
                numbers[place] = number if self.num_augmented == "auto" else min(number, self.num_augmented)
        return numbers


def _num_by_size(num_examples: int) -> int:
    # Table 3 of the paper.
    if num_examples <= 500:
        return 16
    return 8 if num_examples <= 2_000 else 4


def _lot(example: Example, seed: int) -> int:
    """A number drawn for an example by its texts and the seed."""
    digest = hashlib.blake2b(repr((seed, example.texts)).encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _copies(
    example: Example, number: int, rates: Mapping[str, float], seed: int, synonyms: Synonyms
) -> Iterator[Example]:
    rng = Random(_lot(example, seed))
    texts = [split(text) for text in example.texts]
    order = list(rates)
    rng.shuffle(order)
    for count in range(number):
        start = count % len(order)
        turn = order[start:] + order[:start]
        altered = tuple(_altered(text, turn, rates, rng, synonyms) for text in texts)
        yield Example(f"{example.id}+eda{count + 1}", altered, example.label, example.line)


def _altered(text: Text, turn: Sequence[str], rates: Mapping[str, float], rng: Random, synonyms: Synonyms) -> str:
    """A text after the first operation that changes it."""
    for operation in turn:
        changed = OPERATIONS[operation](text, rates[operation], rng, synonyms)
        if changed.words != text.words:
            return str(changed)
    return str(text)
