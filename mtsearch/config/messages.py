"""What is wrong with a config, one line a problem: where, path, rule, value, remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mtsearch.config.domains import KEYWORDS, number_text
from mtsearch.config.nodes import Located, Path, Place, Where, dotted
from mtsearch.config.slots import Slot, alternatives
from mtsearch.errors import ConfigError

__all__ = ["InvalidConfigError", "Problem", "did_you_mean", "raise_problems", "schema_problems", "shown", "unknown_key"]


@dataclass(frozen=True)
class Problem:
    """One broken rule.

    Attributes:
        where: the place to go to; None where there is no text (the Python API).
        path: the place in the config, with dots; empty for the whole.
        message: rule, value and remedy.
        crosses_fields: whether the rule is about several fields at once, so that each may be legal alone.
    """

    where: Where | None
    path: str
    message: str
    crosses_fields: bool = False

    @property
    def reason(self) -> str:
        """The problem without its place in a file."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


class InvalidConfigError(ConfigError):
    """A config that breaks rules. The message tells the first; ``problems`` has all, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = len(problems) - 1
        super().__init__(f"{problems[0]} (and {more} more)" if more else str(problems[0]))


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise InvalidConfigError if there are any.

    Raises:
        InvalidConfigError: there are.
    """
    # A --set has no line and comes first: it is what was typed last.
    found = sorted(
        dict.fromkeys(problems),
        key=lambda problem: (problem.where.line or 0, problem.where.column or 0) if problem.where else (0, 0),
    )
    if found:
        raise InvalidConfigError(found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean pooling?``, or the legal words where none is close and they are few."""
    words = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"choose {alternatives(words)}" if 0 < len(words) <= 12 else ""


def schema_problems(error: ValidationError, slot: Slot, places: Located, base: Path = ()) -> list[Problem]:
    """The problems in a pydantic error, located.

    Args:
        error: what validation of the config at ``base`` raised.
        slot: what the schema admits at ``base``.
        places: where each path is written.
        base: path of what was validated.
    """
    told: dict[str, tuple[str, Problem]] = {}
    for detail in error.errors(include_url=False):
        kind, problem = detail["type"], _problem(detail, slot, places, base)
        if kind == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic does not count the entries that are wrong, which are told
        # The alternatives of a plain union complain one by one; a broken bound says more than a wrong type.
        if problem.path not in told or (_is_wrong_type(told[problem.path][0]) and not _is_wrong_type(kind)):
            told[problem.path] = (kind, problem)
    unknown = [path for path, (kind, _) in told.items() if kind == "extra_forbidden"]
    return [
        problem
        for path, (kind, problem) in told.items()
        if not (_is_wrong_type(kind) and any(other.startswith(f"{path}.") for other in told))
        and not (kind == "missing" and _is_misspelt(path, unknown))
    ]


def _is_wrong_type(kind: str) -> bool:
    return kind.endswith("_type") or kind == "literal_error"


def _is_misspelt(missing: str, unknown: Sequence[str]) -> bool:
    """Whether a missing key stands there under a similar name, which is told instead."""
    section, _, key = missing.rpartition(".")
    keys = [other_key for other, _, other_key in (path.rpartition(".") for path in unknown) if other == section]
    return bool(difflib.get_close_matches(key, keys))


def _problem(detail: ErrorDetails, slot: Slot, places: Located, base: Path) -> Problem:
    path, slot = _walk(detail["loc"], slot, detail["type"] == "extra_forbidden")
    path = base + path
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            doc = slot.doc.replace("``", "").split("\n")[0].rstrip(".")
            return Problem(_key_of(places, path[:-1]), dotted(path), f"missing; it must be given ({_lower(doc)})")
        case "extra_forbidden":
            return Problem(_key_of(places, path), dotted(path), unknown_key(str(path[-1]), slot))
        case "union_tag_not_found":
            path = (*path, str(slot.discriminator))
            return Problem(_key_of(places, path[:-1]), dotted(path), f"missing; choose {alternatives(list(slot.tags))}")
        case "union_tag_invalid":
            path = (*path, str(slot.discriminator))
            data = detail["input"]
            tag = data.get(slot.discriminator) if isinstance(data, dict) else data
            return Problem(_value_of(places, path), dotted(path), unknown_tag(tag, path, slot))
        case "value_error":
            return _custom(str(context["error"]), path, slot, places)
        case _:
            if detail["loc"][-1:] == ("[key]",):
                words = re.findall(r"'(\w+)'", str(context.get("expected", "")))
                return Problem(
                    _key_of(places, path), dotted(path), f"unknown key; {did_you_mean(str(path[-1]), words)}"
                )
            return Problem(_value_of(places, path), dotted(path), _rule(detail, slot))


def unknown_key(key: str, slot: Slot) -> str:
    """The message for a key that the mapping at ``slot`` does not have."""
    return "; ".join(filter(None, ["unknown key", did_you_mean(key, slot.keys)]))


def _walk(loc: tuple[str | int, ...], slot: Slot, unknown_last: bool) -> tuple[Path, Slot]:
    # pydantic mixes names of union members into the path: tags of discriminated ones, which narrow what
    # follows, and made-up ones of plain unions, which are dropped.
    path: list[str | int] = []
    for i, item in enumerate(loc):
        if slot.tags and item in slot.tags:
            slot = slot.narrowed(item)
        elif unknown_last and i == len(loc) - 1:
            path.append(item)
        elif (child := slot.child(item)) is not None:
            path.append(item)
            slot = child
    return tuple(path), slot


def _rule(detail: ErrorDetails, slot: Slot) -> str:
    context, value = detail.get("ctx", {}), detail["input"]
    bounds = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="), "less_than": ("lt", "<")}
    bounds["less_than_equal"] = ("le", "<=")
    kind = detail["type"]
    if kind in bounds:
        key, sign = bounds[kind]
        return f"must be {sign} {number_text(context[key])}, but got {number_text(value)}"
    if kind in ("too_short", "too_long"):
        bound, number = (
            ("at least", context.get("min_length")) if kind == "too_short" else ("at most", context["max_length"])
        )
        noun = "entry" if number == 1 else "entries"
        return f"must have {bound} {number} {noun}, but got {context['actual_length'] or 'none'}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}, but got {shown(value)}"
    if kind == "finite_number":
        return f"must be a finite number, but got {shown(value)}"
    if _is_wrong_type(kind):
        if isinstance(value, str) and value in slot.tags:
            return f"must be a mapping: write {{{slot.discriminator}: {value}}}"
        if isinstance(value, dict) and len(value) == 1 and not slot.models and slot.mapping_of is None:
            (key,) = value
            return f"{key!r} is not a domain; {did_you_mean(key, KEYWORDS)}"
        return f"must be {slot.words()}, but got {shown(value)}"
    return _lower(detail["msg"])


def _custom(message: str, path: Path, slot: Slot, places: Located) -> Problem:
    """A validator of ours; one over a whole config names the path it means at the head of its message."""
    of_several = bool(slot.models)
    if of_several and (named := re.match(r"([A-Za-z]\S*): ", message)):
        place = next((place for path, place in places.items() if dotted(path) == named[1]), None)
        if place:
            return Problem(place.value, named[1], message[named.end() :], crosses_fields=True)
    where = _key_of(places, path) if of_several else _value_of(places, path)
    return Problem(where, dotted(path), message, crosses_fields=of_several)


def unknown_tag(tag: Any, path: Path, slot: Slot) -> str:
    """The message for a name at ``path`` that no member of the union at ``slot`` has."""
    legal = alternatives(list(slot.tags))
    if not isinstance(tag, str):
        return f"must be {legal}, but got {shown(tag)}"
    if slot.discriminator != "name":
        return f"{tag!r} is not a {slot.discriminator} of {_singular(str(path[-3]))}; choose {legal}"
    noun = _singular(str(path[-3])) if isinstance(path[-2], int) else str(path[-2])
    return f"{tag!r} is not {'an' if noun[0] in 'aeiou' else 'a'} {noun}; choose {legal}"


def shown(value: Any) -> str:
    """A found value in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {value!r}" if len(value) <= 60 else f"the text {value[:57]!r}..."
        case float() if value.is_integer():
            return repr(value)  # 16.0, which is no integer
        case int() | float():
            return number_text(value)
        case dict():
            return "a mapping"
        case _:
            return "a list"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _singular(noun: str) -> str:
    return noun.removesuffix("s")


def _key_of(places: Located, path: Path) -> Where | None:
    place = _nearest(places, path)
    return (place.key or place.value) if place else None


def _value_of(places: Located, path: Path) -> Where | None:
    if path in places:
        return places[path].value
    return _key_of(places, path)


def _nearest(places: Located, path: Path) -> Place | None:
    return next((places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in places), None)
