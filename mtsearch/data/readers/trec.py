"""TREC questions: ``COARSE:fine question`` on every line, without a header (Li and Roth 2002)."""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.label_first import read_label_first
from mtsearch.data.readers.table import Row, Table

__all__ = ["read_trec"]


def read_trec(lines: Sequence[str], has_header: bool) -> Table:
    """The columns ``coarse`` (``NUM``), ``fine`` (``NUM:date``: fine names repeat) and ``question``."""
    labelled = read_label_first(lines, has_header)
    rows: list[Row] = []
    refused = list(labelled.refused)
    for number, (label, question) in labelled.rows:
        coarse, colon, _ = str(label).partition(":")
        if colon:
            rows.append((number, (coarse, label, question)))
        else:
            refused.append(Refusal(number, f"the label must be COARSE:fine, but is {label!r}"))
    return Table(("coarse", "fine", "question"), rows, refused)
