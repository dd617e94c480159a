"""The files of Stanford's CS224N project: named ``.csv``, separated by tabs, with csv quoting.

The first column is an unnamed row number; then ``id`` and ``sentence, sentiment`` (SST, CFIMDB),
``sentence1, sentence2, is_duplicate`` (Quora) or ``sentence1, sentence2, similarity`` (STS).
"""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.readers.quoted import read_quoted
from mtsearch.data.readers.table import Table

__all__ = ["read_cs224n"]


def read_cs224n(lines: Sequence[str], has_header: bool) -> Table:
    """The table of a tab-separated file with csv quoting."""
    return read_quoted(lines, "\t", has_header)
