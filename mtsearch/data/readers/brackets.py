"""The Penn Treebank's brackets: ``(ROOT (S (NP (PRP We)) (VP (VBD won)) (. .)))`` over one or more lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mtsearch.data.examples import Refusal
from mtsearch.data.readers.blocks import BrokenLineError
from mtsearch.data.readers.table import Row, Table

__all__ = ["read_brackets"]

_TOKEN = re.compile(r"[()]|[^()\s]+")
_TOP = ("ROOT", "TOP")
_TRACE = "-NONE-"  # the tag of what is not said
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_ESCAPED = re.compile("|".join(_BRACKETS))


@dataclass(slots=True)
class _Node:
    """A bracket that is not closed yet."""

    line: int
    start: int  # the word that comes next
    place: int  # among the constituents
    label: str = ""
    word: str | None = None
    is_phrase: bool = False


@dataclass(slots=True)
class _Tree:
    line: int
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    constituents: list[tuple[int, int, str]] = field(default_factory=list)

    def values(self) -> Sequence[object]:
        """Those of a row; raises BrokenLineError where the tree has no words."""
        if not self.words:
            raise BrokenLineError(self.line, "the tree has no words")
        kept = [span for span in self.constituents if span[2] and span[0] < span[1]]
        return self.words, self.tags, kept, (self.tags, kept)


def read_brackets(lines: Sequence[str], has_header: bool) -> Table:
    """One row per tree; a tree begins with a bracket in the first column of its line, or after a closed one.

    Function tags are cut from constituents (``NP-SBJ`` is ``NP``), not from parts of speech; traces, and what is empty
    without them, are left out; the top node is, where it is called ROOT, TOP or nothing. ``-LRB-`` and its like are
    brackets in words. A tree whose brackets are not balanced is refused, and reading goes on at the next.

    Returns:
        The columns ``words``, ``tags``, ``constituents`` ((start, end, label) in words, from 0 and with exclusive
        ends: outer before inner, left before right, in a chain the upper one first), and ``tree``: (tags,
        constituents).
    """
    rows: list[Row] = []
    refused: list[Refusal] = []
    for part in _parts(lines):
        try:
            rows += [(tree.line, tree.values()) for tree in _trees(part)]
        except BrokenLineError as broken:
            refused.append(Refusal(broken.line, str(broken)))
    return Table(("words", "tags", "constituents", "tree"), rows, refused)


def _parts(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Lots of lines, each from one that begins with a bracket up to the next one."""
    part: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("(") and part:
            yield part
            part = []
        if line.strip():
            part.append((number, line))
    if part:
        yield part


def _trees(part: Sequence[tuple[int, str]]) -> Iterator[_Tree]:
    """The trees of these lines; raises BrokenLineError where the brackets are not balanced."""
    nodes: list[_Node] = []
    tree = _Tree(part[0][0])
    was_opened = False  # just now, so that a label stands next
    for line, token in ((line, token) for line, text in part for token in _TOKEN.findall(text)):
        node = nodes[-1] if nodes else None
        if token == "(":
            if node is None:
                tree = _Tree(line)
            elif node.word is not None:
                raise BrokenLineError(line, f"{node.label} must hold a word or nodes, but holds both")
            else:
                node.is_phrase = True
            nodes.append(_Node(line, len(tree.words), len(tree.constituents)))
            tree.constituents.append((0, 0, ""))
        elif node is None:
            raise BrokenLineError(line, f"brackets must hold everything, but {token!r} stands outside")
        elif token == ")":
            _close(nodes.pop(), tree, line)
            if not nodes:
                yield tree
        elif was_opened:
            node.label = token
        elif node.is_phrase or node.word is not None:
            raise BrokenLineError(line, f"each word must have brackets of its own with its tag, but {token!r} has not")
        else:
            node.word = token
        was_opened = token == "("
    if nodes:
        raise BrokenLineError(nodes[0].line, f"{len(nodes)} bracket(s) of the tree are never closed")


def _close(node: _Node, tree: _Tree, line: int) -> None:
    """Writes a node to its tree, which holds all that is inside the node."""
    if node.is_phrase:
        is_top = node.place == 0 and node.label in _TOP
        label = node.label[:1] + re.split("[-=]", node.label[1:], maxsplit=1)[0]
        tree.constituents[node.place] = node.start, len(tree.words), "" if is_top else label
        return
    del tree.constituents[node.place]
    if node.word is None:
        raise BrokenLineError(line, f"each node must hold a word or nodes, but ({node.label}) is empty")
    if node.label != _TRACE:
        tree.words.append(_ESCAPED.sub(lambda match: _BRACKETS[match[0]], node.word))
        tree.tags.append(node.label)
