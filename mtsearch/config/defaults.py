"""Defaults of the schema, filled into a tree of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic_core import to_jsonable_python

from mtsearch.config.nodes import Choice, Entry, Fields, Items, Leaf, Node, Option, Subsets, from_plain
from mtsearch.config.slots import Slot
from mtsearch.data.source import DataSource

__all__ = ["filled"]


def filled(node: Node, slot: Slot | None) -> Node:
    """``node`` with every default in it that does not depend on a choice yet to be made.

    A data set given by its name alone becomes ``{source: NAME, ...}``. What the schema does not know, or
    requires and does not find, stays as it is for validation to tell.
    """
    if slot is None:
        return node
    match node:
        case Leaf():
            if isinstance(node.value, str) and DataSource in slot.models:
                return filled(Fields({"source": Entry(node, node.where)}, node.where), slot)
            return node
        case Items():
            return Items(tuple(filled(child, slot.child(i)) for i, child in enumerate(node.nodes)), node.where)
        case Choice():
            options = (Option(option.key, filled(option.node, slot), option.where) for option in node.options)
            return Choice(tuple(options), node.where)
        case Subsets():
            return replace(node, entries=_filled_entries(node.entries, slot))
        case Fields():
            return _filled_fields(node, method_slot(node, slot))
        case _:
            return node


def method_slot(node: Fields, slot: Slot) -> Slot:
    """``slot`` narrowed to the method that ``node`` names."""
    tag = node.entries.get(slot.discriminator or "")
    return slot.narrowed(tag.node.value) if tag and isinstance(tag.node, Leaf) else slot


def _filled_fields(node: Fields, slot: Slot) -> Fields:
    entries = _filled_entries(node.entries, slot)
    if len(slot.models) == 1 and slot.discriminator is None:
        for key, field in slot.models[0].model_fields.items():
            if key not in entries and not field.is_required():
                default = to_jsonable_python(field.get_default(call_default_factory=True))
                child = from_plain(default, where=node.where, given=False)
                entries[key] = Entry(filled(child, slot.child(key)), node.where, given=False)
    return Fields(entries, node.where)


def _filled_entries(entries: Mapping[str, Entry], slot: Slot) -> dict[str, Entry]:
    return {key: Entry(filled(entry.node, slot.child(key)), entry.where, entry.given) for key, entry in entries.items()}
