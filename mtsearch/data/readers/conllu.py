"""CoNLL-U: the treebanks of Universal Dependencies (https://universaldependencies.org/format.html).

The package ``conllu`` gives neither the line of a broken row nor the next sentence after it, so we read ourselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.data.readers.blocks import Block, BrokenLineError, read_blocks, sentence_id
from mtsearch.data.readers.table import Table

__all__ = ["read_conllu"]

_NUM_COLUMNS = 10
_ID, _FORM, _LEMMA, _UPOS, _XPOS, _HEAD, _DEPREL = 0, 1, 2, 3, 4, 6, 7


def read_conllu(lines: Sequence[str], has_header: bool) -> Table:
    """One row per sentence.

    Multiword tokens (``7-8``) and empty nodes (``10.1``) are no words; columns after the tenth are passed over. A
    layer whose every value is ``_`` is None. A sentence is refused whose heads are no tree with one root.

    Returns:
        The columns ``id`` (``sent_id``, or the line), ``words``, ``lemmas``, ``upos``, ``xpos``, ``dependencies``
        ((head, relation) of each word; heads count from 1, 0 is the root) and ``deprels``.
    """
    return read_blocks(lines, ("id", "words", "lemmas", "upos", "xpos", "dependencies", "deprels"), _sentence)


def _sentence(block: Block) -> Sequence[object] | None:
    comments = [text for _, text in block if text.startswith("#")]
    numbers: list[int] = []
    words: list[list[str]] = []
    for line, text in block[len(comments) :]:
        columns = text.split("\t")
        if len(columns) < _NUM_COLUMNS:
            raise BrokenLineError(line, f"the line must have {_NUM_COLUMNS} columns, but has {len(columns)}")
        if not columns[_ID].isdigit() and columns[_ID].replace("-", "").replace(".", "").isdigit():
            continue
        if columns[_ID] != str(len(words) + 1):
            raise BrokenLineError(line, f"the word must have the id {len(words) + 1}, but has {columns[_ID]!r}")
        numbers.append(line)
        words.append(columns)
    if not words:
        if len(comments) == len(block):
            return None
        raise BrokenLineError(block[0][0], "the sentence has no words")
    lemmas, upos, xpos, deprels = (_layer(words, column) for column in (_LEMMA, _UPOS, _XPOS, _DEPREL))
    heads = _heads(words, numbers)
    dependencies = None if heads is None or deprels is None else list(zip(heads, deprels, strict=True))
    forms = [columns[_FORM] for columns in words]
    return sentence_id(comments, numbers[0]), forms, lemmas, upos, xpos, dependencies, deprels


def _layer(words: Sequence[Sequence[str]], column: int) -> list[str] | None:
    values = [columns[column] for columns in words]
    return None if set(values) == {"_"} else values


def _heads(words: Sequence[Sequence[str]], numbers: Sequence[int]) -> list[int] | None:
    """The head of each word; raises BrokenLineError where they are no tree with one root."""
    given = _layer(words, _HEAD)
    if given is None:
        return None
    heads: list[int] = []
    for line, head in zip(numbers, given, strict=True):
        if not head.isdecimal() or int(head) > len(words):
            raise BrokenLineError(line, f"the head must be from 0 to {len(words)}, but is {head!r}")
        heads.append(int(head))
    roots = [word for word, head in enumerate(heads, 1) if head == 0]
    if len(roots) != 1:
        at = numbers[roots[1] - 1] if roots else numbers[0]
        found = f"words {', '.join(map(str, roots))} have" if roots else "none has"
        raise BrokenLineError(at, f"one word must be the root (head 0), but {found} that head")
    reaches_root = {0}
    for word in range(1, len(heads) + 1):
        path: list[int] = []
        while word not in reaches_root:
            if word in path:
                cycle = path[path.index(word) :]
                raise BrokenLineError(
                    numbers[min(cycle) - 1], f"the heads must be a tree, but words {_listed(cycle)} are a cycle"
                )
            path.append(word)
            word = heads[word - 1]
        reaches_root.update(path)
    return heads


def _listed(words: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(words)))
