"""The tree a space is read into: values and domains, each with the place where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mtsearch.config.domains import Float, Int, Scalar, scalar_text
from mtsearch.errors import ConfigError

__all__ = [
    "Choice",
    "Entry",
    "Fields",
    "Items",
    "Leaf",
    "Located",
    "Node",
    "Open",
    "Option",
    "Path",
    "Place",
    "SameAs",
    "Subsets",
    "Where",
    "branch_name",
    "child_name",
    "dotted",
    "from_plain",
    "may_be_null",
    "places_of",
]

Path = tuple[str | int, ...]
"""Keys and list indexes from the top of a config; written with dots."""


@dataclass(frozen=True)
class Where:
    """A place that a person can go to: ``file:line:column``, or a ``--set`` argument.

    Attributes:
        source: the file as it was named, or the whole ``--set`` argument.
        line: from 1; None for a ``--set``.
        column: from 1; None for a ``--set``.
    """

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Place:
    """Where a path's key and its value are written."""

    key: Where | None
    value: Where | None


Located = Mapping[Path, Place]
"""The places of a config's paths."""


# Two spaces are equal if they say the same wherever it stands: places are not compared. They are None where there
# is no text (the Python API).


@dataclass(frozen=True)
class Leaf:
    """A fixed value."""

    value: Scalar
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Items:
    """A list."""

    nodes: tuple[Node, ...]
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Entry:
    """One key's node in a mapping; ``where`` is the key's, ``given`` is False for a default that was filled in."""

    node: Node
    where: Where | None = field(default=None, compare=False, repr=False)
    given: bool = field(default=True, compare=False, repr=False)


@dataclass(frozen=True)
class Fields:
    """A mapping."""

    entries: Mapping[str, Entry]
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Open:
    """A number to be searched, with the places of its two ends."""

    domain: Float | Int
    where: Where | None = field(default=None, compare=False, repr=False)
    low_where: Where | None = field(default=None, compare=False, repr=False)
    high_where: Where | None = field(default=None, compare=False, repr=False)

    def where_of(self, value: float) -> Where | None:
        """The place that says ``value``: an end of the range, else the domain."""
        return {self.domain.low: self.low_where, self.domain.high: self.high_where}.get(value, self.where)


@dataclass(frozen=True)
class Option:
    """One option of a choice; ``key`` is what a suggestion names it by: a plain value itself, else its label."""

    key: Scalar
    node: Node
    where: Where | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The key as text."""
        return scalar_text(self.key)


@dataclass(frozen=True)
class Choice:
    """One of several nodes."""

    options: tuple[Option, ...]
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Subsets:
    """Some of a mapping's entries: one of several sets of its keys, each in the order of the mapping."""

    entries: Mapping[str, Entry]
    sets: tuple[tuple[str, ...], ...]
    where: Where | None = field(default=None, compare=False, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """What a suggestion names the sets by: ``pos+ner``."""
        return tuple(map("+".join, self.sets))

    def labels_with(self, key: str) -> tuple[str, ...]:
        """The sets that ``key`` is in."""
        return tuple("+".join(keys) for keys in self.sets if key in keys)

    def taken(self, label: str) -> Mapping[str, Entry]:
        """The entries of the set that ``label`` names."""
        return {key: self.entries[key] for key in self.sets[self.labels.index(label)]}


@dataclass(frozen=True)
class SameAs:
    """Whatever stands at another path of the same config."""

    target: Path
    where: Where | None = field(default=None, compare=False, repr=False)


Node = Leaf | Items | Fields | Open | Choice | Subsets | SameAs


def from_plain(value: Any, path: Path = (), where: Where | None = None, *, given: bool = True) -> Node:
    """Python data as nodes.

    Args:
        value: mappings with text keys, lists or tuples, and scalars.
        path: where in the config this is, for messages.
        where: the place all nodes get.
        given: False where the data are defaults.

    Raises:
        ConfigError: something else is in it.
    """
    match value:
        case None | bool() | int() | float() | str():
            return Leaf(value, where)
        case PurePath():
            return Leaf(str(value), where)
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise ConfigError(f"{dotted(path) or 'the config'}: a key must be text, but got {key!r}")
            return Fields(
                {
                    key: Entry(from_plain(child, (*path, key), where, given=given), where, given)
                    for key, child in value.items()
                },
                where,
            )
        case list() | tuple():
            return Items(
                tuple(from_plain(child, (*path, i), where, given=given) for i, child in enumerate(value)), where
            )
        case _:
            raise ConfigError(
                f"{dotted(path) or 'the config'}: must be plain data (mappings, lists, text, numbers, true, false, "
                f"null), but got {value!r}"
            )


def may_be_null(node: Node) -> bool:
    """Whether null can stand there."""
    if isinstance(node, Choice):
        return any(may_be_null(option.node) for option in node.options)
    return isinstance(node, Leaf) and node.value is None


def places_of(node: Node, path: Path = (), key: Where | None = None) -> dict[Path, Place]:
    """The places of ``node`` and of all that is under it, domains aside."""
    places = {path: Place(key, node.where)}
    match node:
        case Fields():
            for name, entry in node.entries.items():
                places |= places_of(entry.node, (*path, name), entry.where)
        case Items():
            for i, child in enumerate(node.nodes):
                places |= places_of(child, (*path, i), child.where)
    return places


def dotted(path: Path) -> str:
    """``("tasks", "a", "metrics", 0)`` as ``tasks.a.metrics.0``."""
    return ".".join(map(str, path))


def child_name(name: str, key: str | int) -> str:
    """The name of what is under a key or index: ``optimizer[sophiah].lr``; empty is the top's."""
    return f"{name}.{key}" if name else str(key)


def branch_name(name: str, label: str) -> str:
    """The name of an option of a choice: ``optimizer[sophiah]``."""
    return f"{name}[{label}]"
