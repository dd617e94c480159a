"""One file per format; the table names them all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mtsearch.data.readers.brackets import read_brackets
from mtsearch.data.readers.columns import read_columns
from mtsearch.data.readers.conllu import read_conllu
from mtsearch.data.readers.cs224n import read_cs224n
from mtsearch.data.readers.csv import read_csv
from mtsearch.data.readers.glue import read_glue
from mtsearch.data.readers.jsonl import read_jsonl
from mtsearch.data.readers.label_first import read_label_first
from mtsearch.data.readers.propositions import read_propositions
from mtsearch.data.readers.props import read_props
from mtsearch.data.readers.snli import read_snli
from mtsearch.data.readers.squad import read_squad
from mtsearch.data.readers.table import Reader, Row, Table
from mtsearch.data.readers.trec import read_trec
from mtsearch.data.readers.tsv import read_tsv
from mtsearch.data.source import FileFormat

__all__ = ["ENDINGS", "LAYERS", "READERS", "Reader", "Row", "Table"]

READERS: Mapping[FileFormat, Reader] = MappingProxyType(
    {
        "cs224n": read_cs224n,
        "csv": read_csv,
        "tsv": read_tsv,
        "jsonl": read_jsonl,
        "glue": read_glue,
        "snli": read_snli,
        "label_first": read_label_first,
        "trec": read_trec,
        "conllu": read_conllu,
        "columns": read_columns,
        "brackets": read_brackets,
        "props": read_props,
        "propositions": read_propositions,
        "squad": read_squad,
    }
)

ENDINGS: Mapping[str, FileFormat] = MappingProxyType(
    {
        ".csv": "csv",
        ".tsv": "tsv",
        ".jsonl": "jsonl",
        ".json": "squad",
        ".conllu": "conllu",
        **dict.fromkeys((".conll", ".bio", ".iob", ".iob2"), "columns"),
        **dict.fromkeys((".ptb", ".mrg", ".bracket"), "brackets"),
        **dict.fromkeys((".props", ".gold_conll"), "props"),
    }
)
"""The format that a file's ending stands for under ``format: auto``."""

LAYERS: Mapping[FileFormat, tuple[str, ...]] = MappingProxyType(
    {
        "conllu": ("lemmas", "upos", "xpos", "dependencies", "deprels"),
        "brackets": ("tags", "constituents", "tree"),
        "props": ("pos", "propositions"),
    }
)
"""What formats annotate side by side, by the names of the columns that their readers give."""
