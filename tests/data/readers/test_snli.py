"""SNLI's own files."""

from __future__ import annotations

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.snli import read_snli

HEADER = "gold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\tlabel1\tlabel2\tlabel3"


def test_rows_may_lack_the_labels_of_annotators_that_were_not_asked() -> None:
    whole = "neutral\t(a)\ta\tb\t1r1n\tneutral\tneutral\tneutral"
    table = read_snli([HEADER, "neutral\t(a)\ta\tb\t1r1n\tneutral", "", whole, "x\t" * 9], True)
    assert [(line, len(values), values[:6]) for line, values in table.rows] == [
        (line, 8, ["neutral", "(a)", "a", "b", "1r1n", "neutral"]) for line in (2, 4)
    ]
    assert table.refused == [Refusal(5, "the row must have 8 columns, but has 10")]
