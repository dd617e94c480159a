"""SNLI's own files, and those of MultiNLI and SciTail that follow them: tab-separated text, or JSON lines.

Pairs on which the annotators did not agree have the label ``-``. They are part of the data, so they are counted apart
and not refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.readers.jsonl import read_jsonl
from mtsearch.data.readers.table import Table
from mtsearch.data.readers.tsv import read_tsv

__all__ = ["read_snli"]

_LABEL, _NO_LABEL = "gold_label", "-"


def read_snli(lines: Sequence[str], has_header: bool) -> Table:
    """The columns of the file, such as ``gold_label``, ``sentence1`` and ``sentence2``, without pairs labelled ``-``.

    A tab-separated row may be short of the last columns, which hold the labels of single annotators.
    """
    if lines[0].startswith("{"):
        table = read_jsonl(lines, has_header)
    else:
        num_tabs = lines[0].count("\t")
        table = read_tsv([line and line + "\t" * (num_tabs - line.count("\t")) for line in lines], has_header)
    if _LABEL not in table.columns:
        return table
    at = table.columns.index(_LABEL)
    rows = [row for row in table.rows if row[1][at] != _NO_LABEL]
    return Table(table.columns, rows, table.refused, len(table.rows) - len(rows))
