"""Which column is what."""

from __future__ import annotations

import pytest

from mtsearch.data.columns import Columns, choose_columns
from mtsearch.data.examples import Wanted, WantedWords
from mtsearch.data.source import ColumnRole
from mtsearch.errors import DataError

ONE, TWO = Wanted(1, str), Wanted(2, str)
TAGS = WantedWords(("upos", "tags"), lambda cell, words: cell)


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
    assert choose_columns(available, Wanted(num_texts, str), {}, "train.csv") == expected


def test_what_is_given_goes_before_what_is_guessed() -> None:
    columns = choose_columns(("text", "review", "label", "stars"), ONE, {"text": "review", "label": "stars"}, "x.csv")
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
        choose_columns(("body", "other", ""), Wanted(num_texts, str), given, "x.csv")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("available", "given", "expected"),
    [
        (("id", "words", "lemmas", "upos", "tags"), {}, Columns((), "upos", "id", words="words")),
        (("Tokens", "Tags"), {}, Columns((), "Tags", None, words="Tokens")),
        (("words", "upos", "xpos"), {"label": "xpos"}, Columns((), "xpos", None, words="words")),
        (("words", "upos", "xpos"), {"pos": "xpos"}, Columns((), "upos", None, {"pos": ("xpos",)}, "words")),
        (("words", "entities"), {}, Columns((), None, None, words="words")),
        (("1", "2", "3", "4"), {}, Columns((), "4", None, words="1")),
        (("1", "2", "3", "4"), {"label": "2"}, Columns((), "2", None, words="1")),
        (("1", "2"), {"words": "2", "label": "1"}, Columns((), "1", None, words="2")),
        (("1",), {}, Columns((), None, None, words="1")),
        (("text", "tags"), {"words": "text"}, Columns((), "tags", None, words="text")),
    ],
)
def test_words_and_their_label_are_found_by_name_or_by_place(
    available: tuple[str, ...], given: dict[ColumnRole, str], expected: Columns
) -> None:
    assert choose_columns(available, TAGS, given, "train.conll") == expected


def test_the_answers_to_a_question_are_a_structured_label_only() -> None:
    available = ("id", "question", "context", "answers", "category")
    expected = Columns(("question", "context"), "answers", "id")
    assert choose_columns(available, Wanted(2, tuple, structured=True), {}, "x.json") == expected
    assert choose_columns(available, TWO, {}, "x.json").label == "category"


@pytest.mark.parametrize(
    ("wanted", "available", "given", "message"),
    [
        (
            TAGS,
            ("text", "label"),
            {},
            r"must include the words under a common name \(words, .*but are text, label; say",
        ),
        (TAGS, ("text", "label"), {"text": "text"}, r"takes words .*, but the data has text; choose a kind for texts"),
        (
            TAGS,
            ("a", "b"),
            {"text_a": "a", "text_b": "b"},
            "but the data has text_a and text_b; choose a kind for texts",
        ),
        (
            ONE,
            ("words", "tags"),
            {"words": "words"},
            r"a text .* but are words, tags; choose a kind for words, such as",
        ),
        (TWO, ("id", "Tokens", "tags"), {}, r"two texts .* but are id, Tokens, tags; choose a kind for words, such as"),
    ],
)
def test_a_kind_of_task_that_does_not_fit_the_data_is_told(
    wanted: Wanted | WantedWords, available: tuple[str, ...], given: dict[ColumnRole, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        choose_columns(available, wanted, given, "x")
