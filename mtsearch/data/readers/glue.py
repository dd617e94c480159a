"""GLUE's official TSV files: tabs, no quoting, a header; only CoLA has none.

The headers differ (MRPC ``Quality, #1 ID, #2 ID, #1 String, #2 String``; RTE, WNLI ``index, sentence1,
sentence2, label``; QNLI ``question, sentence``; QQP ``question1, question2, is_duplicate``; SST-2
``sentence, label``; MNLI ``..., sentence1, sentence2, ..., gold_label``; STS-B ``..., score``): the usual
guess of columns knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.readers.table import Table
from mtsearch.data.readers.tsv import read_tsv

__all__ = ["read_glue"]

_COLA = ("source", "label", "mark", "sentence")


def read_glue(lines: Sequence[str], has_header: bool) -> Table:
    """The table of a GLUE file; CoLA's columns are ``source``, ``label``, ``mark`` (``*`` or empty), ``sentence``."""
    first = lines[0].split("\t")
    if len(first) == len(_COLA) and first[1] in ("0", "1"):
        cola = read_tsv(lines, has_header=False)
        return Table(_COLA, cola.rows, cola.refused)
    return read_tsv(lines, has_header)
