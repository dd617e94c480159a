"""The answers to a question: texts that stand in its context, each with its first character."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import Any

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.table import Row, Table

__all__ = ["located_answers", "with_answers"]


def with_answers(table: Table) -> Table:
    """The table with the objects in its column ``answers``, where it has one beside ``context``, as (text, start).

    Rows are refused whose answers are not where they are said to be.
    """
    if not {"answers", "context"} <= set(table.columns):
        return table
    answers_at, context_at = table.columns.index("answers"), table.columns.index("context")
    rows: list[Row] = []
    refused = list(table.refused)
    for line, values in table.rows:
        cell = values[answers_at]
        if not isinstance(cell, dict) and not (isinstance(cell, list) and all(isinstance(item, dict) for item in cell)):
            rows.append((line, values))
            continue
        try:
            answers = located_answers(cell, str(values[context_at]))
        except ValueError as reason:
            refused.append(Refusal(line, str(reason)))
        else:
            rows.append((line, [*values[:answers_at], answers, *values[answers_at + 1 :]]))
    return replace(table, rows=rows, refused=refused)


def located_answers(value: Any, context: str) -> list[tuple[str, int]]:
    """Answers as (text, first character), from SQuAD's list of objects or the hub's object of lists.

    Raises:
        ValueError: they have another form, or one does not stand at its character of the context.
    """
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("answer_start"), list):
        pairs = list(zip_longest(value["text"], value["answer_start"]))
    elif isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        pairs = [(answer.get("text"), answer.get("answer_start")) for answer in value]
    else:
        raise ValueError("the answers must be a list of objects with text and answer_start")
    for text, start in pairs:
        if not isinstance(text, str) or not text or not isinstance(start, int) or start < 0:
            raise ValueError(f"an answer must have a text and an answer_start, but has {text!r} and {start!r}")
        if not context.startswith(text, start):
            stands = context[start : start + len(text)]
            raise ValueError(f"the answer {text!r} must stand at character {start} of the context, but {stands!r} does")
    return pairs
