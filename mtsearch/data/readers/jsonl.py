"""JSON lines: one object per line; the keys are the columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.answers import with_answers
from mtsearch.data.readers.table import Table

__all__ = ["read_jsonl"]


def read_jsonl(lines: Sequence[str], has_header: bool) -> Table:
    """The table of a JSON lines file; a key that a row lacks is None there.

    ``answers`` to questions on a ``context`` are as in SQuAD's files, or the hub's, and become (text, start).
    """
    objects: list[tuple[int, dict[str, Any]]] = []
    refused: list[Refusal] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            refused.append(Refusal(number, f"the line is not JSON ({error})"))
            continue
        if isinstance(value, dict):
            objects.append((number, value))
        else:
            refused.append(Refusal(number, f"the line must be a JSON object, but is a {type(value).__name__}"))
    columns = tuple(dict.fromkeys(key for _, value in objects for key in value))
    rows = [(number, [value.get(column) for column in columns]) for number, value in objects]
    return with_answers(Table(columns, rows, refused))
