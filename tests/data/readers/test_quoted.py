"""Csv quoting: what is legal round-trips, and a broken quote costs one row."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.data.readers import READERS, Table
from mtsearch.data.readers.quoted import read_quoted


def _values(table: Table) -> list[list[object]]:
    return [list(values) for _, values in table.rows]


def _lines(table: Table) -> list[int]:
    return [line for line, _ in table.rows]


_texts = st.text(st.characters(exclude_characters="\0\r\t", exclude_categories=["Cs"]))
_rows = st.lists(st.tuples(_texts, _texts, st.sampled_from(["0.0", "1.0", ""])), min_size=1, max_size=8)


@given(rows=_rows, delimiter=st.sampled_from(["\t", ",", ";"]))
def test_whatever_the_csv_module_writes_is_read_back(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["", "sentence1", "sentence2", "label"])
    writer.writerows((number, *row) for number, row in enumerate(rows))
    table = read_quoted(text.getvalue().split("\n")[:-1], delimiter, has_header=True)
    assert not table.refused
    assert _values(table) == [[str(number), *row] for number, row in enumerate(rows)]


def test_a_row_keeps_its_physical_line_after_a_field_that_spans_lines() -> None:
    table = read_quoted(
        ["id,text", '1,"two', 'lines, one field"', "2,next", '3,"three', "", 'lines"', "4,last"], ",", True
    )
    assert _values(table) == [
        ["1", "two\nlines, one field"],
        ["2", "next"],
        ["3", "three\n\nlines"],
        ["4", "last"],
    ]
    assert _lines(table) == [2, 4, 5, 8]


@pytest.mark.parametrize(
    "following",
    [
        ["2\tfine\tb\t1"],  # the text ends inside the field
        ['2\t"quoted"\tb\t1'],  # the next quote is followed by a letter
        ['2\tends with a quote"\tb\t1'],  # it would close the field, but the row would be too short
        ["2\tfine\tb\t1", '3\ta\tends with a quote"\t1'],  # two columns late, the row gets another width
    ],
)
@pytest.mark.parametrize("broken", ['1\t"never closed\tb\t0', '1\ta\t"never closed\t0'])
def test_an_unclosed_quote_costs_its_own_row_only(broken: str, following: list[str]) -> None:
    table = read_quoted(["id\tsentence1\tsentence2\tlabel", "0\ta\tb\t0", broken, *following], "\t", True)
    assert [refusal.line for refusal in table.refused] == [3]
    assert "quot" in table.refused[0].reason
    assert _lines(table) == [2, *range(4, 4 + len(following))]


def test_an_unclosed_quote_in_comma_separated_text_costs_its_own_row_only() -> None:
    table = read_quoted(["text,label", '"never closed,0', '"closed, and quoted",1', "plain,0"], ",", True)
    assert [refusal.line for refusal in table.refused] == [2]
    assert _values(table) == [["closed, and quoted", "1"], ["plain", "0"]]


def test_a_quote_inside_an_unquoted_field_is_a_character() -> None:
    table = read_quoted(["text,label", 'a 6" nail,1'], ",", True)
    assert _values(table) == [['a 6" nail', "1"]]


def test_text_after_a_closing_quote_is_refused() -> None:
    table = read_quoted(["text,label", '"He said "hi" to me",1'], ",", True)
    assert not table.rows
    assert "expected after" in table.refused[0].reason


def test_a_row_of_another_width_is_refused_with_both_widths() -> None:
    table = read_quoted(["a,b", "1,2", "1,2,3", "1", '"1",2,3'], ",", True)
    assert [(refusal.line, refusal.reason) for refusal in table.refused] == [
        (3, "the row must have 2 columns, but has 3"),
        (4, "the row must have 2 columns, but has 1"),
        (5, "the row must have 2 columns, but has 3"),
    ]


def test_an_empty_line_is_no_row() -> None:
    table = read_quoted(["a,b", "", "1,2", ""], ",", True)
    assert (_lines(table), table.refused) == ([3], [])


def test_without_a_header_the_columns_are_numbered_from_one() -> None:
    table = read_quoted(['"x, y",1', "z,0"], ",", has_header=False)
    assert table.columns == ("1", "2")
    assert _values(table) == [["x, y", "1"], ["z", "0"]]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_takes_its_delimiter_from_the_first_line(delimiter: str) -> None:
    table = READERS["csv"]([f"text{delimiter}label", f"a{delimiter}1"], True)
    assert table.columns == ("text", "label")
    assert _values(table) == [["a", "1"]]


def test_cs224n_files_begin_with_an_unnamed_column() -> None:
    lines = ["\tid\tsentence\tsentiment", '7\tabc\t" a ""quoted"" film"\t3', "8\tdef\t it 's fine , really\t2"]
    table = READERS["cs224n"](lines, True)
    assert table.columns == ("", "id", "sentence", "sentiment")
    assert _values(table) == [["7", "abc", ' a "quoted" film', "3"], ["8", "def", " it 's fine , really", "2"]]
