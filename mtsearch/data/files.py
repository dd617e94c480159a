"""From a path to a table: bytes, their hash, text, lines, rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from mtsearch.data.readers import READERS, Table
from mtsearch.data.readers.table import numbered
from mtsearch.data.source import ColumnRole, FileFormat
from mtsearch.errors import DataError

__all__ = ["FilePart", "Opened", "open_file"]


@dataclass(frozen=True)
class FilePart:
    """The file of one split, and how to read it.

    Attributes:
        path: the file.
        format: a key of the readers' table.
        columns: which column holds what, as far as it is known.
        was_named: True where the catalogue or the user names the file, False where it was found by searching.
        names: what its columns are called if the file itself only numbers them; empty leaves the numbers.
    """

    path: Path
    format: FileFormat
    columns: Mapping[ColumnRole, str]
    was_named: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """One split as rows of values.

    Attributes:
        table: its rows.
        file: the path, or ``hub:OWNER/NAME:split``.
        sha256: hash of the file's bytes (of the rows, for a hub data set), hexadecimal.
        columns: which column holds what, as far as it is known.
        was_named: as in :class:`FilePart`.
    """

    table: Table
    file: str
    sha256: str
    columns: Mapping[ColumnRole, str]
    was_named: bool


def open_file(part: FilePart) -> Opened:
    """The table of one file.

    Raises:
        DataError: the file is missing, empty, or not UTF-8 text.
    """
    try:
        data = part.path.read_bytes()
    except OSError as error:
        raise DataError(f"{part.path}: the file cannot be read ({error.strerror})") from None
    # Column numbers in place of names say that there is no header.
    has_header = not (part.columns and all(name.isdigit() for name in part.columns.values()))
    table = READERS[part.format](_lines(data, part.path), has_header)
    if table.columns == numbered(len(part.names)):
        table = replace(table, columns=part.names)
    return Opened(table, str(part.path), sha256(data).hexdigest(), part.columns, part.was_named)


def _lines(data: bytes, path: Path) -> list[str]:
    """The physical lines, ended by LF or CRLF. A lone CR, or U+2028 in a text, ends none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: the file must be UTF-8, but has the byte 0x{data[error.start]:02x} where no "
            "character can begin; convert it, for example with iconv -f LATIN1 -t UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: the file must be text, but has a NUL byte; is it binary, or UTF-16?")
    if not text.strip():
        raise DataError(f"{path}: the file must hold rows, but is empty")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return lines
