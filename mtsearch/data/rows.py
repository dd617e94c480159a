"""A table's rows as examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mtsearch.data.columns import Columns
from mtsearch.data.examples import Example, Refusal, Wanted, WantedWords
from mtsearch.data.readers import Table
from mtsearch.data.word_tags import TagLayer
from mtsearch.errors import DataError

__all__ = ["check_bad_ratio", "make_examples", "without_unlabelled"]


def make_examples(
    table: Table, columns: Columns, wanted: Wanted | WantedWords, where: str, max_bad_ratio: float
) -> tuple[list[Example], list[Refusal]]:
    """The examples of a table and its refused rows, each in the order of their lines.

    A row is refused that has an empty text, no words or an empty one, an empty label, a label that the task does not
    take, or gold tags that are not as many as the words.

    Raises:
        DataError: more than ``max_bad_ratio`` of the rows are refused, or all.
    """
    read = _RowReader(table, columns, wanted)
    examples: list[Example] = []
    refused = list(table.refused)
    for line, values in table.rows:
        try:
            examples.append(read(line, values))
        except ValueError as reason:
            refused.append(Refusal(line, str(reason)))
    refused.sort(key=lambda refusal: refusal.line)
    check_bad_ratio(len(examples), refused, where, max_bad_ratio)
    return examples, refused


class _RowReader:
    """Makes an example of a row; raises ValueError with the reason to refuse it."""

    def __init__(self, table: Table, columns: Columns, wanted: Wanted | WantedWords) -> None:
        assert columns.label is not None  # the caller leaves out tables without labels
        at = table.columns.index
        self._wanted = wanted
        self._texts = [at(name) for name in columns.texts]
        self._words = None if columns.words is None else at(columns.words)
        self._label = at(columns.label)
        self._id = None if columns.id is None else at(columns.id)
        self._tags = {layer: [at(name) for name in names] for layer, names in columns.tags.items()}

    def __call__(self, line: int, values: Sequence[object]) -> Example:
        words = None if self._words is None else _words(values[self._words])
        texts = (" ".join(words),) if words else tuple([_text(values[place], "text") for place in self._texts])
        label = self._read_label(values[self._label], words)
        name = str(line) if self._id is None else _text(values[self._id], "id")
        tags = {
            layer: tuple(
                [_tags(values[at], layer, words or text.split()) for at, text in zip(places, texts, strict=True)]
            )
            for layer, places in self._tags.items()
        }
        return Example(name, texts, label, line, words, tags or None)

    def _read_label(self, cell: object, words: tuple[str, ...] | None) -> Any:
        if isinstance(self._wanted, WantedWords):
            assert words is not None  # choose_columns names their column
            return self._wanted.read_label(_structure(cell.split() if isinstance(cell, str) else cell, "label"), words)
        if not self._wanted.structured:
            return self._wanted.read_label(_text(cell, "label"))
        return self._wanted.read_label(_structure(cell, "label"))


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


def _structure(value: object, role: str) -> list[Any] | tuple[Any, ...]:
    """A cell as a list; raises ValueError where it is none."""
    if value is None:
        raise ValueError(f"the {role} is empty")
    if not isinstance(value, list | tuple):
        raise ValueError(f"the {role} must be a list, but is a {type(value).__name__}")
    return value


def _words(value: object) -> tuple[str, ...]:
    """A cell as words; raises ValueError where there is none, or one is empty."""
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError("the words must be a list of texts, or a text with white space between them")
    if not words:
        raise ValueError("the sentence has no words")
    if not all(words):
        raise ValueError(f"word {list(words).index('') + 1} is empty")
    return tuple(words)


_NO_TAG = ("", "O", "_", "-")
_IN_ENTITY = ("B-", "I-", "E-", "S-", "L-", "U-")  # where in its entity a word stands


def _tags(value: object, layer: TagLayer, words: Sequence[str]) -> tuple[str, ...]:
    """A cell as a tag for each word; raises ValueError where they are not as many."""
    tags = value.split() if isinstance(value, str) else value
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError(f"the {layer} must be a list of tags, or tags with white space between them")
    if len(tags) != len(words):
        raise ValueError(f"the {layer} must be as many as the words ({len(words)}), but are {len(tags)}")
    if layer == "entities":
        tags = [tag[2:] if tag.startswith(_IN_ENTITY) else tag for tag in tags]
    return tuple("" if tag in _NO_TAG else tag for tag in tags)


def without_unlabelled(table: Table, columns: Columns) -> Table:
    """The table without the rows that the data set itself leaves unlabelled, which are counted and not refused.

    In SNLI and the sets that follow it, ``gold_label`` is ``-`` where the annotators did not agree.
    """
    if columns.label != "gold_label":
        return table
    at = table.columns.index(columns.label)
    rows = [row for row in table.rows if row[1][at] != "-"]
    return replace(table, rows=rows, num_unlabelled=table.num_unlabelled + len(table.rows) - len(rows))


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
