"""Sentences between blank lines, their comments, and how their columns are separated."""

from __future__ import annotations

import pytest

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.blocks import Block, BrokenLineError, read_blocks, sentence_id, separator, without_comments


def test_a_broken_line_costs_its_sentence_and_no_other() -> None:
    def read(block: Block) -> list[str] | None:
        for line, text in block:
            if text == "broken":
                raise BrokenLineError(line, "it is broken")
        return None if block[0][1] == "nothing" else [text for _, text in block]

    table = read_blocks(["", "a", "b", " \t", "", "c", "broken", "", "nothing", "", "d"], ("x",), read)
    assert list(table.rows) == [(2, ["a", "b"]), (11, ["d"])]
    assert table.refused == [Refusal(7, "it is broken")]


@pytest.mark.parametrize(
    ("lines", "line", "expected"),
    [
        (["a\tO", "", "New York\tB"], "New York\tB\t", ["New York", "B"]),
        (["a  NN O", "b NN\u00a0x O"], "b   NN\u00a0x O ", ["b", "NN\u00a0x", "O"]),
        (["a\tb O", "", "c O"], "a\tb O", ["a\tb", "O"]),
        (["# one comment with\ta tab", "a O", "b O"], "a O", ["a", "O"]),
    ],
)
def test_columns_are_separated_by_tabs_where_most_lines_have_them(
    lines: list[str], line: str, expected: list[str]
) -> None:
    assert separator(lines)(line) == expected


@pytest.mark.parametrize(
    ("lines", "comments"),
    [
        (["# sent_id = 7", "a\tO", "b\tO"], 1),
        (["#\tO", "b\tO"], 0),
        (["# O", "b O"], 0),  # a word
        (["# id 1", "# O", "b O"], 1),
        (["# id 8e\tdomain=en", "a _ _ O"], 1),
        (["a O", "# not before the sentence", "b O"], 0),
        (["# only a comment"], 0),
    ],
)
def test_a_comment_is_told_from_a_word_that_is_a_number_sign(lines: list[str], comments: int) -> None:
    block = list(enumerate(lines, 1))
    found, rest = without_comments(block, separator(lines))
    assert (found, list(rest)) == (lines[:comments], block[comments:])


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (["# text = a = b", "# sent_id = w-1 2 "], "w-1 2"),
        (["#sent_id=x"], "x"),
        (["# sent_id ="], "9"),
        (["# sent = 4"], "9"),
        ([], "9"),
    ],
)
def test_a_sentence_is_called_by_its_comment_or_its_line(comments: list[str], expected: str) -> None:
    assert sentence_id(comments, 9) == expected
