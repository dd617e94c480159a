"""Plain csv: a header line, csv quoting, and a comma, semicolon or tab between columns."""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.readers.quoted import read_quoted
from mtsearch.data.readers.table import Table

__all__ = ["read_csv"]


def read_csv(lines: Sequence[str], has_header: bool) -> Table:
    """The table of a csv file; its first line shows which delimiter it uses."""
    delimiter = max((",", "\t", ";"), key=lines[0].count)  # the comma where the line has none of them
    return read_quoted(lines, delimiter, has_header)
