"""What readers give and tasks take: examples, in the order of their file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

__all__ = ["DataSet", "Example", "Refusal", "Split", "Wanted"]


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a data set: a sentence, a pair, a proposition, a question.

    Attributes:
        id: the data set's own id, or the line number as text.
        texts: the one or two texts as they stand in the file.
        label: the gold label, as the task's ``read_label`` made it; a float, a string, or a structure.
        line: 1-based line (or item) of the file, for messages.
        words: the words where the data set gives them (sequence tasks), else None.
    """

    id: str
    texts: tuple[str, ...]
    label: Any
    line: int
    words: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not read, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class Split:
    """One split of a data set as read.

    Attributes:
        examples: what was read, in file order.
        refused: what was not, with line numbers.
        file: the path, or ``hub:OWNER/NAME:split``.
        sha256: hash of the file's bytes (of the rows, for a hub data set), hexadecimal.
    """

    examples: tuple[Example, ...]
    refused: tuple[Refusal, ...]
    file: str
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """A task's data as read: its splits, where they were found, and what was noticed.

    Attributes:
        name: what the config calls it.
        origin: ``path``, ``data folder``, ``hub`` or ``sample``: which rule found it.
        where: the folder or hub name it was read from.
        splits: ``train``, ``dev`` and, where there is one, ``test``.
        shared: number of dev and test examples whose texts also stand in train, per split.
    """

    name: str
    origin: str
    where: str
    splits: dict[str, Split]
    shared: dict[str, int]

    @property
    def content_hash(self) -> str:
        """Hash over the contents of all splits, 16 hexadecimal digits."""
        parts = "\n".join(f"{name} {split.sha256}" for name, split in sorted(self.splits.items()))
        return sha256(parts.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Wanted:
    """What a task needs of each row.

    Attributes:
        num_texts: 1 or 2.
        read_label: turns the label's text into a label; raises ValueError with the reason to refuse the row.
    """

    num_texts: int
    read_label: Callable[[str], Any]
