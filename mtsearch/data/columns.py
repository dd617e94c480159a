"""Which column of a table is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from mtsearch.data.examples import Wanted, WantedWords
from mtsearch.data.readers.table import numbered
from mtsearch.data.source import ColumnRole
from mtsearch.data.word_tags import TagLayer
from mtsearch.errors import DataError

__all__ = ["Columns", "choose_columns"]

# The names that files in circulation use, in the order in which they are preferred; compared without case.
_TEXT = ("text", "sentence", "review", "content", "question", "comment", "tweet", "utterance", "phrase", "document")
_PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question", "context"),
    ("question", "sentence"),
    ("#1 string", "#2 string"),
)
_WORDS = ("words", "tokens", "form", "forms")
_LABEL = (
    *("label", "gold_label", "labels", "sentiment", "is_duplicate", "similarity", "score"),
    *("quality", "class", "category", "target", "rating", "stars"),
)
_ANSWERS = ("answers",)
_ID = ("id", "idx", "index", "guid", "pair_id", "sentence_id", "sent_id")


@dataclass(frozen=True)
class Columns:
    """The columns of one table that an example is made of.

    Attributes:
        texts: names of the one or two text columns; none where there are words.
        label: name of the label's column; None where the table has none.
        id: name of the id's column; None takes line numbers.
        tags: names of the columns of gold tags, by layer: one for each text.
        words: name of the column of the words, for tasks on words.
    """

    texts: tuple[str, ...]
    label: str | None
    id: str | None
    tags: Mapping[TagLayer, tuple[str, ...]] = field(default_factory=dict)
    words: str | None = None


def choose_columns(
    available: Sequence[str], wanted: Wanted | WantedWords, given: Mapping[ColumnRole, str], where: str
) -> Columns:
    """The columns named in ``given``, and a guess by common names for those that are not.

    Of columns that have numbers for names, the words are the first and their label is the last.

    Args:
        available: the table's columns.
        wanted: what the task needs of each row.
        given: what the catalogue or the user says.
        where: the file, for messages.

    Raises:
        DataError: a named column is missing, the columns of the texts or words cannot be guessed, or tags are named
            for other texts.
    """
    for role, name in given.items():
        if available.count(name) != 1:
            raise DataError(
                f"{where}: columns.{role} must name one column of the file ({_listed(available)}), but names {name!r}"
            )
    id_ = given.get("id") or _first(available, _ID)
    tags = _tag_columns(wanted.num_texts, given, where)
    if isinstance(wanted, WantedWords):
        words = _words_column(available, given, where)
        label = given.get("label") or _first(available, wanted.columns)
        if label is None and _are_numbered(available) and words != available[-1]:
            label = available[-1]
        return Columns((), label, id_, tags, words)
    label = given.get("label") or _first(available, _ANSWERS if wanted.structured else _LABEL)
    return Columns(_text_columns(available, wanted.num_texts, given, where), label, id_, tags)


def _text_columns(
    available: Sequence[str], num_texts: int, given: Mapping[ColumnRole, str], where: str
) -> tuple[str, ...]:
    texts = _given_texts(num_texts, given, where) or _guessed_texts(available, num_texts)
    if texts is not None:
        return texts
    roles = "text: NAME" if num_texts == 1 else "text_a: NAME, text_b: NAME"
    hint = "choose a kind for words, such as tagging, or " if "words" in given or _first(available, _WORDS) else ""
    raise DataError(
        f"{where}: the columns must include {'a text' if num_texts == 1 else 'two texts'} under a common name, "
        f"but are {_listed(available)}; {hint}say which with data.columns: {{{roles}}}"
    )


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


def _guessed_texts(available: Sequence[str], num_texts: int) -> tuple[str, ...] | None:
    if num_texts == 1:
        text = _first(available, _TEXT)
        return None if text is None else (text,)
    by_name = _by_name(available)
    return next(((by_name[a], by_name[b]) for a, b in _PAIRS if a in by_name and b in by_name), None)


def _words_column(available: Sequence[str], given: Mapping[ColumnRole, str], where: str) -> str:
    if "words" in given:
        return given["words"]
    texts = [role for role in ("text", "text_a", "text_b") if role in given]
    if texts:
        raise DataError(
            f"{where}: this kind of task takes words with their labels, but the data has {' and '.join(texts)}; choose "
            "a kind for texts, or name the words' column with data.columns: {words: NAME}"
        )
    words = _first(available, _WORDS)
    if words is None and _are_numbered(available):
        words = available[0]
    if words is None:
        raise DataError(
            f"{where}: the columns must include the words under a common name ({', '.join(_WORDS)}), but are "
            f"{_listed(available)}; say which with data.columns: {{words: NAME}}"
        )
    return words


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


def _by_name(available: Sequence[str]) -> dict[str, str]:
    return {name.lower(): name for name in reversed(available)}


def _first(available: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = _by_name(available)
    return next((by_name[name] for name in names if name in by_name), None)


def _are_numbered(available: Sequence[str]) -> bool:
    return tuple(available) == numbered(len(available))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "(unnamed)" for name in names)
