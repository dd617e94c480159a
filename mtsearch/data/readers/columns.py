"""``word ... label`` columns, such as CoNLL-2003's four and WNUT-17's two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mtsearch.data.readers.blocks import Block, BrokenLineError, read_blocks, separator, without_comments
from mtsearch.data.readers.table import Table, numbered

__all__ = ["read_columns"]

_DOCUMENT = "-DOCSTART-"  # begins the line between two documents of CoNLL-2003


def read_columns(lines: Sequence[str], has_header: bool) -> Table:
    """One row per sentence, whose values are lists with a text for each word; the columns are numbered from 1.

    Columns are separated by tabs or by blanks. Lines of documents (``-DOCSTART-``), and comments (``# ...``) before a
    sentence, are passed over. A sentence is refused that has a line of another width than most.
    """
    split = separator(lines)
    (width, _), *_ = Counter(len(split(line)) for line in lines if line.strip()).most_common(1)

    def sentence(block: Block) -> Sequence[object] | None:
        _, rows = without_comments(block, split)
        words: list[list[str]] = []
        for line, text in rows:
            if text.startswith(_DOCUMENT):
                continue
            columns = split(text)
            if len(columns) != width:
                raise BrokenLineError(line, f"the line must have {width} columns, but has {len(columns)}")
            if "" in columns:
                raise BrokenLineError(line, f"column {columns.index('') + 1} is empty")
            words.append(columns)
        return [list(column) for column in zip(*words, strict=True)] if words else None

    return read_blocks(lines, numbered(width), sentence)
