"""Gold tags: columns of the data set, one tag for each word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import ValidationError

from mtsearch.config.trial import TrialConfig
from mtsearch.data.columns import choose_columns
from mtsearch.data.examples import DataSet, Example, Split, Wanted
from mtsearch.data.resolve import load_data
from mtsearch.data.source import DataSource
from mtsearch.data.word_tags import TagLayer, Word
from mtsearch.errors import DataError
from mtsearch.tags import Columns
from tests.data.test_word_tags import words

SINGLE = Wanted(1, str)
PAIR = Wanted(2, str)


def read(folder: Path, rows: list[dict[str, Any]], columns: dict[str, str], wanted: Wanted = SINGLE) -> DataSet:
    for split in ("train", "dev"):
        lines = (json.dumps(row) for row in rows)
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_data(DataSource(source=str(folder), columns=columns, max_bad_ratio=0.5), wanted, None)  # type: ignore[arg-type]


def tags(*examples: Example, layout: str = "single") -> list[list[Word]]:
    tagger = Columns().tagger(is_cached=False, open_export=Mock())
    assert tagger is not None
    return [[Word(start, end, of) for start, end, of in text] for text in words_of(tagger.tag(list(examples), layout))]


def words_of(found: Any) -> list[list[Word]]:
    for layer in ("pos", "entities"):  # the reader of words wants both
        found.numbers.setdefault(layer, found.starts * 0)
        found.names.setdefault(layer, ())
    return words(found)


def test_tags_are_read_from_lists_and_from_text(tmp_path: Path) -> None:
    rows = [
        {"text": "Ada  met Bo", "label": "1", "p": ["NOUN", "VERB", "NOUN"], "e": "B-PER O I-PER"},
        {"text": "hm", "label": "0", "p": ["_"], "e": ["-"]},
    ]
    first, second = read(tmp_path, rows, {"pos": "p", "entities": "e"}).splits["train"].examples
    assert first.tags == {"pos": (("NOUN", "VERB", "NOUN"),), "entities": (("PER", "", "PER"),)}
    assert second.tags == {"pos": (("",),), "entities": (("",),)}
    assert tags(first, second) == [
        [Word(0, 3, ("NOUN", "PER")), Word(5, 8, ("VERB", "")), Word(9, 11, ("NOUN", "PER"))],
        [Word(0, 2, ("", ""))],
    ]


def test_both_texts_of_a_pair_have_a_column(tmp_path: Path) -> None:
    rows = [{"text_a": "a b", "text_b": "c", "label": "1", "pa": "X Y", "pb": "Z"}]
    (example,) = read(tmp_path, rows, {"pos_a": "pa", "pos_b": "pb"}, PAIR).splits["train"].examples
    assert example.tags == {"pos": (("X", "Y"), ("Z",))}
    assert [[word.tags[0] for word in text] for text in tags(example, layout="pair")] == [["X", "Y"], ["Z"]]


def test_a_row_with_fewer_tags_than_words_is_refused(tmp_path: Path) -> None:
    rows = [{"text": "a b", "label": "1", "p": tagged} for tagged in ("X Y", "X", 3, None, [1, 2])]
    (refusals) = read_with(tmp_path, rows).refused
    assert [refusal.reason for refusal in refusals] == [
        "the pos must be as many as the words (2), but are 1",
        *["the pos must be a list of tags, or tags with white space between them"] * 3,
    ]


def read_with(folder: Path, rows: list[dict[str, Any]]) -> Split:
    good = [{"text": "a", "label": "1", "p": "X"}] * 4
    return read(folder, [*good, *rows], {"pos": "p"}).splits["train"]


def test_tags_are_part_of_what_the_data_is_known_by(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "1", "p": "X"}]
    plain = read(tmp_path, rows, {}).content_hash
    assert read(tmp_path, rows, {"pos": "p"}).content_hash != plain
    assert read(tmp_path, [{**rows[0], "p": "Y"}], {}).content_hash == plain


@pytest.mark.parametrize(("num_texts", "given"), [(1, {"pos_a": "p"}), (2, {"pos": "p"}), (2, {"pos_b": "p"})])
def test_columns_for_other_texts_are_refused(num_texts: int, given: Any) -> None:
    with pytest.raises(DataError, match=r"gold tags must be named for each text, with data\.columns\.pos"):
        choose_columns(("text", "text_a", "text_b", "label", "p"), Wanted(num_texts, str), given, "file")


def gold(*, pos: tuple[tuple[str, ...], ...] | None, text: str = "a b") -> Example:
    layers: dict[TagLayer, tuple[tuple[str, ...], ...]] | None = None if pos is None else {"pos": pos}
    return Example("1", (text,), "0", 7, ("20 000", "b"), layers)


def test_the_words_of_a_text_that_is_given_as_words_may_hold_spaces() -> None:
    assert tags(gold(pos=(("NUM", "X"),)), layout="words") == [[Word(0, 6, ("NUM", "")), Word(7, 8, ("X", ""))]]


def test_texts_without_gold_tags_are_one_line() -> None:
    with pytest.raises(DataError, match=r"tags\.name: columns needs gold tags for every text, .* data\.columns"):
        tags(gold(pos=None))
    with pytest.raises(DataError, match=r"tags\.name: columns needs gold tags for every text"):
        tags(gold(pos=(("X", "Y"),)), gold(pos=None))


def test_copies_of_augmentation_have_no_gold_tags() -> None:
    trial = {"tasks": {"t": {"kind": "classification", "data": "sst5"}}, "augmentation": {"name": "eda"}}
    assert TrialConfig.model_validate(trial).tags.name == "none"
    with pytest.raises(ValidationError, match=r"tags\.name: 'columns' has no tags for the copies"):
        TrialConfig.model_validate({**trial, "tags": {"name": "columns"}})
