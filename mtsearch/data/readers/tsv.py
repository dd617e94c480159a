"""Plain tsv: a header line and tabs; a quote is a character like any other."""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.table import Row, Table, numbered

__all__ = ["read_tsv"]


def read_tsv(lines: Sequence[str], has_header: bool) -> Table:
    """The table of a tab-separated file without quoting."""
    first = lines[0].split("\t")
    columns = tuple(name.strip() for name in first) if has_header else numbered(len(first))
    rows: list[Row] = []
    refused: list[Refusal] = []
    for at in range(1 if has_header else 0, len(lines)):
        values = lines[at].split("\t")
        if len(values) == len(columns):
            rows.append((at + 1, values))
        elif lines[at]:  # an empty line is no row
            refused.append(Refusal(at + 1, f"the row must have {len(columns)} columns, but has {len(values)}"))
    return Table(columns, rows, refused)
