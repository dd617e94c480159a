"""Questions, and answers that are where they are said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtsearch.data.examples import Refusal
from mtsearch.data.files import FilePart, open_file
from mtsearch.data.readers import READERS, Table
from mtsearch.data.readers.answers import with_answers
from mtsearch.data.readers.squad import read_squad

CONTEXT = "Ada won in Rome, and Rome cheered."


def _question(id_: str, *answers: tuple[str, int], **fields: object) -> dict[str, Any]:
    listed = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": id_, "question": f"What is {id_}?", "answers": listed, **fields}


def _read(*questions: dict[str, Any], **fields: object) -> Table:
    paragraph = {"context": CONTEXT, "qas": list(questions)}
    document = {"version": "v2.0", "data": [{"title": "t", "paragraphs": [paragraph]}], **fields}
    return read_squad(json.dumps(document, indent=1).split("\n"), True)


def test_questions_are_numbered_through_all_articles_and_paragraphs() -> None:
    paragraphs = [{"context": f"context {n}", "qas": [_question(f"q{n}", ("context", 0))]} for n in range(3)]
    articles = [{"paragraphs": paragraphs[:2]}, {"paragraphs": []}, {"paragraphs": paragraphs[2:]}]
    table = _read(data=articles)
    assert table.columns == ("id", "question", "context", "answers", "is_impossible")
    assert list(table.rows) == [
        (n + 1, (f"q{n}", f"What is q{n}?", f"context {n}", [("context", 0)], False)) for n in range(3)
    ]


def test_a_question_has_all_its_answers_or_is_impossible() -> None:
    table = _read(
        _question("a", ("Rome", 11), ("Rome", 21)),
        _question("b", is_impossible=True, plausible_answers=[{"text": "nowhere", "answer_start": 0}]),
    )
    assert [values[3:] for _, values in table.rows] == [([("Rome", 11), ("Rome", 21)], False), ([], True)]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (_question("b", ("Rome", 12)), "the answer 'Rome' must stand at character 12 of the context, but 'ome,' does"),
        (_question("b", ("Rome", 11), ("Ada", 99)), "the answer 'Ada' must stand at character 99 of the context, but"),
        (_question("b", ("d.", -2)), "an answer must have a text and an answer_start, but has 'd.' and -2"),
        (_question("b", ("", 3)), "an answer must have a text and an answer_start, but has '' and 3"),
        (_question("b", is_impossible=True, answers=[{}]), "an answer must have a text and an answer_start"),
        (_question("b", ("Ada", 0), is_impossible=True), "it is marked is_impossible, but has 1 answer(s)"),
        (_question("b"), "it has no answer and is not marked is_impossible"),
        (_question("b", answers="Rome"), "the answers must be a list of objects with text and answer_start"),
    ],
)
def test_a_broken_question_is_refused_by_its_id_and_number(question: dict[str, Any], reason: str) -> None:
    table = _read(_question("a", ("Ada", 0)), question, _question("c", ("Ada", 0)))
    assert [values[0] for _, values in table.rows] == ["a", "c"]
    assert [refusal.line for refusal in table.refused] == [2]
    assert table.refused[0].reason.startswith(f"question b: {reason}")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"data":\n [}', 2, "the file is not JSON (Expecting value)"),
        ('{"dat": []}', 1, "objects in lists called data, paragraphs and qas, but has no list data"),
        ('{"data": [{"paragraphs": 3}]}', 1, "but has no list paragraphs"),
        ('{"data": [{"paragraphs": [{"context": "a", "qas": ["q"]}]}]}', 1, "but has no list qas"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', 1, "each of the paragraphs must have a context"),
        ("[" * 100_000, 1, ""),
    ],
)
def test_a_file_of_another_form_is_refused_as_a_whole(text: str, line: int, reason: str) -> None:
    table = read_squad(text.split("\n"), True)
    assert (list(table.rows), [refusal.line for refusal in table.refused]) == ([], [line])
    assert reason in table.refused[0].reason


def test_windows_line_ends_and_a_byte_order_mark_leave_no_trace(tmp_path: Path) -> None:
    document = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": [_question("a", ("Rome", 11))]}]}]}
    text = json.dumps(document, indent=1).replace("\n", "\r\n")
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    table = open_file(FilePart(tmp_path / "x.json", "squad", {}, True)).table
    assert [values[3] for _, values in table.rows] == [[("Rome", 11)]]


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Rome", "Ada"], "answer_start": [11, 0]},
        [{"text": "Rome", "answer_start": 11}, {"text": "Ada", "answer_start": 0}],
    ],
)
def test_json_lines_with_a_context_have_answers_of_the_same_form(answers: object) -> None:
    good = {"question": "Where?", "context": CONTEXT, "answers": answers}
    bad = {**good, "context": "Elsewhere."}
    table = READERS["jsonl"]([json.dumps(good), json.dumps(bad)], True)
    assert list(table.rows) == [(1, ["Where?", CONTEXT, [("Rome", 11), ("Ada", 0)]])]
    reason = "the answer 'Rome' must stand at character 11 of the context, but '' does"
    assert table.refused == [Refusal(2, reason)]


def test_lists_of_another_length_are_no_answers() -> None:
    rows = [(1, (CONTEXT, {"text": ["Ada", "Rome"], "answer_start": [0]}))]
    (refusal,) = with_answers(Table(("context", "answers"), rows)).refused
    assert refusal.reason == "an answer must have a text and an answer_start, but has 'Rome' and None"


@pytest.mark.parametrize(
    ("columns", "answers"),
    [(("sentence", "answers"), {"text": ["x"], "answer_start": [0]}), (("context", "answers"), ["yes", "no"])],
)
def test_answers_of_another_kind_are_left_as_they_are(columns: tuple[str, ...], answers: object) -> None:
    table = with_answers(Table(columns, [(1, ("a", answers))]))
    assert (list(table.rows), list(table.refused)) == ([(1, ("a", answers))], [])


REAL = {"train": (1346, 1516), "dev": (314, 325), "test": (268, 342)}  # answerable, impossible


@pytest.mark.parametrize("split", REAL)
def test_real_questions_are_as_many_as_their_origin_says(split: str, real_data: Path) -> None:
    table = open_file(FilePart(real_data / "squad" / f"{split}-v2.0.json", "squad", {}, True)).table
    impossible = [values[4] for _, values in table.rows]
    assert (impossible.count(False), impossible.count(True)) == REAL[split]
    assert table.refused == []
