"""Paths in a space, made absolute once, so that they mean the same on every worker and when a run goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mtsearch.config.defaults import method_slot
from mtsearch.config.nodes import Choice, Entry, Fields, Items, Leaf, Node, Subsets
from mtsearch.config.slots import Slot

__all__ = ["with_absolute_paths"]

_Node = TypeVar("_Node", bound=Node)


def with_absolute_paths(node: _Node, slot: Slot | None, folder: Path) -> _Node:
    """``node`` with every path in it absolute, where the schema says that one may stand.

    A text is a path if it looks like one (``./encoder``, ``~/data``) or names what is there; else it is a name of the
    catalogue or of the hub, and stays. The option of a choice keeps what it is called by.

    Args:
        node: with defaults filled in.
        slot: what the schema admits there, or None where it has no such place.
        folder: that relative paths start from.
    """
    changed: Node = node
    if slot is not None:
        match node:
            case Leaf(value=str(text)) if slot.may_be_path:
                changed = replace(node, value=_absolute(text, folder))
            case Items():
                nodes = (with_absolute_paths(child, slot.child(i), folder) for i, child in enumerate(node.nodes))
                changed = replace(node, nodes=tuple(nodes))
            case Choice():
                options = (
                    replace(option, node=with_absolute_paths(option.node, slot, folder)) for option in node.options
                )
                changed = replace(node, options=tuple(options))
            case Subsets():
                changed = replace(node, entries=_entries(node.entries, slot, folder))
            case Fields():
                changed = replace(node, entries=_entries(node.entries, method_slot(node, slot), folder))
    assert isinstance(changed, type(node))
    return changed


def _entries(entries: Mapping[str, Entry], slot: Slot, folder: Path) -> dict[str, Entry]:
    return {
        key: replace(entry, node=with_absolute_paths(entry.node, slot.child(key), folder))
        for key, entry in entries.items()
    }


def _absolute(text: str, folder: Path) -> str:
    path = Path(os.path.expanduser(text))
    is_path = text.startswith((".", "/", "~")) or (text != "" and (folder / path).exists())
    return os.path.abspath(folder / path) if is_path else text
