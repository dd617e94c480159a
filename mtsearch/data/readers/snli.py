"""SNLI's and MultiNLI's own tab-separated files."""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.readers.table import Table
from mtsearch.data.readers.tsv import read_tsv

__all__ = ["read_snli"]


def read_snli(lines: Sequence[str], has_header: bool) -> Table:
    """The table of a file whose rows may lack the last columns, which hold the labels of single annotators."""
    num_tabs = lines[0].count("\t")
    return read_tsv([line and line + "\t" * (num_tabs - line.count("\t")) for line in lines], has_header)
