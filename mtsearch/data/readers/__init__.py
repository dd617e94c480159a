"""One file per format; the table names them all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mtsearch.data.readers.cs224n import read_cs224n
from mtsearch.data.readers.csv import read_csv
from mtsearch.data.readers.glue import read_glue
from mtsearch.data.readers.jsonl import read_jsonl
from mtsearch.data.readers.label_first import read_label_first
from mtsearch.data.readers.table import Reader, Row, Table
from mtsearch.data.readers.trec import read_trec
from mtsearch.data.readers.tsv import read_tsv
from mtsearch.data.source import FileFormat

__all__ = ["ENDINGS", "READERS", "Reader", "Row", "Table"]

READERS: Mapping[FileFormat, Reader] = MappingProxyType(
    {
        "cs224n": read_cs224n,
        "csv": read_csv,
        "tsv": read_tsv,
        "jsonl": read_jsonl,
        "glue": read_glue,
        "label_first": read_label_first,
        "trec": read_trec,
    }
)

ENDINGS: Mapping[str, FileFormat] = MappingProxyType({".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"})
"""The format that a file's ending stands for under ``format: auto``."""
