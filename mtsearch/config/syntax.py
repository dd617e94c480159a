"""How domains are written in a space: from plain nodes to nodes with domains, and back to plain data.

::

    {uniform: [low, high]}         {loguniform: [low, high]}          real numbers
    {quniform: [low, high, step]}  {qloguniform: [low, high, step]}   the same on the grid low + k·step
    {int: [low, high]}             {int: [low, high, step]}           integers
    {logint: [low, high]}                                             integers, evenly on a logarithmic scale
    {choice: [...]}                                                   any nodes: values, sub-trees, domains
    {subsets: {of: {...}, sizes: [1, 2], sets: [[NAME, ...]]}}        under tasks: all sets of these sizes, and these
    {same_as: optimizer.lr}                                           what stands there

An option's label is its ``label:`` (beside ``value:``, or inside a sub-tree); without one a plain value is
its own, a sub-tree takes its ``name`` or ``kind``, a domain its keyword, a set of tasks their names: ``pos+ner``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from mtsearch.config.domains import KEYWORDS, Float, Int, Scalar, grid_end, number_text, same_scalar, scalar_text
from mtsearch.config.messages import Problem, did_you_mean, shown
from mtsearch.config.nodes import (
    Choice,
    Entry,
    Fields,
    Items,
    Leaf,
    Node,
    Open,
    Option,
    Path,
    SameAs,
    Subsets,
    Where,
    dotted,
    may_be_null,
)
from mtsearch.config.slots import Slot

__all__ = ["NEVER_SEARCHED", "read", "written"]

NEVER_SEARCHED = ("name", "plugins", "search", "resources", "environment")
_MOST_SETS = 1_000


class _BrokenDomainError(Exception):
    """A domain that breaks a rule; becomes a Problem."""

    def __init__(self, where: Where | None, message: str) -> None:
        super().__init__(message)
        self.where, self.message = where, message


def read(node: Node, path: Path, slot: Slot | None, problems: list[Problem]) -> Node:
    """``node`` with the domains in it.

    Args:
        node: plain nodes: leaves, lists and mappings.
        path: where it stands in the config.
        slot: what the schema admits there, or None where it has no such place.
        problems: gets the broken rules; the node returned is of no use then.
    """
    match node:
        case Items():
            children = [
                read(child, (*path, i), slot.child(i) if slot else None, problems) for i, child in enumerate(node.nodes)
            ]
            return Items(tuple(children), node.where)
        case Fields():
            keyword = _keyword(node)
            if keyword is None:
                return _read_fields(node, path, slot, problems)
            try:
                _refuse_closed(path, node.where)
                return _read_domain(keyword, node, path, slot, problems)
            except _BrokenDomainError as broken:
                problems.append(Problem(broken.where, dotted(path), broken.message))
                return node
        case _:
            return node


def _keyword(node: Fields) -> str | None:
    for key, entry in node.entries.items():
        if key not in KEYWORDS:
            continue
        # A task may well be called "choice": among other keys and holding a mapping, a task's, it is no domain.
        if len(node.entries) == 1 or not isinstance(entry.node, Fields) or "of" in entry.node.entries:
            return key
    return None


def _refuse_closed(path: Path, where: Where | None) -> None:
    if not path:
        raise _BrokenDomainError(where, "the whole config cannot be a domain; put domains at its leaves or sections")
    if path[0] in NEVER_SEARCHED or path == ("training", "seed"):
        reason = "; replication changes the seed" if path[-1] == "seed" and path[0] == "training" else ""
        raise _BrokenDomainError(where, f"a domain is not allowed here{reason}; write one value")


def _read_fields(node: Fields, path: Path, slot: Slot | None, problems: list[Problem]) -> Fields:
    if slot and slot.discriminator and slot.discriminator in node.entries:
        tag = node.entries[slot.discriminator].node
        if isinstance(tag, Fields):
            message = (
                f"a domain is not allowed here; choose among whole sections with "
                f"{dotted(path)}: {{choice: [{{{slot.discriminator}: ...}}, ...]}}"
            )
            problems.append(Problem(tag.where, dotted((*path, slot.discriminator)), message))
            return node
        slot = slot.narrowed(tag.value if isinstance(tag, Leaf) else None)
    entries = {
        key: Entry(
            read(entry.node, (*path, key), slot.child(key) if slot else None, problems), entry.where, entry.given
        )
        for key, entry in node.entries.items()
    }
    return Fields(entries, node.where)


def _read_domain(keyword: str, node: Fields, path: Path, slot: Slot | None, problems: list[Problem]) -> Node:
    if len(node.entries) > 1:
        others = ", ".join(key for key in node.entries if key != keyword)
        raise _BrokenDomainError(node.where, f"a domain has one key, but beside {keyword} there is {others}")
    argument = node.entries[keyword].node
    if keyword == "same_as":
        if not isinstance(argument, Leaf) or not isinstance(argument.value, str) or not argument.value:
            raise _BrokenDomainError(argument.where, "same_as takes a path, such as {same_as: optimizer.lr}")
        return SameAs(tuple(int(part) if part.isdigit() else part for part in argument.value.split(".")), node.where)
    if keyword == "choice":
        return _read_choice(argument, node.where, path, slot, problems)
    if keyword == "subsets":
        return _read_subsets(argument, node.where, path, slot, problems)
    return _read_range(keyword, argument, node.where)


def _read_range(keyword: str, argument: Node, where: Where | None) -> Open:
    stepped, log, integers = keyword.startswith("q"), "log" in keyword, "int" in keyword
    wanted = (
        "[low, high, step]" if stepped else "[low, high] or [low, high, step]" if keyword == "int" else "[low, high]"
    )
    lengths = (3,) if stepped else (2, 3) if keyword == "int" else (2,)
    if not isinstance(argument, Items) or len(argument.nodes) not in lengths:
        found = f"a list of {len(argument.nodes)}" if isinstance(argument, Items) else _found(argument)
        raise _BrokenDomainError(argument.where, f"{keyword} takes {wanted}, but got {found}")
    numbers = [_number(child, keyword, int if integers else float) for child in argument.nodes]
    low, high, *steps = numbers
    values = f"[{', '.join(map(number_text, numbers))}]"
    if not low < high:
        raise _BrokenDomainError(argument.where, f"low < high must hold, but got {keyword}: {values}")
    if log and low <= 0:
        raise _BrokenDomainError(
            argument.nodes[0].where, f"low > 0 must hold on a logarithmic scale, but got {keyword}: {values}"
        )
    if steps:
        (step,) = steps
        if step <= 0:
            raise _BrokenDomainError(argument.nodes[2].where, f"step > 0 must hold, but got {keyword}: {values}")
        if (end := grid_end(low, high, step)) != high:
            remedy = f"end at {number_text(int(end) if integers else end)}" if end > low else "take a smaller step"
            raise _BrokenDomainError(
                argument.nodes[1].where, f"high must be low + a multiple of step, but got {keyword}: {values}; {remedy}"
            )
    domain: Float | Int
    if integers:
        domain = Int(int(low), int(high), int(steps[0]) if steps else 1, log)
    else:
        domain = Float(low, high, steps[0] if steps else None, log)
    return Open(domain, where, argument.nodes[0].where, argument.nodes[1].where)


def _number(node: Node, keyword: str, kind: Callable[[float], float]) -> float:
    value = node.value if isinstance(node, Leaf) else None
    legal = int if kind is int else int | float
    if isinstance(value, bool) or not isinstance(value, legal) or not math.isfinite(value):
        noun = "integers" if kind is int else "numbers"
        raise _BrokenDomainError(node.where, f"{keyword} takes {noun}, but got {_found(node)}")
    return kind(value)


def _found(node: Node) -> str:
    if isinstance(node, Items):
        return "a list" if node.nodes else "an empty list"
    return shown(node.value) if isinstance(node, Leaf) else "a mapping"


def _read_choice(argument: Node, where: Where | None, path: Path, slot: Slot | None, problems: list[Problem]) -> Choice:
    if not isinstance(argument, Items) or not argument.nodes:
        found = "none" if isinstance(argument, Items) else _found(argument)
        raise _BrokenDomainError(argument.where, f"choice takes a list of options, but got {found}")
    options: list[Option] = []
    for number, child in enumerate(argument.nodes, start=1):
        label, body = _split_label(child, slot)
        node = read(body, path, slot, problems)
        key = label if label is not None else _own_key(node)
        if key is None and not isinstance(node, Leaf):
            raise _BrokenDomainError(child.where, f"option {number} has no name to call it by; add label: NAME to it")
        option = Option(key, node, child.where)
        for other in options:
            if other.label == option.label or other.key == option.key:
                raise _BrokenDomainError(
                    child.where,
                    f"two options are called {option.label}; tell them apart with {{label: NAME, value: ...}}",
                )
        options.append(option)
    return Choice(tuple(options), where)


def _read_subsets(
    argument: Node, where: Where | None, path: Path, slot: Slot | None, problems: list[Problem]
) -> Subsets:
    if path != ("tasks",):
        raise _BrokenDomainError(where, "subsets says which tasks a trial has, and stands under tasks alone")
    parts = argument.entries if isinstance(argument, Fields) else {}
    for key in parts:
        if key not in ("of", "sizes", "sets"):
            hint = did_you_mean(key, ("of", "sizes", "sets"))
            raise _BrokenDomainError(parts[key].where, f"subsets has of, sizes and sets, but got {key!r}; {hint}")
    of = parts["of"].node if "of" in parts else None
    if not isinstance(of, Fields) or not of.entries or len(parts) < 2:
        form = "{of: {NAME: {...}, ...}, sizes: [1, 2]}, with sets: [[NAME, ...], ...] beside sizes or in its place"
        raise _BrokenDomainError(argument.where, f"subsets takes {form}")
    entries = {
        name: Entry(read(entry.node, (*path, name), slot.child(name) if slot else None, problems), entry.where)
        for name, entry in of.entries.items()
    }
    for name, entry in entries.items():
        if may_be_null(entry.node):
            raise _BrokenDomainError(entry.where, f"{name} cannot be null; the sets say where it is left out")
    names = tuple(entries)
    sets: list[tuple[str, ...]] = []
    for found, place in itertools.chain(_sets_of_sizes(names, parts), _listed_sets(names, parts)):
        if found in sets:
            raise _BrokenDomainError(place, f"the set {'+'.join(found)} is there twice; leave one out")
        sets.append(found)
    for name, entry in entries.items():
        if not any(name in keys for keys in sets):
            raise _BrokenDomainError(entry.where, f"{name} is in none of the sets; add one with it, or leave it out")
    return Subsets(entries, tuple(sets), where)


def _sets_of_sizes(names: Sequence[str], parts: Mapping[str, Entry]) -> Iterator[tuple[tuple[str, ...], Where | None]]:
    """Every set of each size in ``sizes``, in the order of the sizes, with its place."""
    num_sets = 0
    for node in _listed(parts, "sizes"):
        size = node.value if isinstance(node, Leaf) else None
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= len(names):
            message = f"a size must be an integer from 1 to {len(names)}, the number of tasks, but got {_found(node)}"
            raise _BrokenDomainError(node.where, message)
        num_sets += math.comb(len(names), size)
        if num_sets > _MOST_SETS:
            message = f"there may be at most {_MOST_SETS:,} sets, but these sizes make {num_sets:,}; list them as sets"
            raise _BrokenDomainError(node.where, message)
        yield from ((found, node.where) for found in itertools.combinations(names, size))


def _listed_sets(names: Sequence[str], parts: Mapping[str, Entry]) -> Iterator[tuple[tuple[str, ...], Where | None]]:
    """The sets in ``sets`` with their places, each in the order of ``names``."""
    for node in _listed(parts, "sets"):
        if not isinstance(node, Items) or not node.nodes:
            raise _BrokenDomainError(node.where, f"a set is a list of tasks' names, but got {_found(node)}")
        found = []
        for child in node.nodes:
            name = child.value if isinstance(child, Leaf) else None
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise _BrokenDomainError(child.where, f"a set has the names of tasks, but got {_found(child)}; {hint}")
            if name in found:
                raise _BrokenDomainError(child.where, f"{name} is there twice in one set; leave one out")
            found.append(name)
        yield tuple(name for name in names if name in found), node.where


def _listed(parts: Mapping[str, Entry], key: str) -> Sequence[Node]:
    if key not in parts:
        return ()
    node = parts[key].node
    if not isinstance(node, Items) or not node.nodes:
        raise _BrokenDomainError(node.where, f"{key} takes a list, but got {_found(node)}")
    return node.nodes


def _split_label(node: Node, slot: Slot | None) -> tuple[str | None, Node]:
    """An option's explicit label, and the option without it."""
    if not isinstance(node, Fields) or "label" not in node.entries:
        return None, node
    if slot is not None and slot.child("label") is not None and set(node.entries) != {"label", "value"}:
        return None, node  # a field of that name, such as a column
    leaf = node.entries["label"].node
    if not isinstance(leaf, Leaf) or leaf.value in (None, ""):
        raise _BrokenDomainError(leaf.where, "a label is a name, such as {label: small, value: ...}")
    if set(node.entries) == {"label", "value"}:
        return scalar_text(leaf.value), node.entries["value"].node
    rest = {key: entry for key, entry in node.entries.items() if key != "label"}
    return scalar_text(leaf.value), Fields(rest, node.where)


def _own_key(node: Node) -> Scalar:
    """What an option is called without a label; None where it has no name (or is null)."""
    match node:
        case Leaf():
            return node.value
        case Open():
            return next(iter(node.domain.written()))
        case Choice():
            return "choice"
        case Subsets():
            return "subsets"
        case SameAs():
            return f"same_as {dotted(node.target)}"
        case Items():
            values = [child.value for child in node.nodes if isinstance(child, Leaf)]
            return f"[{', '.join(map(scalar_text, values))}]" if len(values) == len(node.nodes) else None
        case Fields():
            names = [node.entries[key].node for key in ("name", "kind") if key in node.entries]
            return next((name.value for name in names if isinstance(name, Leaf) and isinstance(name.value, str)), None)
        case _:
            assert_never(node)


def written(node: Node) -> Any:
    """Plain data that :func:`read` reads back as ``node``."""
    match node:
        case Leaf():
            return node.value
        case Items():
            return [written(child) for child in node.nodes]
        case Fields():
            return {key: written(entry.node) for key, entry in node.entries.items()}
        case Open():
            return node.domain.written()
        case SameAs():
            return {"same_as": dotted(node.target)}
        case Choice():
            return {"choice": [_written_option(option) for option in node.options]}
        case Subsets():
            of = {key: written(entry.node) for key, entry in node.entries.items()}
            return {"subsets": {"of": of, "sets": list(map(list, node.sets))}}
        case _:
            assert_never(node)


def _written_option(option: Option) -> Any:
    value = written(option.node)
    own = _own_key(option.node)
    needs_label = not same_scalar(own, option.key) or (own is None and not isinstance(option.node, Leaf))
    return {"label": option.key, "value": value} if needs_label else value
