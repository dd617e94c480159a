"""A token has the tag of the word in which its first character lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from mtsearch.data.batching import EncodedSplit, Inputs
from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import PieceTags, spelled_texts, tag_pieces, tags_seen
from mtsearch.data.places import joined
from mtsearch.data.tokens import TokenTable, tokenise_uncached
from mtsearch.data.word_tags import Word, WordTags

NAMES = {"pos": ("DET", "NOUN", "ADJ"), "entities": ("WORK",)}


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_encoder)


def word(text: str, part: str, pos: str, entity: str = "") -> Word:
    return Word(text.index(part), text.index(part) + len(part), (pos, entity))


FILM = "a  filmx , BAD"
FILM_WORDS = [word(FILM, "a", "DET"), word(FILM, "filmx", "NOUN", "WORK"), word(FILM, "BAD", "ADJ")]
BOOK = "the book"
BOOK_WORDS = [word(BOOK, "the", "DET"), word(BOOK, "book", "NOUN")]


def tagged(tokenizer: Any, layout: str, *rows: tuple[str, ...], length: int = 32) -> tuple[PieceTags, TokenTable]:
    known = {FILM: FILM_WORDS, BOOK: BOOK_WORDS, "": []}
    examples = [Example(str(i), texts, None, i) for i, texts in enumerate(rows)]
    table = tokenise_uncached(examples, tokenizer, layout, length, with_places=True)
    tags = WordTags.of([known[joined(text)] for text in spelled_texts(examples, layout)], ("pos", "entities"))
    return tag_pieces(tags, table).renumbered(NAMES), table  # type: ignore[arg-type]


def values(tags: PieceTags, column: str) -> list[int]:
    return tags.columns[column].values.tolist()


def test_all_pieces_of_a_word_have_its_tag_and_what_is_no_word_has_none(tokenizer: Any) -> None:
    tags, _ = tagged(tokenizer, "single", (FILM,))
    #                              [CLS] a  film ##x ,  BAD [SEP]
    assert values(tags, "pos") == [0, 1, 2, 2, 0, 3, 0]
    assert values(tags, "entities") == [0, 0, 1, 1, 0, 0, 0]


def test_both_texts_of_a_pair_have_their_own_tags(tokenizer: Any) -> None:
    tags, _ = tagged(tokenizer, "pair", (BOOK, FILM), ("", BOOK), (BOOK, ""))
    assert values(tags, "pos") == [
        *(0, 1, 2, 0, 1, 2, 2, 0, 3, 0),
        *(0, 0, 1, 2, 0),
        *(0, 1, 2, 0, 0),
    ]


def test_each_sequence_of_a_siamese_pair_has_its_own_tags(tokenizer: Any) -> None:
    tags, _ = tagged(tokenizer, "siamese", (BOOK, FILM), (FILM, ""))
    assert values(tags, "pos") == [0, 1, 2, 0, 0, 1, 2, 2, 0, 3, 0]
    assert values(tags, "pos_2") == [0, 1, 2, 2, 0, 3, 0, 0, 0]


def test_a_cut_text_keeps_the_tags_of_what_is_left(tokenizer: Any) -> None:
    tags, _ = tagged(tokenizer, "single", (FILM,), (BOOK,), length=5)
    assert values(tags, "pos") == [0, 1, 2, 2, 0, 0, 1, 2, 0]


def test_without_rows_there_are_no_tags(tokenizer: Any) -> None:
    empty = TokenTable({}, np.array([], dtype=np.int32), 0)
    assert tag_pieces(WordTags.of([], ("pos",)), empty).columns == {}


def test_tags_are_numbered_as_the_model_knows_them(tokenizer: Any) -> None:
    tags, _ = tagged(tokenizer, "single", (FILM,))
    other = tags.renumbered({"pos": ("ADJ", "DET")})
    assert values(other, "pos") == [0, 2, 0, 0, 0, 1, 0]
    assert set(other.columns) == {"pos"}


def test_the_tags_that_are_seen_are_those_of_tokens(tokenizer: Any) -> None:
    book, _ = tagged(tokenizer, "single", (BOOK,))
    both, _ = tagged(tokenizer, "siamese", (BOOK, FILM))
    assert tags_seen([book], "pos") == ("DET", "NOUN")
    assert tags_seen([book], "entities") == ()
    assert tags_seen([book, both], "pos") == ("ADJ", "DET", "NOUN")


def test_a_batch_carries_a_tag_for_each_layer_of_each_token(tokenizer: Any) -> None:
    tags, table = tagged(tokenizer, "single", (BOOK,), (FILM,))
    split = EncodedSplit("task", table, {}, 0, tags)
    (inputs,) = split.batch(np.array([1, 0])).inputs
    assert inputs.tags_BLT is not None
    assert inputs.tags_BLT[0].T.tolist() == [[0, 1, 2, 2, 0, 3, 0], [0, 0, 1, 1, 0, 0, 0]]
    assert inputs.tags_BLT[1].T.tolist() == [[0, 1, 2, 0, 0, 0, 0], [0] * 7]
    only = split.with_tag_names({"entities": ("WORK",)}).batch(np.array([1, 0])).inputs[0]
    assert only.tags_BLT is not None
    assert only.tags_BLT.shape == (2, 7, 1)
    assert EncodedSplit("task", table, {}, 0).batch(np.array([0])).inputs[0].tags_BLT is None


def test_tags_are_filled_up_and_stacked_with_their_tokens(tokenizer: Any) -> None:
    tags, table = tagged(tokenizer, "siamese", (BOOK, FILM))
    first, second = EncodedSplit("task", table, {}, 0, tags).batch(np.array([0])).inputs
    both = Inputs.stack([first, second])
    assert both.tags_BLT is not None
    assert both.tags_BLT[:, :, 0].tolist() == [[0, 1, 2, 0, 0, 0, 0], [0, 1, 2, 2, 0, 3, 0]]
    filled = first.padded_to(6).tags_BLT
    assert filled is not None
    assert filled[0].T.tolist() == [[0, 1, 2, 0, 0, 0], [0] * 6]


def test_texts_without_any_word_have_no_tags(tokenizer: Any) -> None:
    tags, _ = tagged(tokenizer, "single", ("",))
    assert values(tags, "pos") == values(tags, "entities") == [0, 0]
