"""Predicates and their arguments as JSON lines: one proposition each, with a BIO tag for each word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.blocks import BrokenLineError
from mtsearch.data.readers.jsonl import read_jsonl
from mtsearch.data.readers.table import Row, Table

__all__ = ["read_propositions"]

_Proposition = tuple[int, list[tuple[int, int, str]]]


def read_propositions(lines: Sequence[str], has_header: bool) -> Table:
    """One row per sentence: of lines with the same ``sent_id`` and ``tokens`` one after the other.

    A line has ``tokens``, ``predicate`` (a word, from 0), ``tags`` (BIO; ``B-V`` is the predicate) and, where there
    is one, ``sent_id``. A sentence is refused that has a broken line.

    Returns:
        The columns ``id``, ``words`` and ``propositions``, as :func:`mtsearch.data.readers.props.read_props` gives
        them.
    """
    table = read_jsonl(lines, has_header)
    objects = ((line, dict(zip(table.columns, values, strict=True))) for line, values in table.rows)
    rows: list[Row] = []
    refused: list[Refusal] = list(table.refused)
    for _, group in groupby(objects, lambda numbered: (numbered[1].get("sent_id"), numbered[1].get("tokens"))):
        try:
            rows.append(_sentence(list(group)))
        except BrokenLineError as broken:
            refused.append(Refusal(broken.line, str(broken)))
    return Table(("id", "words", "propositions"), rows, refused)


def _sentence(group: Sequence[tuple[int, dict[str, Any]]]) -> Row:
    first, one = group[0]
    words = one.get("tokens")
    if not isinstance(words, list) or not words:
        raise BrokenLineError(first, "tokens must be a list of words")
    propositions: dict[int, _Proposition] = {}
    for line, fields in group:
        try:
            predicate, arguments = _proposition(fields.get("predicate"), fields.get("tags"), len(words))
        except ValueError as reason:
            raise BrokenLineError(line, str(reason)) from None
        if predicate in propositions:
            raise BrokenLineError(line, f"word {predicate} is the predicate of a proposition before, too")
        propositions[predicate] = predicate, arguments
    return first, (str(one.get("sent_id") or first), words, [propositions[key] for key in sorted(propositions)])


def _proposition(predicate: Any, tags: Any, num_words: int) -> _Proposition:
    if not isinstance(predicate, int) or isinstance(predicate, bool) or not 0 <= predicate < num_words:
        raise ValueError(f"predicate must be a word from 0 to {num_words - 1}, but is {predicate!r}")
    if not isinstance(tags, list) or len(tags) != num_words:
        found = len(tags) if isinstance(tags, list) else repr(tags)
        raise ValueError(f"tags must be as many as the words ({num_words}), but are {found}")
    return predicate, [span for span in _spans(tags) if span[2] != "V"]


def _spans(tags: Iterable[Any]) -> list[tuple[int, int, str]]:
    """(start, end, label) of each span; raises ValueError where the tags are no BIO."""
    spans: list[tuple[int, int, str]] = []
    for number, tag in enumerate(tags):
        begins, _, label = str(tag).partition("-")
        if begins == "B" and label:
            spans.append((number, number + 1, label))
        elif begins == "I" and spans and spans[-1][1:] == (number, label):
            spans[-1] = (spans[-1][0], number + 1, label)
        elif tag != "O":
            raise ValueError(f"tags must be BIO, but that of word {number} is {tag!r}")
    return spans
