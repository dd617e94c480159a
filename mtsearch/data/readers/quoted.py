"""Delimited text with csv quoting, read so that a broken quote costs one row and not the rest of the file."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.table import Row, Table, numbered

__all__ = ["read_quoted"]


def read_quoted(lines: Sequence[str], delimiter: str, has_header: bool) -> Table:
    """The rows of csv text in which a field in double quotes may hold delimiters, doubled quotes and line ends.

    A quote that is never closed would swallow the rows after it. It shows in one of four ways: the text ends
    inside the field; the next quote is followed by neither delimiter nor line end; the row gets another
    width; or, where tabs separate, a swallowed line is itself of full width. The line is then refused, and
    reading goes on with the next one.

    Args:
        lines: physical lines without their ends.
        delimiter: what separates columns.
        has_header: whether the first line names the columns.
    """
    first = next(csv.reader(lines[:1], delimiter=delimiter), [])
    columns = tuple(name.strip() for name in first) if has_header else numbered(len(first))
    width = len(columns)
    rows: list[Row] = []
    refused: list[Refusal] = []
    at = 1 if has_header else 0
    while at < len(lines):
        line, taken = lines[at], 1
        if '"' not in line:
            values = line.split(delimiter)
            reason = _width_reason(values, width)
        else:
            values, taken, reason = _quoted_row(lines, at, delimiter, width)
        if reason:
            refused.append(Refusal(at + 1, reason))
            taken = 1
        elif line:  # an empty line is no row
            rows.append((at + 1, values))
        at += taken
    return Table(columns, rows, refused)


def _quoted_row(lines: Sequence[str], at: int, delimiter: str, width: int) -> tuple[list[str], int, str]:
    """The row that begins at ``lines[at]``, the number of lines it takes, and why it is refused, if it is."""
    following = (f"{lines[number]}\n" for number in range(at, len(lines)))
    reader = csv.reader(following, delimiter=delimiter, strict=True)
    try:
        values = next(reader)
    except csv.Error as error:
        return [], 1, f"the quoting is broken ({error})"
    taken = reader.line_num
    if taken > 1:
        spanned = lines[at : at + taken]
        is_full = [line.count("\t") == width - 1 for line in spanned]
        if len(values) != width or (delimiter == "\t" and is_full[0] and any(is_full[1:])):
            return [], 1, "the quoting is broken (a quote is not closed on its line)"
    return values, taken, _width_reason(values, width)


def _width_reason(values: Sequence[str], width: int) -> str:
    if len(values) == width or values == [""]:
        return ""
    return f"the row must have {width} columns, but has {len(values)}"
