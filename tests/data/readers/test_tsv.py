"""Plain tsv and GLUE's files: tabs, and no quoting at all."""

from __future__ import annotations

import pytest

from mtsearch.data.readers import READERS


def test_a_quote_is_a_character_like_any_other() -> None:
    table = READERS["tsv"](["label\tsentence", '1\t" unbalanced', '0\t""doubled""'], True)
    assert [values[1] for _, values in table.rows] == ['" unbalanced', '""doubled""']
    assert not table.refused


def test_rows_of_another_width_are_refused_and_empty_lines_passed_over() -> None:
    table = READERS["tsv"](["label\tsentence", "1", "", "1\ta\tb", "1\ta"], True)
    assert [(refusal.line, refusal.reason) for refusal in table.refused] == [
        (2, "the row must have 2 columns, but has 1"),
        (4, "the row must have 2 columns, but has 3"),
    ]
    assert [line for line, _ in table.rows] == [5]


def test_without_a_header_the_columns_are_numbered_from_one() -> None:
    table = READERS["tsv"](["1\ta"], False)
    assert (table.columns, list(table.rows)) == (("1", "2"), [(1, ["1", "a"])])


@pytest.mark.parametrize("format_", ["glue", "tsv"])
def test_glue_headers_are_kept_as_they_are(format_: str) -> None:
    table = READERS[format_](["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", '1\t10\t11\tHe said "\tHe said'], True)  # type: ignore[index]
    assert table.columns == ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
    assert list(table.rows) == [(2, ["1", "10", "11", 'He said "', "He said"])]


def test_cola_is_known_by_its_first_row() -> None:
    table = READERS["glue"](["gj04\t1\t\tThe sailors rode the breeze.", "cj99\t0\t*\tWhom he saw ?"], True)
    assert table.columns == ("source", "label", "mark", "sentence")
    assert [line for line, _ in table.rows] == [1, 2]
