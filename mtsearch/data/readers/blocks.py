"""Files with a line for each word and a blank line after each sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.table import Row, Table

__all__ = ["Block", "BrokenLineError", "Split", "read_blocks", "sentence_id", "separator", "without_comments"]

Block = Sequence[tuple[int, str]]
"""The lines of one sentence with their 1-based numbers."""

Split = Callable[[str], list[str]]
"""Splits a line into its columns."""


class BrokenLineError(ValueError):
    """A line for which its sentence is refused, and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read_blocks(
    lines: Sequence[str], columns: tuple[str, ...], read: Callable[[Block], Sequence[object] | None]
) -> Table:
    """The table of a file with blank lines between sentences; a line of white space is blank.

    Args:
        lines: physical lines without their ends.
        columns: the table's columns.
        read: gives the values of one sentence, or None for lines that are none; raises :class:`BrokenLineError`.
    """
    rows: list[Row] = []
    refused: list[Refusal] = []
    for block in _blocks(lines):
        try:
            values = read(block)
        except BrokenLineError as broken:
            refused.append(Refusal(broken.line, str(broken)))
        else:
            if values is not None:
                rows.append((block[0][0], values))
    return Table(columns, rows, refused)


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    for is_blank, group in groupby(enumerate(lines, 1), lambda numbered: not numbered[1].strip()):
        if not is_blank:
            yield list(group)


def separator(lines: Sequence[str]) -> Split:
    """How the columns of these lines are separated: by one tab each if most lines have tabs, else by blanks."""
    filled = [line for line in lines if line.strip()]
    if 2 * sum("\t" in line for line in filled) > len(filled):
        return lambda line: line.rstrip().split("\t")
    return lambda line: [column for column in line.rstrip().split(" ") if column]


def without_comments(block: Block, split: Split) -> tuple[list[str], Block]:
    """The comments before a sentence, and its lines.

    A comment begins with ``# ``, as may a line whose word is ``#``: that one has as many columns as the last line.
    """
    width = len(split(block[-1][1]))
    start = 0
    while block[start][1].startswith("# ") and len(split(block[start][1])) != width:
        start += 1
    return [line for _, line in block[:start]], block[start:]


def sentence_id(comments: Sequence[str], line: int) -> str:
    """What the comment ``# sent_id = ID`` says, else the line's number as text."""
    for comment in comments:
        key, equals, value = comment.lstrip("#").partition("=")
        if equals and key.strip() == "sent_id" and value.strip():
            return value.strip()
    return str(line)
