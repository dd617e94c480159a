"""Leaks between splits."""

from __future__ import annotations

from mtsearch.data.examples import Example, Split
from mtsearch.data.overlap import count_duplicates, count_shared


def _split(*texts: tuple[str, ...]) -> Split:
    return Split(tuple(Example(str(n), pair, "1", n) for n, pair in enumerate(texts, 1)), (), "x", "0")


def test_texts_are_shared_whatever_their_case_spaces_and_labels() -> None:
    train = _split(("A good film .",), ("another",))
    dev = _split(("a  good film . ",), ("A GOOD FILM .",), ("a good film",))
    assert count_shared({"train": train, "dev": dev, "test": _split(("new",))}) == {"dev": 2, "test": 0}


def test_both_texts_of_a_pair_must_match_in_either_order() -> None:
    train = _split(("a", "b"))
    dev = _split(("a", "b"), ("b", "a"), ("a", "c"), ("a b", ""))
    assert count_shared({"train": train, "dev": dev}) == {"dev": 2}


def test_duplicates_are_the_examples_after_the_first() -> None:
    assert count_duplicates(_split(("a",), ("b",), ("A",), ("a ",))) == 2
