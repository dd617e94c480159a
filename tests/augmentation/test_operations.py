"""The four operations on words: how many words they leave, where words come from, and what becomes of the rest."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtsearch.augmentation.operations import OPERATIONS, Operation, Text, delete, insert, replace, split, swap
from mtsearch.augmentation.synonyms import Synonyms, find_synonyms, stop_words

SHIPPED = find_synonyms("shipped")
NONE = Synonyms("none", lambda word: ())

texts = st.text() | st.lists(
    st.sampled_from(["The", "a", "film", "Film", "FILM", "good", "not", "it's", "'s", ",", ".", "(", "95%", "--"])
).map(" ".join)
rates = st.floats(0.01, 0.99)
rngs = st.integers().map(Random)


def lowered(text: Text) -> Counter[str]:
    return Counter(word.lower() for word in text.words)


class Fixed(Random):
    """Draws what it is told to."""

    def __init__(self, *draws: float) -> None:
        super().__init__(0)
        self.draws = list(draws)

    def random(self) -> float:
        return self.draws.pop(0)


@given(texts)
def test_words_and_gaps_make_up_the_text(text: str) -> None:
    parts = split(text)
    assert str(parts) == text
    assert len(parts.gaps) == len(parts.words) + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "What's a well-known 3.5 kg, i.e. U.S. thing?",
            ["What's", "a", "well-known", "3.5", "kg", "i.e", "U.S", "thing"],
        ),
        ("it 's n't over-the-top ...", ["it", "'s", "n't", "over-the-top"]),
        ('"Nein", sagte él — 140,000 Mal!', ["Nein", "sagte", "él", "140,000", "Mal"]),
        ("?! ...", []),
    ],
)
def test_words_are_what_a_reader_takes_for_one(text: str, words: list[str]) -> None:
    assert list(split(text).words) == words


@pytest.mark.parametrize("operation", OPERATIONS.values())
@given(texts, rates, rngs)
def test_no_operation_empties_a_text(operation: Operation, text: str, rate: float, rng: Random) -> None:
    before = split(text)
    after = operation(before, rate, rng, SHIPPED)
    assert len(after.gaps) == len(after.words) + 1
    assert bool(after.words) == bool(before.words)


@pytest.mark.parametrize("operation", OPERATIONS.values())
@given(texts, rates, st.integers())
def test_an_operation_does_the_same_again(operation: Operation, text: str, rate: float, seed: int) -> None:
    first, second = (operation(split(text), rate, Random(seed), SHIPPED) for _ in range(2))
    assert first == second


@given(texts, rates, rngs)
def test_replacement_changes_as_many_words_as_it_may_and_no_stop_words(text: str, rate: float, rng: Random) -> None:
    before = split(text)
    after = replace(before, rate, rng, SHIPPED)
    assert after.gaps == before.gaps
    changed = [(old.lower(), new.lower()) for old, new in zip(before.words, after.words, strict=True) if old != new]
    assert all(new in SHIPPED.of(old) and old not in stop_words() for old, new in changed)
    replaceable = sum(word.lower() not in stop_words() and bool(SHIPPED.of(word.lower())) for word in before.words)
    assert len(changed) == min(replaceable, max(1, int(rate * len(before.words))))


@given(texts, rates, rngs)
def test_insertion_adds_synonyms_of_words_of_the_text(text: str, rate: float, rng: Random) -> None:
    before = split(text)
    after = insert(before, rate, rng, SHIPPED)
    added = lowered(after) - lowered(before)
    assert not lowered(before) - lowered(after)
    known = {synonym for word in lowered(before) if word not in stop_words() for synonym in SHIPPED.of(word)}
    assert set(added) <= known
    assert added.total() == (max(1, int(rate * len(before.words))) if known else 0)


@given(texts, rates, rngs)
@example("A:\u00b5", 0.5, Random(0))  # The micro sign's capital is a Greek letter's.
@example("A \u00df", 0.5, Random(0))
def test_a_swap_keeps_the_words_and_what_lies_between_them(text: str, rate: float, rng: Random) -> None:
    before = split(text)
    after = swap(before, rate, rng, SHIPPED)
    assert lowered(after) == lowered(before)
    assert after.gaps == before.gaps


@given(texts, rates, rngs)
def test_deletion_leaves_words_of_the_text_in_their_order(text: str, rate: float, rng: Random) -> None:
    before = split(text)
    left = iter(word.lower() for word in before.words)
    assert all(word.lower() in left for word in delete(before, rate, rng, SHIPPED).words)


def test_deletion_takes_the_share_that_it_is_told() -> None:
    text = Text(("word",) * 20_000, ("",) + (" ",) * 20_000)
    assert len(delete(text, 0.1, Random(0), NONE).words) == pytest.approx(18_000, rel=0.01)


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("A good, bad film.", {2}, "A good, film."),
        ("A good, bad film.", {3}, "A good, bad."),
        ("Well, it rains.", {0}, "It rains."),
        ("the best (and worst) , really .", {3}, "the best (and) , really ."),
        ("It is good, bad. Really!", {3}, "It is good. Really!"),
        ("What is it?", {2}, "What is?"),
        ("Go home!", {0, 1}, "Go!"),
    ],
)
def test_punctuation_stays_sensible_where_words_are_deleted(text: str, gone: set[int], left: str) -> None:
    parts = split(text)
    rng = Fixed(*(0.0 if place in gone else 1.0 for place in range(len(parts.words))), 0.0)
    assert str(delete(parts, 0.5, rng, NONE)) == left


@pytest.mark.parametrize(
    ("text", "copy"),
    [("a Film", "a Movie"), ("a FILM!", "a MOVIE!"), ("(film)", "(movie)")],
)
def test_a_synonym_is_written_like_the_word_that_it_replaces(text: str, copy: str) -> None:
    movie = Synonyms("one", {"film": ("movie",)}.get)  # type: ignore[arg-type]
    assert str(replace(split(text), 0.5, Random(0), movie)) == copy


def test_a_text_goes_on_beginning_with_a_capital_and_only_names_keep_theirs_inside() -> None:
    assert {str(swap(split("The film?"), 0.5, Random(seed), NONE)) for seed in range(9)} == {"Film the?"}
    assert {str(swap(split("Paris burns"), 0.5, Random(seed), NONE)) for seed in range(9)} == {"Burns Paris"}
    assert {str(swap(split("I win"), 0.5, Random(seed), NONE)) for seed in range(9)} == {"Win I"}
    assert {str(swap(split("the film?"), 0.5, Random(seed), NONE)) for seed in range(9)} == {"film the?"}


def test_an_inserted_word_stands_between_words_and_before_the_closing_punctuation() -> None:
    one = Synonyms("one", {"film": ("movie",)}.get)  # type: ignore[arg-type]
    copies = {str(insert(split("This film, this."), 0.1, Random(seed), one)) for seed in range(99)}
    assert copies == {
        "Movie this film, this.",
        "This movie film, this.",
        "This film, movie this.",
        "This film, this movie.",
    }
