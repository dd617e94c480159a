"""SNLI's own files."""

from __future__ import annotations

import json

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.snli import read_snli

HEADER = "gold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\tlabel1\tlabel2\tlabel3"


def test_pairs_without_agreement_are_counted_and_not_refused() -> None:
    lines = [HEADER, "neutral\t(a)\ta\tb\t1r1n\tneutral\t\t", "-\t(a)\tc\td\t2r1n\tneutral\tentailment\tcontradiction"]
    table = read_snli(lines, True)
    assert [(line, values[0], values[2]) for line, values in table.rows] == [(2, "neutral", "a")]
    assert (table.num_unlabelled, table.refused) == (1, [])


def test_rows_may_lack_the_labels_of_annotators_that_were_not_asked() -> None:
    table = read_snli([HEADER, "neutral\t(a)\ta\tb\t1r1n\tneutral", "", "x\t" * 9], True)
    assert [line for line, _ in table.rows] == [2]
    assert table.refused == [Refusal(4, "the row must have 8 columns, but has 10")]


def test_json_lines_are_read_by_the_same_rule() -> None:
    pairs = [{"gold_label": label, "sentence1": "a", "sentence2": "b"} for label in ("entailment", "-", "neutral")]
    table = read_snli([json.dumps(pair) for pair in pairs], True)
    assert [values[0] for _, values in table.rows] == ["entailment", "neutral"]
    assert table.num_unlabelled == 1
