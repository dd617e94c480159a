"""Tags of words as arrays: taken, joined, and numbered anew."""

from __future__ import annotations

import numpy as np

from mtsearch.data.word_tags import TagLayer, Word, WordTags, renumbered

LAYERS: tuple[TagLayer, ...] = ("pos", "entities")
FIRST = [Word(0, 3, ("DET", "")), Word(4, 8, ("NOUN", "WORK"))]
SECOND = [Word(0, 5, ("VERB", ""))]


def words(tags: WordTags) -> list[list[Word]]:
    def name(layer: TagLayer, number: int) -> str:
        return tags.names[layer][number - 1] if number else ""

    flat = [
        Word(start, end, tuple(name(layer, number) for layer, number in zip(LAYERS, numbers, strict=True)))
        for start, end, *numbers in zip(
            tags.starts.tolist(), tags.ends.tolist(), *(tags.numbers[layer].tolist() for layer in LAYERS), strict=True
        )
    ]
    return [flat[begin:end] for begin, end in zip(tags.offsets[:-1], tags.offsets[1:], strict=True)]


def test_texts_come_back_as_they_went_in() -> None:
    tags = WordTags.of([FIRST, [], SECOND], LAYERS)
    assert words(tags) == [FIRST, [], SECOND]
    assert tags.names == {"pos": ("DET", "NOUN", "VERB"), "entities": ("WORK",)}
    assert words(WordTags.of([], LAYERS)) == []


def test_texts_are_taken_in_any_order_and_more_than_once() -> None:
    tags = WordTags.of([FIRST, [], SECOND], LAYERS)
    assert words(tags.take(np.array([2, 0, 1, 2]))) == [SECOND, FIRST, [], SECOND]
    assert words(tags.take(np.array([], dtype=np.int64))) == []


def test_joined_parts_keep_their_tags_whatever_their_numbers() -> None:
    parts = [WordTags.of([SECOND], LAYERS), WordTags.of([FIRST, []], LAYERS)]
    assert words(WordTags.join(parts)) == [SECOND, FIRST, []]


def test_a_tag_that_is_not_known_becomes_none() -> None:
    assert renumbered(np.array([0, 1, 2, 3, 1]), ("A", "B", "C"), ("C", "A")).tolist() == [0, 2, 0, 1, 2]
    assert renumbered(np.array([0, 0]), (), ("A",)).tolist() == [0, 0]
