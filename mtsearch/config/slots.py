"""What the schema admits at a place of a config: one view of a field's annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mtsearch.config.base import PathMark
from mtsearch.config.domains import scalar_text

__all__ = ["Slot", "alternatives"]


@dataclass(frozen=True)
class Slot:
    """A place in a config.

    Attributes:
        annotation: the type of what goes there.
        discriminator: the key that tells the members of a union apart (``name``, ``kind``), or None.
        doc: the field's documentation.
        may_be_path: whether a text there may be a path.
    """

    annotation: Any
    discriminator: str | None = None
    doc: str = ""
    may_be_path: bool = False

    @cached_property
    def members(self) -> tuple[Any, ...]:
        """The alternatives of the annotation, unions and annotations unwrapped."""
        return tuple(member for member, _ in _flat(self.annotation))

    @cached_property
    def models(self) -> tuple[type[BaseModel], ...]:
        """The alternatives that are configs."""
        return tuple(member for member in self.members if isinstance(member, type) and issubclass(member, BaseModel))

    @cached_property
    def tags(self) -> Mapping[str, type[BaseModel]]:
        """The configs by the value of the discriminator."""
        if self.discriminator is None:
            return {}
        return {
            tag: model for model in self.models for tag in get_args(model.model_fields[self.discriminator].annotation)
        }

    @property
    def keys(self) -> tuple[str, ...]:
        """All field names of the configs that can stand here."""
        return tuple(dict.fromkeys(key for model in self.models for key in model.model_fields))

    @property
    def mapping_of(self) -> Slot | None:
        """What the values are, where a mapping with free keys can stand here."""
        return next((_slot(get_args(member)[1]) for member in self.members if get_origin(member) is dict), None)

    def narrowed(self, tag: Any) -> Slot:
        """The one member of the union that ``tag`` names; this slot where it names none."""
        model = self.tags.get(tag) if isinstance(tag, str) else None
        return self if model is None else Slot(model, None, self.doc)

    def child(self, key: str | int) -> Slot | None:
        """The place at a key or index, or None where the schema has none."""
        if isinstance(key, int):
            lists = [member for member in self.members if get_origin(member) in (tuple, list)]
            return _slot(get_args(lists[0])[0]) if lists else None
        for model in self.models:
            if key in model.model_fields:
                return _field_slot(model.model_fields[key])
        return self.mapping_of

    def words(self) -> str:
        """What goes here, in words: ``a number or null``."""
        return alternatives(list(dict.fromkeys(word for member in self.members for word in _words(member))))


def alternatives(words: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _slot(annotation: Any, doc: str = "") -> Slot:
    return Slot(annotation, next((found for _, found in _flat(annotation) if found), None), doc)


def _field_slot(field: FieldInfo) -> Slot:
    slot = _slot(field.annotation, field.description or "")
    own = field.discriminator if isinstance(field.discriminator, str) else None
    return Slot(slot.annotation, own or slot.discriminator, slot.doc, _is_marked(field))


def _is_marked(field: FieldInfo) -> bool:
    # Of an optional one the mark is on the union's member.
    members = (get_args(member) for member in get_args(field.annotation) if get_origin(member) is Annotated)
    return any(isinstance(item, PathMark) for item in (*field.metadata, *(item for args in members for item in args)))


def _flat(annotation: Any, discriminator: str | None = None) -> Iterator[tuple[Any, str | None]]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        for item in metadata:
            if isinstance(item, FieldInfo) and isinstance(item.discriminator, str):
                discriminator = item.discriminator
        yield from _flat(inner, discriminator)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _flat(member, discriminator)
    else:
        yield annotation, discriminator


def _words(member: Any) -> list[str]:
    plain = {float: "a number", int: "an integer", str: "text", bool: "true or false", NoneType: "null"}
    if member in plain:
        return [plain[member]]
    origin = get_origin(member)
    if origin is Literal:
        return [scalar_text(value) for value in get_args(member)]
    return ["a list"] if origin in (tuple, list) else ["a mapping"]
