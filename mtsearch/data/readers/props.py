"""Predicates and their arguments as columns of brackets: CoNLL-2005, CoNLL-2012 and PropBank's releases."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mtsearch.data.readers.blocks import (
    Block,
    BrokenLineError,
    Split,
    read_blocks,
    sentence_id,
    separator,
    without_comments,
)
from mtsearch.data.readers.table import Table

__all__ = ["read_props"]

_CELL = re.compile(r"(?:\((?P<label>[^()*\s]+))?\*(?P<closes>\)?)")
_NONE = "-"


def read_props(lines: Sequence[str], has_header: bool) -> Table:
    """One row per sentence.

    Three layouts are known by their columns: word, part of speech, lemma, roleset, and one column of brackets for each
    predicate; PropBank's ``.gold_conll`` (document, sentence, number of the word, word, part of speech, parse, lemma,
    roleset, brackets); and CoNLL-2012's (three more columns before the brackets, coreference after them). The n-th
    word with a roleset is the predicate of the n-th column of brackets.

    Returns:
        The columns ``id`` (``sent_id``, or the line), ``words``, ``pos`` and ``propositions``: (predicate, ((start,
        end, label), ...)) in the order of the predicates, which are words counted from 0; ends are exclusive. Labels
        are as in CoNLL-2005 (``A0``, ``AM-TMP``), whichever way the file writes them; the predicate's own span (``V``)
        is left out.
    """
    split = separator(lines)
    return read_blocks(lines, ("id", "words", "pos", "propositions"), lambda block: _sentence(block, split))


def _sentence(block: Block, split: Split) -> Sequence[object] | None:
    block = [(line, text) for line, text in block if not text.startswith(("#begin document", "#end document"))]
    if not block:
        return None
    comments, rows = without_comments(block, split)
    numbers = [line for line, _ in rows]
    table = [split(text) for _, text in rows]
    width = len(table[0])
    for line, columns in zip(numbers, table, strict=True):
        if len(columns) != width:
            raise BrokenLineError(line, f"the line must have {width} columns as the first, but has {len(columns)}")
    word, pos, roleset = (3, 4, 7) if _is_gold_conll(table) else (0, 1, 3)
    if width <= roleset:
        raise BrokenLineError(
            numbers[0], f"the line must have a word, its part of speech, lemma and roleset, but has {width} column(s)"
        )
    predicates = [number for number, columns in enumerate(table) if columns[roleset] != _NONE]
    first = roleset + 1
    if roleset == 7 and width == 12 + len(predicates):  # CoNLL-2012
        first, width = 11, width - 1
    if width != first + len(predicates):
        raise BrokenLineError(
            numbers[0],
            f"there must be as many columns of brackets as words with a roleset ({len(predicates)}), but are "
            f"{width - first}",
        )
    propositions = [
        (predicate, _arguments([columns[place] for columns in table], numbers))
        for place, predicate in enumerate(predicates, first)
    ]
    words, tags = ([columns[column] for columns in table] for column in (word, pos))
    return sentence_id(comments, numbers[0]), words, tags, propositions


def _is_gold_conll(table: Sequence[Sequence[str]]) -> bool:
    """Whether the third column counts the words."""
    return all(len(columns) >= 8 and columns[2] == str(number) for number, columns in enumerate(table))


def _arguments(cells: Sequence[str], numbers: Sequence[int]) -> list[tuple[int, int, str]]:
    """The spans of one column of brackets; raises BrokenLineError where these are not balanced or overlap."""
    spans: list[tuple[int, int, str]] = []
    start, label = 0, ""
    for number, (cell, line) in enumerate(zip(cells, numbers, strict=True)):
        match = _CELL.fullmatch(cell)
        if match is None:
            raise BrokenLineError(line, f"the brackets must be as in (A1*, *, *) or (A1*), but are {cell!r}")
        if match["label"]:
            if label:
                raise BrokenLineError(line, f"the argument {match['label']} begins inside {label}")
            start, label = number, match["label"]
        if match["closes"]:
            if not label:
                raise BrokenLineError(line, "an argument ends that never began")
            spans.append((start, number + 1, re.sub(r"^([RC]-)?ARG(?=[\dMA])", r"\1A", label)))
            label = ""
    if label:
        raise BrokenLineError(numbers[start], f"the argument {label} never ends")
    return [span for span in spans if span[2] != "V"]
