"""Which column is what, and which rows become examples."""

from __future__ import annotations

import pytest

from mtsearch.data.columns import Columns, choose_columns, make_examples
from mtsearch.data.examples import Example, Refusal, Wanted
from mtsearch.data.readers import Table
from mtsearch.errors import DataError


def _zero_or_one(raw: str) -> str:
    if raw not in ("0", "1"):
        raise ValueError(f"the label must be 0 or 1, but got {raw!r}")
    return raw


@pytest.mark.parametrize(
    ("available", "num_texts", "expected"),
    [
        (("", "id", "sentence", "sentiment"), 1, Columns(("sentence",), "sentiment", "id")),
        (
            ("", "id", "sentence1", "sentence2", "is_duplicate"),
            2,
            Columns(("sentence1", "sentence2"), "is_duplicate", "id"),
        ),
        (("Text", "LABEL"), 1, Columns(("Text",), "LABEL", None)),
        # GLUE: MRPC, QNLI, QQP, SST-2, MNLI, STS-B
        (
            ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"),
            2,
            Columns(("#1 String", "#2 String"), "Quality", None),
        ),
        (("index", "question", "sentence", "label"), 2, Columns(("question", "sentence"), "label", "index")),
        (
            ("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),
            2,
            Columns(("question1", "question2"), "is_duplicate", "id"),
        ),
        (("sentence", "label"), 1, Columns(("sentence",), "label", None)),
        (
            (
                "index",
                "promptID",
                "pairID",
                "genre",
                "sentence1_parse",
                "sentence1",
                "sentence2",
                "label1",
                "gold_label",
            ),
            2,
            Columns(("sentence1", "sentence2"), "gold_label", "index"),
        ),
        (
            ("index", "genre", "old_index", "sentence1", "sentence2", "score"),
            2,
            Columns(("sentence1", "sentence2"), "score", "index"),
        ),
        (("premise", "hypothesis"), 2, Columns(("premise", "hypothesis"), None, None)),
    ],
)
def test_common_names_need_no_mapping(available: tuple[str, ...], num_texts: int, expected: Columns) -> None:
    assert choose_columns(available, num_texts, {}, "train.csv") == expected


def test_what_is_given_goes_before_what_is_guessed() -> None:
    columns = choose_columns(("text", "review", "label", "stars"), 1, {"text": "review", "label": "stars"}, "x.csv")
    assert columns == Columns(("review",), "stars", None)


@pytest.mark.parametrize(
    ("num_texts", "given", "message"),
    [
        (
            1,
            {"label": "stars"},
            r"x\.csv: columns\.label must name one column of the file \(body, other, \(unnamed\)\), but names 'stars'",
        ),
        (1, {}, r"x\.csv: the columns must include a text .* but are body, other, \(unnamed\); say .* \{text: NAME\}"),
        (2, {}, r"must include two texts .* \{text_a: NAME, text_b: NAME\}"),
        (1, {"text_a": "body", "text_b": "other"}, "takes one text, but the data has text_a and text_b"),
        (2, {"text": "body"}, "takes two texts, but the data has text"),
        (2, {"text_a": "body"}, "takes two texts, but the data has text_a"),
    ],
)
def test_what_cannot_be_chosen_is_told_with_the_files_columns(
    num_texts: int, given: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        choose_columns(("body", "other", ""), num_texts, given, "x.csv")  # type: ignore[arg-type]


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
