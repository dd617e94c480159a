"""Sentences and pairs, each with its derivation, drawn split by split without repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mtsearch.data.sample import layers
from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.content import Content
from mtsearch.data.sample.edits import edited_question, edited_statement
from mtsearch.data.sample.grammar import Grammar
from mtsearch.data.sample.meaning import (
    Meaning,
    similarity,
)
from mtsearch.data.sample.tree import Node

MIN_WORDS, MAX_WORDS = 6, 25  # punctuation not counted
LABEL_NOISE = 0.05  # share of sentiment labels that are one class off
SIMILARITY_NOISE = 0.4  # largest error of a similarity, of 5
_PARAPHRASE_FORMS = ((0.4, "rewrite"), (0.32, "change"), (0.35, "stranger"))  # drawn; some changes do not apply
_QUESTIONS = 0.6  # share of questions in the paraphrase layer


@dataclass(frozen=True, slots=True)
class Sentence:
    """A meaning and a tree that says it."""

    meaning: Meaning
    tree: Node

    @property
    def text(self) -> str:
        """As a person would write it."""
        return self.tree.text()


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence, or a pair, with its label: a class, 0 or 1, or a similarity from 0 to 5."""

    sentences: tuple[Sentence, ...]
    label: float


Draw: TypeAlias = Callable[[Chance], Example | None]


def _say(meaning: Meaning, chance: Chance) -> Sentence | None:
    """A sentence for the meaning, or None if it is too short or too long."""
    tree = Grammar(chance).derive(meaning)
    num_words = sum(leaf.upos != "PUNCT" for leaf in tree.leaves())
    return Sentence(meaning, tree) if MIN_WORDS <= num_words <= MAX_WORDS else None


def _say_both(one: Meaning, other: Meaning, chance: Chance) -> tuple[Sentence, Sentence] | None:
    """Two different sentences, or None."""
    first, second = _say(one, chance), _say(other, chance)
    if first is None or second is None or first.text == second.text:
        return None
    return first, second


def draw_sentiment(chance: Chance) -> Example | None:
    """An opinion and its class from 0 (very negative) to 4 (very positive); a few labels are one class off."""
    sentence = _say(Content(chance).opinion(), chance)
    if sentence is None:
        return None
    label = layers.sentiment(sentence.tree)
    if chance.happens(LABEL_NOISE):
        label = min(max(label + chance.pick((-1, 1)), 0), 4)
    return Example((sentence,), label)


def draw_paraphrase(chance: Chance) -> Example | None:
    """Two sentences and whether they mean the same: 1 for rewrites, 0 for small changes and for strangers."""
    content = Content(chance)
    form = chance.weighted(_PARAPHRASE_FORMS)
    one: Meaning
    other: Meaning | None
    if chance.happens(_QUESTIONS):
        one = question = content.question()
        other = edited_question(question, chance) if form == "change" else content.question()
    else:
        one = statement = content.statement()
        other = edited_statement(statement, chance) if form == "change" else content.statement()
    if form == "rewrite":
        other = one
    pair = _say_both(one, other, chance) if other is not None else None
    return Example(pair, float(one == other)) if pair is not None else None


def draw_similarity(chance: Chance) -> Example | None:
    """Two statements and how much of their meaning they share, from 0.0 to 5.0, with a little noise."""
    content = Content(chance)
    one = content.statement()
    num_edits = chance.weighted(((0.15, 0), (0.25, 1), (0.2, 2), (0.15, 3), (0.25, -1)))
    other = one if num_edits >= 0 else content.statement()
    for _ in range(num_edits):
        other = edited_statement(other, chance) or other
    pair = _say_both(one, other, chance)
    if pair is None:
        return None
    label = 5 * similarity(one, other) + chance.bell(SIMILARITY_NOISE)
    return Example(pair, round(min(max(label, 0.0), 5.0), 1))


def draw_sentences(chance: Chance, size: int, seen: set[str]) -> Iterator[Sentence]:
    """Statements, opinions and questions, none of which is in ``seen``, and adds them to it."""
    content = Content(chance, extended=True)
    while size:
        draw = chance.weighted(((0.5, content.statement), (0.25, content.opinion), (0.25, content.question)))
        sentence = _say(draw(), chance)
        if sentence is not None and sentence.text not in seen:
            seen.add(sentence.text)
            size -= 1
            yield sentence


def draw_split(draw: Draw, chance: Chance, size: int, seen: set[str]) -> Iterator[Example]:
    """Draws as many examples as asked for, none of whose sentences is in ``seen``, and adds theirs to it."""
    while size:
        example = draw(chance)
        if example is None:
            continue
        texts = {sentence.text for sentence in example.sentences}
        if seen.isdisjoint(texts):
            seen |= texts
            size -= 1
            yield example
