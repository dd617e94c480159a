"""SQuAD's JSON, 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): articles of paragraphs of questions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.answers import located_answers
from mtsearch.data.readers.table import Row, Table

__all__ = ["read_squad"]


def read_squad(lines: Sequence[str], has_header: bool) -> Table:
    """One row per question, which messages tell by its number in the file, from 1.

    A question is refused that has an answer which is not at its place, has none without being marked
    ``is_impossible`` (as in a test file of 1.1), or has one although it is. ``plausible_answers`` are passed over.

    Returns:
        The columns ``id``, ``question``, ``context``, ``answers`` ((text, first character in the context) each) and
        ``is_impossible``.
    """
    columns = ("id", "question", "context", "answers", "is_impossible")
    try:
        questions = list(_questions(json.loads("\n".join(lines))))
    except json.JSONDecodeError as error:
        return Table(columns, (), [Refusal(error.lineno, f"the file is not JSON ({error.msg})")])
    except (ValueError, RecursionError) as reason:
        return Table(columns, (), [Refusal(1, str(reason))])
    rows: list[Row] = []
    refused: list[Refusal] = []
    for number, (context, question) in enumerate(questions, 1):
        try:
            rows.append((number, _values(context, question)))
        except ValueError as reason:
            refused.append(Refusal(number, f"question {question.get('id')}: {reason}"))
    return Table(columns, rows, refused)


def _questions(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The context and the object of each question; raises ValueError where the document has another form."""
    for article in _objects(document, "data"):
        for paragraph in _objects(article, "paragraphs"):
            context = paragraph.get("context")
            if not isinstance(context, str):
                raise ValueError("each of the paragraphs must have a context")
            for question in _objects(paragraph, "qas"):
                yield context, question


def _objects(parent: Any, key: str) -> Sequence[dict[str, Any]]:
    children = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        raise ValueError(
            f"the file must be as SQuAD's, objects in lists called data, paragraphs and qas, but has no list {key}"
        )
    return children


def _values(context: str, question: dict[str, Any]) -> Sequence[object]:
    answers = located_answers(question.get("answers", []), context)
    is_impossible = question.get("is_impossible", False)
    if is_impossible and answers:
        raise ValueError(f"it is marked is_impossible, but has {len(answers)} answer(s)")
    if not is_impossible and not answers:
        raise ValueError("it has no answer and is not marked is_impossible")
    return question.get("id"), question.get("question"), context, answers, is_impossible
