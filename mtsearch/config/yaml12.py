"""YAML 1.2 text as nodes that know their line and column.

PyYAML scans and parses; the rules are ours: the core schema of YAML 1.2 (``1e-5`` is a number, ``no`` is
text), no explicit tags, no duplicate keys, and a bound on what aliases may expand to.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.representer import SafeRepresenter
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from mtsearch.config.domains import Scalar
from mtsearch.config.nodes import Entry, Fields, Items, Leaf, Node, Where
from mtsearch.errors import ConfigError

__all__ = ["dump", "flow", "parse"]

MAX_NODES = 20_000

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = [  # https://yaml.org/spec/1.2.2/#1032-tag-resolution, and the merge key of YAML 1.1
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
]


class _CoreResolver(BaseResolver):
    """Tags of plain scalars by the core schema."""


class _Loader(Reader, Scanner, Parser, Composer, _CoreResolver):
    """From text to PyYAML's nodes; objects are never constructed."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _CoreResolver.__init__(self)
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._count += 1
        if self._count > MAX_NODES:  # PyYAML takes a kilobyte for each
            raise yaml.MarkedYAMLError(problem=f"it has more than {MAX_NODES:,} values", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem=f"the tag {event.tag.replace(_TAG, '!!')} is refused, as all are", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


class _Representer(SafeRepresenter):
    """How we write plain data."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        short = all(not isinstance(item, dict | list) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=short)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style=not mapping)
        # A domain stands on one line.
        if len(node.value) == 1 and isinstance(node.value[0][1], yaml.SequenceNode):
            node.flow_style = node.value[0][1].flow_style
        return node


class _Dumper(_Representer, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # in C where it can be
    """Writes what both YAML 1.1 and 1.2 read the same way: text that either takes for another type is quoted."""


for _name, _pattern, _first in _CORE_SCHEMA:
    for _class in (_CoreResolver, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def parse(text: str, source: str, *, numbered: bool = True) -> Node:
    """The one document in ``text``.

    Args:
        text: YAML 1.2.
        source: what messages call it: the file, or the ``--set`` argument.
        numbered: whether messages give line and column.

    Raises:
        ConfigError: not YAML, or more than we read; located.
    """
    try:
        root = _Loader(text).get_single_node()
        return _Nodes(source, numbered).node(root) if root is not None else Leaf(None, _at(source, numbered, 0, 0))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = _at(source, numbered, mark.line, mark.column) if mark else Where(source)
        # PyYAML tells some problems in two halves: "expected a single document", "but found another".
        halves = (error.context, error.problem) if str(error.problem).startswith("but ") else (error.problem,)
        problem = " ".join(filter(None, halves))
        remedy = "; indent with spaces" if "\\t" in str(error.problem) else ""
        raise ConfigError(f"{where}: not valid YAML: {problem}{remedy}") from None
    except ReaderError as error:
        before = text[: error.position]
        where = _at(source, numbered, before.count("\n"), error.position - (before.rfind("\n") + 1))
        raise ConfigError(f"{where}: not valid YAML: the character U+{error.character:04X} is not allowed") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply for a config") from None


def dump(value: Any) -> str:
    """Plain data as YAML text that :func:`parse` reads back equal."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def flow(value: Scalar) -> str:
    """A scalar as :func:`parse` reads it back, without a line's end."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def _at(source: str, numbered: bool, line: int, column: int) -> Where:
    return Where(source, line + 1, column + 1) if numbered else Where(source)


class _Nodes:
    """PyYAML's nodes as ours, aliases expanded."""

    def __init__(self, source: str, numbered: bool) -> None:
        self._source = source
        self._numbered = numbered
        self._count = 0
        self._open: set[int] = set()

    def node(self, node: yaml.Node) -> Node:
        where = self._where(node)
        self._count += 1
        if self._count > MAX_NODES:
            raise ConfigError(f"{where}: its aliases expand to more than {MAX_NODES:,} values")
        if id(node) in self._open:
            raise ConfigError(f"{where}: an alias must not stand inside what it names")
        self._open.add(id(node))
        try:
            if isinstance(node, ScalarNode):
                return Leaf(self._scalar(node), where)
            if isinstance(node, SequenceNode):
                return Items(tuple(self.node(child) for child in node.value), where)
            return Fields(self._entries(node), where)
        finally:
            self._open.discard(id(node))

    def _entries(self, node: yaml.Node) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        seen: dict[str, Where] = {}
        for key_node, value_node in node.value:
            where = self._where(key_node)
            key = self._key(key_node)
            if key in seen:
                raise ConfigError(f"{where}: the key {key!r} stands here twice, first at {seen[key]}; remove one")
            seen[key] = where
            if key_node.tag == _TAG + "merge":
                for part in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                    fields = self.node(part)
                    if not isinstance(fields, Fields):
                        raise ConfigError(f"{self._where(part)}: << takes a mapping or a list of mappings")
                    merged = {**fields.entries, **merged}
            else:
                own[key] = Entry(self.node(value_node), where)
        return {**merged, **own}

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, ScalarNode) or node.tag not in (_TAG + "str", _TAG + "merge"):
            found = node.value if isinstance(node, ScalarNode) else "a list or mapping"
            raise ConfigError(f"{self._where(node)}: a key must be text, but got {found}; quote it")
        return str(node.value)

    def _scalar(self, node: ScalarNode) -> Scalar:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                if len(text) > 100:
                    raise ConfigError(f"{self._where(node)}: an integer of {len(text)} digits is too long")
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            case _:
                return text

    def _where(self, node: yaml.Node) -> Where:
        return _at(self._source, self._numbered, node.start_mark.line, node.start_mark.column)
