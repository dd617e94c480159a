"""JSON Schema of a space file, by which editors complete and check YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from mtsearch.config.space import space_schema
from mtsearch.config.syntax import NEVER_SEARCHED

__all__ = ["json_schema"]

_TAGS = ("name", "kind")  # of a method, and of a task
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/"

Schema = dict[str, Any]


def json_schema(plugins: tuple[str, ...] = ()) -> Schema:
    """The schema (draft 2020-12) of a space file, domains among it.

    It is for editors: it admits all that loads and refuses misspelt keys and values of the wrong type; rules about
    ranges and across fields are the loader's.

    Args:
        plugins: modules whose tasks and methods are legal too.

    Raises:
        PluginError: a plugin that cannot be used.
    """
    root: Schema = space_schema(plugins).model_json_schema()
    definitions: dict[str, Schema] = root.pop("$defs")
    for model in (root, *definitions.values()):
        _tidy(model)
    never_searched = set(_references({key: root["properties"][key] for key in NEVER_SEARCHED}, definitions))
    opening = _Opening(definitions)
    for name in set(definitions) - never_searched:
        opening.open_fields(definitions[name], _closed(name))
    opening.open_fields(root, NEVER_SEARCHED)
    return {
        "$schema": _DIALECT,
        **root,
        "title": "mtsearch space",
        "$defs": {**definitions, **opening.labelled, **_ranges()},
    }


def _tidy(model: Schema) -> None:
    """No titles that repeat the key; a method's name is required, since it tells the methods apart."""
    model.pop("title", None)
    names = [key for key, field in model.get("properties", {}).items() if "const" in field and key in _TAGS]
    for field in model.get("properties", {}).values():
        field.pop("title", None)
    if names:
        model["required"] = [*model.get("required", ()), *names]


def _references(schema: Any, definitions: Mapping[str, Schema]) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REF)
            yield name
            yield from _references(definitions[name], definitions)
        for value in schema.values():
            yield from _references(value, definitions)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value, definitions)


class _Opening:
    """Lets domains in: at every field but the closed ones, in every entry of a mapping and of a list."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = deepcopy(dict(definitions))
        self.labelled: dict[str, Schema] = {}

    def open_fields(self, model: Schema, closed: tuple[str, ...]) -> None:
        """Lets domains into ``model``'s fields, in place."""
        for key, field in model.get("properties", {}).items():
            if key not in closed and "const" not in field:
                model["properties"][key] = self._opened(field)

    def _opened(self, schema: Schema) -> Schema:
        about: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
        plain = [self._opened_inside(alternative) for alternative in _alternatives(schema)]
        return {**about, "anyOf": [*plain, *self._domains(schema)]}

    def _opened_inside(self, schema: Schema) -> Schema:
        result = dict(schema)
        for key in ("additionalProperties", "items"):
            if isinstance(result.get(key), dict):
                result[key] = self._opened(result[key])
        return result

    def _domains(self, schema: Schema) -> list[Schema]:
        plain = _alternatives(schema)
        types = {alternative.get("type") for alternative in plain}
        domains = [{"$ref": f"{_REF}FloatRange"}] if "number" in types else []
        domains += [{"$ref": f"{_REF}IntRange"}] if types & {"number", "integer"} else []
        domains += [{"$ref": f"{_REF}SameAs"}]
        domains += [self._subsets(alternative) for alternative in plain if _is_of_methods(alternative)]
        # An option may leave a task out by null, and nests another choice.
        values = [*map(self._opened_inside, plain), {"type": "null"}, *domains, {"$ref": f"{_REF}InnerChoice"}]
        option = {"anyOf": [*map(self._with_label, values), _record(label={"type": _LABEL}, value={"anyOf": values})]}
        return [*domains, _record(choice={"type": "array", "minItems": 1, "items": option})]

    def _subsets(self, schema: Schema) -> Schema:
        """Sets of the entries of a mapping; either the sizes may be left out or the sets."""
        names: Schema = {"type": "array", "minItems": 1, "items": {"type": "string"}}
        parts: Schema = {
            "of": self._opened_inside(schema),
            "sizes": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1}},
            "sets": {"type": "array", "minItems": 1, "items": names},
        }
        subsets = {**_record(**parts), "required": ["of"], "anyOf": [{"required": ["sizes"]}, {"required": ["sets"]}]}
        return _record(subsets=subsets)

    def _with_label(self, schema: Schema) -> Schema:
        """``schema`` where an option may carry its label among its own keys."""
        if "oneOf" in schema:
            return {**schema, "oneOf": [self._with_label(member) for member in schema["oneOf"]]}
        name = schema.get("$ref", "").removeprefix(_REF)
        if "properties" not in self._definitions.get(name, {}):
            return schema
        if f"{name}Option" not in self.labelled:
            model = self.labelled[f"{name}Option"] = deepcopy(self._definitions[name])
            self.open_fields(model, _closed(name))
            model["properties"] = {
                "label": {"type": _LABEL, "description": "The option's name."},
                **model["properties"],
            }
        return {"$ref": f"{_REF}{name}Option"}


def _closed(model: str) -> tuple[str, ...]:
    return ("seed",) if model == "Training" else ()


_LABEL = ["string", "number", "boolean"]


def _alternatives(schema: Schema) -> list[Schema]:
    if "anyOf" in schema:
        return list(schema["anyOf"])
    return [{key: value for key, value in schema.items() if key not in ("description", "default", "discriminator")}]


def _is_of_methods(schema: Schema) -> bool:
    """Whether it is a mapping from names to configs: that of the tasks."""
    values = schema.get("additionalProperties")
    return isinstance(values, dict) and ("oneOf" in values or "$ref" in values)


def _record(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _ranges() -> dict[str, Schema]:
    def numbers(kind: str, least: int, most: int) -> Schema:
        return {"type": "array", "items": {"type": kind}, "minItems": least, "maxItems": most}

    def about(text: str, *options: Schema) -> Schema:
        return {"description": text, "anyOf": list(options)}

    return {
        "FloatRange": about(
            "Real numbers: [low, high], or on the grid low + k·step: [low, high, step].",
            _record(uniform=numbers("number", 2, 2)),
            _record(loguniform=numbers("number", 2, 2)),
            _record(quniform=numbers("number", 3, 3)),
            _record(qloguniform=numbers("number", 3, 3)),
        ),
        "IntRange": about(
            "Integers: [low, high], or [low, high, step].",
            _record(int=numbers("integer", 2, 3)),
            _record(logint=numbers("integer", 2, 2)),
        ),
        "SameAs": about("What stands at another path.", _record(same_as={"type": "string"})),
        "InnerChoice": about("A choice within a choice.", _record(choice={"type": "array", "minItems": 1})),
    }
