"""The pydantic base of every config: frozen, strict, without unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict

__all__ = ["Frozen", "NameOrPath", "PathMark"]


class PathMark:
    """Says of a text that it may be a path: of a space that is loaded, relative ones become absolute."""


NameOrPath = Annotated[str, PathMark()]
"""A path on this machine; or a name, where none such is there."""


class Frozen(BaseModel):
    """A config: immutable, with no coercion of types, no unknown keys, no NaN or infinity.

    The string under a field is its documentation; it becomes the description in the JSON Schema.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )
