"""What readers give and tasks take: examples, in the order of their file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

from mtsearch.data.source import SplitName
from mtsearch.data.word_tags import TagLayer

__all__ = ["DataSet", "Example", "Origin", "Refusal", "Split", "Wanted", "WantedWords", "content_hash"]

Origin = Literal["path", "data folder", "hub", "sample"]


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a data set: a sentence, a pair, a proposition, a question.

    Attributes:
        id: the data set's own id, or the line number as text.
        texts: the one or two texts as they stand in the file.
        label: the gold label, as the task's ``read_label`` made it; a float, a string, or a structure.
        line: 1-based line (or item) of the file, for messages.
        words: the words where the data set gives them (sequence tasks), else None.
        tags: gold tags, by layer: for each text one for each of its words ("" for none), which are ``words`` where
            those are given, else what stands between white space. None unless the data set gives them.
    """

    id: str
    texts: tuple[str, ...]
    label: Any
    line: int
    words: tuple[str, ...] | None = None
    tags: Mapping[TagLayer, tuple[tuple[str, ...], ...]] | None = None


def content_hash(examples: Iterable[Example]) -> str:
    """Hash over what a task sees of examples (ids, texts, words, labels, gold tags, in order), hexadecimal."""
    digest = sha256()
    for example in examples:
        seen = (example.id, example.texts, example.words, example.label)
        gold = () if example.tags is None else (sorted(example.tags.items()),)
        digest.update(repr((*seen, *gold)).encode("utf-8", "replace"))
    return digest.hexdigest()


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

    @cached_property
    def content_hash(self) -> str:
        """Hash over the examples, hexadecimal."""
        return content_hash(self.examples)


@dataclass(frozen=True)
class DataSet:
    """A task's data as read: its splits, where they were found, and what was noticed.

    Attributes:
        name: what the config calls it.
        origin: which rule found it.
        where: the folder or hub name it was read from.
        note: how it was found and why, for people: ``sample corpus (generated), because ...``.
        splits: ``train``, ``dev`` and, where there is one, ``test``.
        shared: number of dev and test examples whose texts also stand in train, per split.
        duplicates: number of training examples whose texts stand in train before.
        remarks: what else a person should know, such as a test file without labels.
    """

    name: str
    origin: Origin
    where: str
    note: str
    splits: dict[SplitName, Split]
    shared: dict[SplitName, int]
    duplicates: int
    remarks: tuple[str, ...] = ()

    @cached_property
    def content_hash(self) -> str:
        """Hash over what the task sees of all splits, 16 hexadecimal digits.

        It is of the examples, not of the files: whatever changes them (``limit``, ``columns``, ``layer``, a
        refused label) changes it, and the same examples in another folder or format do not.
        """
        parts = "\n".join(f"{name} {split.content_hash}" for name, split in sorted(self.splits.items()))
        return sha256(parts.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Wanted:
    """What a task on texts needs of each row.

    Attributes:
        num_texts: 1 or 2.
        read_label: turns the label's text into a label; raises ValueError with the reason to refuse the row.
        structured: the label is a structure, which ``read_label`` takes as the reader gives it: the ``answers`` to a
            question, each a text and its first character in the second text.
    """

    num_texts: int
    read_label: Callable[[Any], Any]
    structured: bool = False


@dataclass(frozen=True)
class WantedWords:
    """What a task on the words of a sentence needs of each row.

    Attributes:
        columns: usual names of the label's column, without capitals, the preferred one first.
        read_label: turns what the reader gives for the label, and the words, into a label; raises ValueError with the
            reason to refuse the row. What is text in the file, such as ``"O B-PER O"``, is split at white space.
    """

    columns: tuple[str, ...]
    read_label: Callable[[Any, tuple[str, ...]], Any]

    @property
    def num_texts(self) -> int:
        """The words are one text."""
        return 1
