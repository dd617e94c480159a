"""Which rows become examples, and why others do not."""

from __future__ import annotations

from typing import Any

import pytest

from mtsearch.data.columns import Columns
from mtsearch.data.examples import Example, Refusal, Wanted, WantedWords
from mtsearch.data.readers import Row, Table
from mtsearch.data.rows import make_examples
from mtsearch.errors import DataError


def _zero_or_one(raw: str) -> str:
    if raw not in ("0", "1"):
        raise ValueError(f"the label must be 0 or 1, but got {raw!r}")
    return raw


def _tag_each(cell: Any, words: tuple[str, ...]) -> tuple[str, ...]:
    if len(cell) != len(words):
        raise ValueError(f"{len(words)} words, but {len(cell)} tags")
    return tuple(cell)


TAGS = WantedWords(("upos", "tags"), _tag_each)
WORDS = Columns((), "tags", None, words="words")


def test_every_refused_row_has_its_line_and_its_reason_in_order() -> None:
    table = Table(
        ("text", "label", "id"),
        [
            (2, ["good", "1", "a"]),
            (3, [" ", "1", "b"]),
            (4, ["good", "", "c"]),
            (6, ["good", "7", "d"]),
            (7, [["a", "list"], "1", "e"]),
            (8, ["good", "1", None]),
        ],
        [Refusal(5, "the row must have 3 columns, but has 2")],
    )
    examples, refused = make_examples(table, Columns(("text",), "label", "id"), Wanted(1, _zero_or_one), "x", 1.0)
    assert examples == [Example("a", ("good",), "1", 2)]
    assert refused == [
        Refusal(3, "the text is empty"),
        Refusal(4, "the label is empty"),
        Refusal(5, "the row must have 3 columns, but has 2"),
        Refusal(6, "the label must be 0 or 1, but got '7'"),
        Refusal(7, "the text must be text or a number, but is a list"),
        Refusal(8, "the id is empty"),
    ]


def test_texts_stay_as_they_are_and_values_of_json_become_text() -> None:
    table = Table(("text", "label"), [(1, [" spaced  out ", 1]), (2, [3.5, True])])
    examples, _ = make_examples(table, Columns(("text",), "label", None), Wanted(1, str), "x", 0.0)
    assert examples == [Example("1", (" spaced  out ",), "1", 1), Example("2", ("3.5",), "true", 2)]


def test_a_share_of_bad_rows_up_to_the_limit_is_passed_over() -> None:
    table = Table(("text", "label"), [(line, ["good", "1" if line % 10 else "x"]) for line in range(1, 21)])
    columns, wanted = Columns(("text",), "label", None), Wanted(1, _zero_or_one)
    examples, refused = make_examples(table, columns, wanted, "x.csv", 0.1)
    assert (len(examples), len(refused)) == (18, 2)
    with pytest.raises(
        DataError, match=r"x\.csv: at most 9\.9% .* but 2 of 20 are \(10\.0%\); line 10: .* line 20: .*mend"
    ):
        make_examples(table, columns, wanted, "x.csv", 0.099)


def test_a_file_in_which_every_row_is_bad_is_an_error_whatever_the_limit() -> None:
    table = Table(("text", "label"), [(2, ["a", "x"])])
    with pytest.raises(DataError, match="1 of 1 are"):
        make_examples(table, Columns(("text",), "label", None), Wanted(1, _zero_or_one), "x", 1.0)


def test_a_sentence_is_its_words_and_its_label_is_read_with_them() -> None:
    table = Table(("words", "tags"), [(3, [["New", "York"], ["B-LOC", "I-LOC"]]), (6, ["Hello  there", "O O"])])
    examples, _ = make_examples(table, WORDS, TAGS, "x", 0.0)
    assert examples == [
        Example("3", ("New York",), ("B-LOC", "I-LOC"), 3, ("New", "York")),
        Example("6", ("Hello there",), ("O", "O"), 6, ("Hello", "there")),
    ]


def test_sentences_without_words_or_a_fitting_label_are_refused() -> None:
    table = Table(
        ("words", "tags"),
        [
            (1, [[], []]),
            (2, [["a", ""], ["O", "O"]]),
            (3, [["a"], None]),
            (4, [["a"], ["O", "O"]]),
            (5, [[1], ["O"]]),
            (6, ["  ", "O"]),
            (7, [["a"], " "]),
            (8, [["a"], 3]),
        ],
    )
    with pytest.raises(DataError, match="8 of 8 are"):
        make_examples(table, WORDS, TAGS, "x", 1.0)
    good: Row = (9, [["a"], ["O"]])
    _, refused = make_examples(Table(table.columns, [*table.rows, good]), WORDS, TAGS, "x", 1.0)
    assert [refusal.reason for refusal in refused] == [
        "the sentence has no words",
        "word 2 is empty",
        "the label is empty",
        "1 words, but 2 tags",
        "the words must be a list of texts, or a text with white space between them",
        "the sentence has no words",
        "1 words, but 0 tags",
        "the label must be a list, but is a int",
    ]


def test_a_sentence_without_any_span_has_an_empty_label_all_the_same() -> None:
    spans = WantedWords(("propositions",), lambda cell, words: tuple(cell))
    columns = Columns((), "propositions", None, words="words")
    examples, _ = make_examples(Table(("words", "propositions"), [(1, [["Hello"], []])]), columns, spans, "x", 0.0)
    assert examples[0].label == ()


def test_gold_tags_are_as_many_as_the_words_even_if_one_holds_a_blank() -> None:
    columns = Columns((), "tags", None, {"pos": ("upos",)}, "words")
    rows = [(1, [["10 000", "men"], ["NUM", "NOUN"], ["O", "O"]]), (2, [["10 000", "men"], ["NUM"], ["O", "O"]])]
    examples, refused = make_examples(Table(("words", "upos", "tags"), rows), columns, TAGS, "x", 0.5)
    assert examples[0].tags == {"pos": (("NUM", "NOUN"),)}
    assert refused == [Refusal(2, "the pos must be as many as the words (2), but are 1")]


def test_a_structured_label_is_taken_as_the_reader_gives_it() -> None:
    answers = Wanted(2, tuple, structured=True)
    columns = Columns(("question", "context"), "answers", None)
    rows: list[Row] = [
        (1, ["Who?", "I did.", [("I", 0)]]),
        (2, ["Why?", "I did.", []]),
        (3, ["How?", "I did.", None]),
        (4, ["Who?", "I did.", "I"]),
    ]
    examples, refused = make_examples(Table(("question", "context", "answers"), rows), columns, answers, "x", 0.5)
    assert [example.label for example in examples] == [(("I", 0),), ()]
    assert refused == [Refusal(3, "the label is empty"), Refusal(4, "the label must be a list, but is a str")]
