"""What every reader of a file gives: named columns and the rows of the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mtsearch.data.examples import Refusal

__all__ = ["Reader", "Row", "Table", "numbered"]

Row = tuple[int, Sequence[object]]
"""The 1-based line on which a row begins, and its values in column order."""


@dataclass(frozen=True)
class Table:
    """A file as rows of values.

    Attributes:
        columns: names, in the order of a row's values.
        rows: those of the right width, in file order.
        refused: those that could not be split into columns.
        num_unlabelled: rows left out because the data set itself gives them no label; they are not broken.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]
    refused: Sequence[Refusal] = ()
    num_unlabelled: int = 0


class Reader(Protocol):
    """Reads one format."""

    def __call__(self, lines: Sequence[str], has_header: bool) -> Table:
        """The table of a file.

        Args:
            lines: the file's physical lines without their ends; at least one.
            has_header: False says that a delimited file begins with a row; its columns are then numbered from 1.
        """


def numbered(width: int) -> tuple[str, ...]:
    """Column names of a file without a header: 1, 2, ..."""
    return tuple(str(number) for number in range(1, width + 1))
