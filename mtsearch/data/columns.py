"""Which column of a table is what, and a table's rows as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from mtsearch.data.examples import Example, Refusal, Wanted
from mtsearch.data.readers import Table
from mtsearch.data.source import ColumnRole
from mtsearch.data.word_tags import TagLayer
from mtsearch.errors import DataError

__all__ = ["Columns", "check_bad_ratio", "choose_columns", "make_examples"]

# The names that files in circulation use, in the order in which they are preferred; compared without case.
_TEXT = ("text", "sentence", "review", "content", "question", "comment", "tweet", "utterance", "phrase", "document")
_PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("#1 string", "#2 string"),
)
_LABEL = (
    *("label", "gold_label", "labels", "sentiment", "is_duplicate", "similarity", "score"),
    *("quality", "class", "category", "target", "rating", "stars"),
)
_ID = ("id", "idx", "index", "guid", "pair_id", "sentence_id")


@dataclass(frozen=True)
class Columns:
    """The columns of one table that an example is made of.

    Attributes:
        texts: names of the one or two text columns.
        label: name of the label's column; None where the table has none.
        id: name of the id's column; None takes line numbers.
        tags: names of the columns of gold tags, by layer: one for each text.
    """

    texts: tuple[str, ...]
    label: str | None
    id: str | None
    tags: Mapping[TagLayer, tuple[str, ...]] = field(default_factory=dict)


def choose_columns(available: Sequence[str], num_texts: int, given: Mapping[ColumnRole, str], where: str) -> Columns:
    """The columns named in ``given``, and a guess by common names for those that are not.

    Args:
        available: the table's columns.
        num_texts: 1 or 2.
        given: what the catalogue or the user says.
        where: the file, for messages.

    Raises:
        DataError: a named column is missing, the texts' columns cannot be guessed, or tags are named for other texts.
    """
    for role, name in given.items():
        if available.count(name) != 1:
            raise DataError(
                f"{where}: columns.{role} must name one column of the file ({_listed(available)}), but names {name!r}"
            )
    by_name = {name.lower(): name for name in reversed(available)}
    texts = _given_texts(num_texts, given, where) or _guessed_texts(by_name, num_texts)
    if texts is None:
        roles = "text: NAME" if num_texts == 1 else "text_a: NAME, text_b: NAME"
        raise DataError(
            f"{where}: the columns must include {'a text' if num_texts == 1 else 'two texts'} under a common name, "
            f"but are {_listed(available)}; say which with data.columns: {{{roles}}}"
        )
    return Columns(
        texts=texts,
        label=given.get("label") or _first(by_name, _LABEL),
        id=given.get("id") or _first(by_name, _ID),
        tags=_tag_columns(num_texts, given, where),
    )


def _tag_columns(num_texts: int, given: Mapping[ColumnRole, str], where: str) -> dict[TagLayer, tuple[str, ...]]:
    suffixes = ("",) if num_texts == 1 else ("_a", "_b")
    columns: dict[TagLayer, tuple[str, ...]] = {}
    for layer in get_args(TagLayer):
        named = {role: name for role, name in given.items() if role == layer or role.startswith(f"{layer}_")}
        roles = [f"{layer}{suffix}" for suffix in suffixes]
        if named and set(named) != set(roles):
            raise DataError(
                f"{where}: gold tags must be named for each text, with data.columns.{' and '.join(roles)}, but there "
                f"is {', '.join(named)}"
            )
        if named:
            columns[layer] = tuple(named[role] for role in roles)  # type: ignore[index]
    return columns


def _given_texts(num_texts: int, given: Mapping[ColumnRole, str], where: str) -> tuple[str, ...] | None:
    pair = [given[role] for role in ("text_a", "text_b") if role in given]
    if num_texts == 1 and "text" in given:
        return (given["text"],)
    if num_texts == 2 and len(pair) == 2:
        return tuple(pair)
    if num_texts == 1 and pair:
        raise DataError(
            f"{where}: this kind of task takes one text, but the data has text_a and text_b; choose a kind for pairs, "
            "or name one column with data.columns: {text: NAME}"
        )
    if num_texts == 2 and (pair or "text" in given):
        raise DataError(
            f"{where}: this kind of task takes two texts, but the data has {', '.join(sorted(given))}; choose a kind "
            "for single texts, or name both columns with data.columns: {text_a: NAME, text_b: NAME}"
        )
    return None


def _guessed_texts(by_name: Mapping[str, str], num_texts: int) -> tuple[str, ...] | None:
    if num_texts == 1:
        text = _first(by_name, _TEXT)
        return None if text is None else (text,)
    return next(((by_name[a], by_name[b]) for a, b in _PAIRS if a in by_name and b in by_name), None)


def _first(by_name: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((by_name[name] for name in names if name in by_name), None)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "(unnamed)" for name in names)


def make_examples(
    table: Table, columns: Columns, wanted: Wanted, where: str, max_bad_ratio: float
) -> tuple[list[Example], list[Refusal]]:
    """The examples of a table and its refused rows, each in the order of their lines.

    A row is refused that has an empty text, an empty label, a label that the task does not take, or gold tags that are
    not as many as the words.

    Raises:
        DataError: more than ``max_bad_ratio`` of the rows are refused, or all.
    """
    assert columns.label is not None  # the caller leaves out tables without labels
    positions = [table.columns.index(name) for name in columns.texts]
    label_at = table.columns.index(columns.label)
    id_at = None if columns.id is None else table.columns.index(columns.id)
    tags_at = {layer: [table.columns.index(name) for name in names] for layer, names in columns.tags.items()}
    examples: list[Example] = []
    refused = list(table.refused)
    for line, values in table.rows:
        try:
            texts = tuple([_text(values[position], "text") for position in positions])
            label = wanted.read_label(_text(values[label_at], "label"))
            name = str(line) if id_at is None else _text(values[id_at], "id")
            tags = {
                layer: tuple([_tags(values[at], layer, text) for at, text in zip(places, texts, strict=True)])
                for layer, places in tags_at.items()
            }
        except ValueError as reason:
            refused.append(Refusal(line, str(reason)))
        else:
            examples.append(Example(id=name, texts=texts, label=label, line=line, tags=tags or None))
    refused.sort(key=lambda refusal: refusal.line)
    check_bad_ratio(len(examples), refused, where, max_bad_ratio)
    return examples, refused


def _text(value: object, role: str) -> str:
    """A cell as text; raises ValueError where it is empty or a structure."""
    if not isinstance(value, str):
        if value is None:
            raise ValueError(f"the {role} is empty")
        if not isinstance(value, bool | int | float):
            raise ValueError(f"the {role} must be text or a number, but is a {type(value).__name__}")
        value = str(value).lower() if isinstance(value, bool) else str(value)
    if not value or value.isspace():
        raise ValueError(f"the {role} is empty")
    return value


_NO_TAG = ("", "O", "_", "-")
_IN_ENTITY = ("B-", "I-", "E-", "S-", "L-", "U-")  # where in its entity a word stands


def _tags(value: object, layer: TagLayer, text: str) -> tuple[str, ...]:
    """A cell as a tag for each word of its text; raises ValueError where they are not as many."""
    tags = value.split() if isinstance(value, str) else value
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError(f"the {layer} must be a list of tags, or tags with white space between them")
    if len(tags) != len(text.split()):
        raise ValueError(f"the {layer} must be as many as the words ({len(text.split())}), but are {len(tags)}")
    if layer == "entities":
        tags = [tag[2:] if tag.startswith(_IN_ENTITY) else tag for tag in tags]
    return tuple("" if tag in _NO_TAG else tag for tag in tags)


def check_bad_ratio(num_examples: int, refused: Sequence[Refusal], where: str, max_bad_ratio: float) -> None:
    """Raises DataError where a file has no example, or too many of its rows are refused."""
    num_rows = num_examples + len(refused)
    if num_rows == 0:
        raise DataError(f"{where}: the file must hold rows, but has none")
    if num_examples and len(refused) <= max_bad_ratio * num_rows:
        return
    reasons = "; ".join(f"line {refusal.line}: {refusal.reason}" for refusal in refused[:3])
    raise DataError(
        f"{where}: at most {max_bad_ratio:.1%} of the rows may be unreadable (data.max_bad_ratio), but "
        f"{len(refused):,} of {num_rows:,} are ({len(refused) / num_rows:.1%}); {reasons}"
        f"{'; ...' if len(refused) > 3 else ''}; mend the rows, or check data.format and data.columns"
    )
