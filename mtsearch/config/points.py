"""The points of a space that can be counted, one by one, and the sets of tasks in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain, product
from typing import Any

from mtsearch.config.domains import Scalar
from mtsearch.config.nodes import (
    Choice,
    Entry,
    Fields,
    Items,
    Node,
    Open,
    Subsets,
    branch_name,
    child_name,
    may_be_null,
)

__all__ = ["num_points", "point_at", "task_sets"]


def num_points(node: Node) -> int | None:
    """How many ways there are to settle a node; None where a range of real numbers makes them uncountable."""
    if isinstance(node, Open):
        return node.domain.size
    sizes = [[num_points(child) for _, child in children] for _, children in _alternatives(node, "")]
    if any(None in of_children for of_children in sizes):
        return None
    return sum(math.prod(size for size in of_children if size is not None) for of_children in sizes)


def point_at(root: Node, index: int) -> dict[str, Any]:
    """The dimensions' values, by name, at one of the ``num_points`` points, counted from 0.

    The dimension that is written first varies slowest; what an option searches comes right after its choice.
    """
    params: dict[str, Any] = {}
    _settle(root, "", index, params)
    return params


def _settle(node: Node, name: str, index: int, params: dict[str, Any]) -> None:
    if isinstance(node, Open):
        params[name] = node.domain.at(index)
        return
    for option, children in _alternatives(node, name):
        sizes = [_countable(child) for _, child in children]
        size = math.prod(sizes)
        if index >= size:
            index -= size
            continue
        if isinstance(node, Choice | Subsets):
            params[name] = option
        # The digits of a number whose places have these bases.
        for (name_below, child), base in zip(children, sizes, strict=True):
            size //= base
            _settle(child, name_below, index // size, params)
            index %= size
        return


def _countable(node: Node) -> int:
    size = num_points(node)
    assert size is not None, "the points of a range of real numbers cannot be counted"
    return size


def _alternatives(node: Node, name: str) -> list[tuple[Scalar, list[tuple[str, Node]]]]:
    """What can stand at a node that is no range: the option taken, if it is a choice, and the nodes there are then."""
    match node:
        case Choice():
            return [(option.key, [(branch_name(name, option.label), option.node)]) for option in node.options]
        case Subsets():
            return [(label, _named(node.taken(label), name)) for label in node.labels]
        case Fields():
            return [(None, _named(node.entries, name))]
        case Items():
            return [(None, [(child_name(name, i), child) for i, child in enumerate(node.nodes)])]
        case _:
            return [(None, [])]


def _named(entries: Mapping[str, Entry], name: str) -> list[tuple[str, Node]]:
    return [(child_name(name, key), entry.node) for key, entry in entries.items()]


def task_sets(tasks: Node) -> tuple[tuple[str, ...], ...]:
    """The sets of tasks, by name, that the ``tasks`` of a config can come to."""
    return tuple(dict.fromkeys(filter(None, _task_sets(tasks))))


def _task_sets(node: Node) -> Iterator[tuple[str, ...]]:
    match node:
        case Choice():
            for option in node.options:
                yield from _task_sets(option.node)
        case Subsets():
            yield from node.sets
        case Fields():
            may_be = [((key,), ()) if may_be_null(entry.node) else ((key,),) for key, entry in node.entries.items()]
            yield from (tuple(chain.from_iterable(keys)) for keys in product(*may_be))
