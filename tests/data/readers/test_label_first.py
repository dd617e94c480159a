"""``label<SPACE>text``, and TREC's ``COARSE:fine question``."""

from __future__ import annotations

from mtsearch.data.readers import READERS


def test_the_label_ends_at_the_first_space() -> None:
    table = READERS["label_first"](["1 no movement , no yuks", "0 ` quoted '"], True)
    assert list(table.rows) == [(1, ("1", "no movement , no yuks")), (2, ("0", "` quoted '"))]


def test_a_line_without_a_space_is_refused_and_an_empty_one_passed_over() -> None:
    table = READERS["label_first"](["1", "", "2 text"], True)
    assert [refusal.line for refusal in table.refused] == [1]
    assert [line for line, _ in table.rows] == [3]


def test_trec_gives_both_layers() -> None:
    table = READERS["trec"](["NUM:date When was Ozzy Osbourne born ?", "What ?"], True)
    assert table.columns == ("coarse", "fine", "question")
    assert list(table.rows) == [(1, ("NUM", "NUM:date", "When was Ozzy Osbourne born ?"))]
    assert [(refusal.line, refusal.reason) for refusal in table.refused] == [
        (2, "the label must be COARSE:fine, but is 'What'")
    ]
