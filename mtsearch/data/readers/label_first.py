"""``label<SPACE>sentence`` on every line, without a header: the SST test files of several projects."""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.table import Row, Table

__all__ = ["read_label_first"]


def read_label_first(lines: Sequence[str], has_header: bool) -> Table:
    """The columns ``label`` and ``text`` of each line."""
    rows: list[Row] = []
    refused: list[Refusal] = []
    for number, line in enumerate(lines, 1):
        label, space, text = line.partition(" ")
        if space:
            rows.append((number, (label, text)))
        elif line:
            refused.append(Refusal(number, "the line must be a label, a space and a text, but has no space"))
    return Table(("label", "text"), rows, refused)
