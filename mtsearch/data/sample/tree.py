"""The derivation tree of a sentence, which carries everything that a layer reads off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

HEAD = "head"
_NO_SPACE_BEFORE = frozenset({",", ".", "?", "!", "n't", "'s"})


@dataclass(frozen=True, slots=True)
class Node:
    """A phrase or, when it has a ``word``, a leaf.

    Among the children of a phrase one has the relation ``HEAD``; the others depend on its head word. A phrase
    without such a child (the inverted part of "what is the best way") has no head word of its own, and its children
    depend on its parent's; its own relation is "".

    Args:
        category: Penn Treebank phrase label, or part-of-speech tag of a leaf.
        relation: Universal Dependencies relation to the parent's head word, or ``HEAD``.
        children: empty for a leaf.
        word: the leaf's token as written, "" for a phrase.
        lemma: the leaf's dictionary form.
        upos: the leaf's universal part of speech.
        concept: what the leaf means, the same for all its synonyms; "" for function words.
        polarity: the leaf's own sentiment, from -2 to 2.
        scale: what the leaf multiplies the sentiment around it by (intensifiers).
        negates: the leaf turns the sentiment around it (not, never, no).
        entity: PER, LOC or ORG when the node is a name.
        frame: number, from 1, of the predicate that the leaf is; 0 for other leaves.
        roles: (frame, PropBank label) for each predicate of which the node is an argument.
    """

    category: str
    relation: str = HEAD
    children: tuple[Node, ...] = ()
    word: str = ""
    lemma: str = ""
    upos: str = ""
    concept: str = ""
    polarity: float = 0.0
    scale: float = 1.0
    negates: bool = False
    entity: str = ""
    frame: int = 0
    roles: tuple[tuple[int, str], ...] = ()

    def leaves(self) -> Iterator[Node]:
        """The leaves from left to right."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def text(self) -> str:
        """The sentence as a person would write it."""
        text = ""
        for leaf, (start, _) in zip(self.leaves(), self.offsets(), strict=True):
            text = text.ljust(start) + leaf.word
        return text

    def offsets(self) -> list[tuple[int, int]]:
        """For each leaf where it begins in the text and where it ends, in characters."""
        spans: list[tuple[int, int]] = []
        end = 0
        for leaf in self.leaves():
            start = end + (1 if spans and leaf.word not in _NO_SPACE_BEFORE else 0)
            end = start + len(leaf.word)
            spans.append((start, end))
        return spans


Part: TypeAlias = tuple[str, Node]
"""A node and, before it, its relation to the head word of the phrase that it becomes a child of."""


def phrase(category: str, *parts: Part) -> Node:
    """A phrase over these children, in their order."""
    return widened(Node(category), after=parts)


def widened(node: Node, *, before: Sequence[Part] = (), after: Sequence[Part] = ()) -> Node:
    """The phrase with further children at its edges."""
    left, right = (tuple(replace(child, relation=relation) for relation, child in parts) for parts in (before, after))
    return replace(node, children=(*left, *node.children, *right))


def with_role(node: Node, frame: int, label: str) -> Node:
    """The node as an argument, under this label, of the predicate with this number."""
    return replace(node, roles=(*node.roles, (frame, label)))


def capitalised(node: Node) -> Node:
    """The same tree with its first letter in upper case."""
    if node.children:
        return replace(node, children=(capitalised(node.children[0]), *node.children[1:]))
    return replace(node, word=node.word[:1].upper() + node.word[1:])
