"""Predicates and arguments as JSON lines."""

from __future__ import annotations

import json

import pytest

from mtsearch.data.readers.propositions import read_propositions

WORDS = ["We", "want", "to", "win", "it"]


def _line(predicate: object, tags: object, **fields: object) -> str:
    return json.dumps({"sent_id": "s", "tokens": WORDS, "predicate": predicate, "tags": tags, **fields})


WANT = _line(1, ["B-A0", "B-V", "B-A1", "I-A1", "I-A1"])
WIN = _line(3, ["B-A0", "O", "O", "B-V", "B-A1"])


def test_lines_of_one_sentence_are_joined_in_the_order_of_their_predicates() -> None:
    other = _line(0, ["B-V", "B-AM-TMP"], tokens=["Go", "now"], sent_id=None)
    table = read_propositions([WIN, WANT, "", other, WIN], True)
    assert table.columns == ("id", "words", "propositions")
    assert list(table.rows) == [
        (1, ("s", WORDS, [(1, [(0, 1, "A0"), (2, 5, "A1")]), (3, [(0, 1, "A0"), (4, 5, "A1")])])),
        (4, ("4", ["Go", "now"], [(0, [(1, 2, "AM-TMP")])])),
        (5, ("s", WORDS, [(3, [(0, 1, "A0"), (4, 5, "A1")])])),
    ]
    assert table.refused == []


def test_spans_of_one_label_side_by_side_are_two() -> None:
    table = read_propositions([_line(0, ["B-V", "B-AM-TMP", "B-AM-TMP", "I-AM-TMP", "O"])], True)
    assert table.rows[0][1][2] == [(0, [(1, 2, "AM-TMP"), (2, 4, "AM-TMP")])]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (_line(5, ["O"] * 5), "predicate must be a word from 0 to 4, but is 5"),
        (_line(-1, ["O"] * 5), "predicate must be a word from 0 to 4, but is -1"),
        (_line(True, ["O"] * 5), "predicate must be a word from 0 to 4, but is True"),
        (_line(None, ["O"] * 5), "predicate must be a word from 0 to 4, but is None"),
        (_line(1, ["O"] * 4), "tags must be as many as the words (5), but are 4"),
        (_line(1, "O O O O O"), "tags must be as many as the words (5), but are 'O O O O O'"),
        (_line(1, ["I-A0", "B-V", "O", "O", "O"]), "tags must be BIO, but that of word 0 is 'I-A0'"),
        (_line(1, ["B-A0", "B-V", "I-A0", "O", "O"]), "tags must be BIO, but that of word 2 is 'I-A0'"),
        (_line(1, ["B-A0", "I-A1", "O", "O", "O"]), "tags must be BIO, but that of word 1 is 'I-A1'"),
        (_line(1, ["B-A0", "B-V", None, "O", "O"]), "tags must be BIO, but that of word 2 is None"),
        (_line(3, ["O", "O", "O", "B-V", "O"]), "word 3 is the predicate of a proposition before, too"),
    ],
)
def test_a_broken_proposition_costs_its_sentence_by_its_own_line(line: str, reason: str) -> None:
    good = _line(0, ["B-V"], tokens=["Go"], sent_id="t")
    table = read_propositions([WIN, line, good], True)
    assert [(refusal.line, refusal.reason) for refusal in table.refused] == [(2, reason)]
    assert [values[0] for _, values in table.rows] == ["t"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken", "the line is not JSON"),
        (_line(0, [], tokens=[]), "tokens must be a list of words"),
        (_line(0, [], tokens="We want"), "tokens must be a list of words"),
        ('{"predicate": 0}', "tokens must be a list of words"),
    ],
)
def test_a_line_without_words_is_refused(line: str, reason: str) -> None:
    table = read_propositions([line, WIN], True)
    assert table.refused[0].line == 1
    assert table.refused[0].reason.startswith(reason)
    assert len(table.rows) == 1
