"""Writes the tables of docs/SPACE.md: every key of a space, from the schema by which a space is read.

python docs/space.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtsearch.config.domains import number_text, scalar_text
from mtsearch.config.space import space_schema

PAGE = Path(__file__).parent / "SPACE.md"

BEGIN = "## The whole\n"


def page(text: str) -> str:
    """``text``, docs/SPACE.md, with what the schema says now from ``BEGIN`` on; before it stands what people write."""
    opening = text.partition(BEGIN)[0]
    return opening + "\n".join(_Reference(space_schema(()).model_json_schema()).lines()).rstrip("\n") + "\n"


class _Reference:
    """The schema as Markdown: a section for each key of a space, and one for each object within."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._keys = schema["properties"]
        self._objects = schema["$defs"]
        paths: dict[str, list[str]] = {}
        for key, field in self._keys.items():
            self._visit(key, field, paths)
        self._titles = {name: _common(places) for name, places in paths.items()}

    def _visit(self, path: str, field: dict[str, Any], paths: dict[str, list[str]]) -> None:
        """Under which keys each object may stand, with the name or kind that tells it from others there."""
        for name in _references(field):
            inner = self._objects[name]["properties"]
            tag = next((inner[tag]["const"] for tag in ("name", "kind") if "const" in inner.get(tag, {})), None)
            paths.setdefault(name, []).append(f"{path}: {tag}" if tag else path)
            for key, inner_field in inner.items():
                self._visit(f"{path}.{tag or ''}.{key}".replace("..", "."), inner_field, paths)

    def lines(self) -> Iterator[str]:
        yield BEGIN
        yield from self._table(self._keys)
        for key in self._keys:
            names = [name for name, title in self._titles.items() if re.match(rf"{key}\b", title)]
            if names and key not in self._titles.values():
                yield f"## {key}\n"
            for name in names:
                title = self._titles[name]
                yield f"{'##' if title == key else '###'} {title}\n"
                yield self._about(name) + "\n"
                yield from self._table(self._objects[name]["properties"])

    def _table(self, fields: dict[str, Any]) -> Iterator[str]:
        rows = {key: field for key, field in fields.items() if "const" not in field}
        if rows:
            yield "| key | value | default | |\n|---|---|---|---|"
            for key, field in rows.items():
                about = field.get("description") or self._about(_name(field))  # left out where it is the object's
                yield f"| `{key}` | {self._value(field)} | {_default(field)} | {_in_one_line(about)} |"
            yield ""

    def _about(self, name: str) -> str:
        """The first paragraph of what is said of an object."""
        return _in_one_line(self._objects[name]["description"].partition("\n\n")[0])

    def _value(self, field: dict[str, Any]) -> str:
        if alternatives := _alternatives(field):
            return ", ".join(dict.fromkeys(map(self._value, alternatives)))
        if "$ref" in field:
            title = self._titles[_name(field)]
            return f"[{title.rpartition(': ')[2] if ': ' in title else 'keys'}](#{_anchor(title)})"
        if "const" in field or "enum" in field:
            return ", ".join(f"`{scalar_text(value)}`" for value in field.get("enum") or [field["const"]])
        if field["type"] == "array":
            return f"list of {self._value(field['items'])}"
        if field["type"] == "object":
            inner = field.get("additionalProperties")
            if isinstance(inner, dict) and any(_references(inner)):
                return f"NAME: {self._value(inner)}"
            return "mapping"
        words = {"string": "text", "boolean": "`true`, `false`", "null": "`null`"}
        return _between(field, words.get(field["type"], field["type"]))


def _common(paths: list[str]) -> str:
    """One title for an object that may stand under several keys: NAME is in the place of what differs."""
    parts = zip(*(path.split(".") for path in paths), strict=True)
    return ".".join(part[0] if len(set(part)) == 1 else "NAME" for part in parts)


def _alternatives(field: dict[str, Any]) -> list[dict[str, Any]]:
    return list(field.get("anyOf") or field.get("oneOf") or ())


def _references(field: dict[str, Any]) -> Iterator[str]:
    if "$ref" in field:
        yield _name(field)
    inner = [field[key] for key in ("items", "additionalProperties") if isinstance(field.get(key), dict)]
    for part in [*_alternatives(field), *inner]:
        yield from _references(part)


def _name(field: dict[str, Any]) -> str:
    return str(field["$ref"]).rpartition("/")[2]


def _between(field: dict[str, Any], kind: str) -> str:
    """``0 ≤ number < 1``, ``integer > 0``."""
    low, high = (
        next(((sign, number_text(field[key])) for key, sign in signs.items() if key in field), None)
        for signs in ({"minimum": "≥", "exclusiveMinimum": ">"}, {"maximum": "≤", "exclusiveMaximum": "<"})
    )
    if low and high:
        return f"{low[1]} {'≤' if low[0] == '≥' else '<'} {kind} {high[0]} {high[1]}"
    return " ".join([kind, *(low or high or ())])


def _default(field: dict[str, Any]) -> str:
    """Of an object its name; what else it has by default, its own table says."""
    if "default" not in field:
        return ""
    value = field["default"]
    if isinstance(value, dict):
        return f"`{value['name']}`" if "name" in value else ""
    return f"`{json.dumps(value).replace(chr(34), '')}`" if isinstance(value, list) else f"`{scalar_text(value)}`"


def _in_one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
