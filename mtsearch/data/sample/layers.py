"""What is annotated on a sentence: each layer is read off its derivation tree by one function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtsearch.data.sample.tree import HEAD, Node

_CLASS_BOUNDS = (-1.3, -0.4, 0.4, 1.3)
_CONCEDED = 0.2  # what is left of the sentiment of a clause that is conceded ("although ...", "..., but")


# --- sentiment -------------------------------------------------------------------------------------------------


def polarity(node: Node) -> float:
    """The sentiment of a phrase, from the sentiments of its parts; 0 is neutral, beyond ±1.3 is strong.

    A polar head decides; around a neutral head the parts add up. An intensifier multiplies, a negation turns the
    sentiment around and halves it ("not brilliant" is a mild reproach), of two conjuncts with a sentiment the mean
    counts, and of a contrast the main clause, with a fifth of what is conceded.
    """
    if not node.children:
        return node.polarity
    scale, negated = 1.0, False
    own = 0.0
    others: list[float] = []
    conjuncts: list[float] = []
    conceded = 0.0
    contrast = False
    for child in node.children:
        operator = _only_leaf(child)
        if operator is not None and (operator.scale != 1.0 or operator.negates):
            scale *= operator.scale
            negated = negated or operator.negates
        elif child.relation == HEAD:
            own = polarity(child)
        elif child.relation == "cc":
            contrast = child.concept == "but"
        elif child.relation == "conj":
            conjuncts.append(polarity(child))
        elif child.relation == "advcl":
            conceded += _CONCEDED * polarity(child)
        else:
            others.append(polarity(child))
    value = own if own else sum(others)
    if contrast:
        value = conjuncts[0] + _CONCEDED * value
    elif conjuncts:
        polar = [each for each in (value, *conjuncts) if each]
        value = sum(polar) / len(polar) if polar else 0.0
    value = value * scale + conceded
    return -value / 2 if negated else value


def sentiment(tree: Node) -> int:
    """The class of a sentence: 0 very negative, 1 negative, 2 neutral, 3 positive, 4 very positive."""
    value = polarity(tree)
    return sum(value > bound for bound in _CLASS_BOUNDS)


def _only_leaf(node: Node) -> Node | None:
    while len(node.children) == 1:
        node = node.children[0]
    return None if node.children else node


# --- words and phrases -----------------------------------------------------------------------------------------


def words(tree: Node) -> list[str]:
    """The tokens."""
    return [leaf.word for leaf in tree.leaves()]


def pos(tree: Node) -> list[str]:
    """The universal part of speech of each token."""
    return [leaf.upos for leaf in tree.leaves()]


def brackets(tree: Node) -> str:
    """The constituency tree in the Penn Treebank's notation, under ROOT."""
    return f"(ROOT {_bracket(tree)})"


def _bracket(node: Node) -> str:
    inside = node.word or " ".join(_bracket(child) for child in node.children)
    return f"({node.category} {inside})"


def spans(node: Node, start: int = 0) -> Iterator[tuple[Node, int, int]]:
    """Every node with the half-open range of tokens that it covers; parents first."""
    yield node, start, start + len(words(node))
    for child in node.children:
        yield from spans(child, start)
        start += len(words(child))


def entities(tree: Node) -> list[str]:
    """The BIO tag of each token."""
    tags = ["O"] * len(words(tree))
    for node, start, end in spans(tree):
        if node.entity:
            tags[start:end] = [f"B-{node.entity}", *[f"I-{node.entity}"] * (end - start - 1)]
    return tags


# --- dependencies ----------------------------------------------------------------------------------------------


def heads(tree: Node) -> list[tuple[int, str]]:
    """For each token the number of its head, counted from 1 (0 for the root), and its relation to it."""
    arcs: dict[int, tuple[int, str]] = {}
    [(root, _)], _ = _link(tree, 1, arcs)
    arcs[root] = (0, "root")
    return [arcs[number] for number in sorted(arcs)]


def _link(node: Node, start: int, arcs: dict[int, tuple[int, str]]) -> tuple[list[tuple[int, str]], int]:
    """Records the arcs inside a node whose first token has the number ``start``.

    Returns:
        The tokens that still need a head, each with its relation (one, unless the node has no head of its own), and
        the number after the node's last token.
    """
    if not node.children:
        return [(start, node.relation)], start + 1
    loose = []
    for child in node.children:
        tokens, start = _link(child, start, arcs)
        loose.append(tokens)
    relations = [child.relation for child in node.children]
    if HEAD not in relations:
        return [token for tokens in loose for token in tokens], start
    for place, tokens in enumerate(loose):
        if relations[place] != HEAD:
            governor, _ = loose[_governor(relations, place)][0]
            arcs.update({token: (governor, relation) for token, relation in tokens})
    return [(loose[relations.index(HEAD)][0][0], node.relation)], start


def _governor(relations: list[str], place: int) -> int:
    """Which sibling a child depends on: the head, but conjunctions and commas depend on the unit they set off."""
    head = relations.index(HEAD)
    if relations[place] not in ("cc", "punct") or place == len(relations) - 1:
        return head
    following = place + 2 if relations[place + 1] == "cc" else place + 1
    if relations[following] in ("conj", "advcl"):
        return following
    return max(place - 1, 0)


# --- predicates and their arguments ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposition:
    """A predicate and its arguments.

    Args:
        predicate: the index of its token, from 0.
        concept: what it means, the same for synonyms.
        arguments: (PropBank label, first token, token after the last), from left to right.
    """

    predicate: int
    concept: str
    arguments: tuple[tuple[str, int, int], ...]


def propositions(tree: Node) -> list[Proposition]:
    """The predicates of a sentence from left to right."""
    nodes = list(spans(tree))
    return [
        Proposition(
            start,
            leaf.concept or leaf.lemma,
            tuple(
                (label, first, end)
                for node, first, end in sorted(nodes, key=lambda span: span[1:])
                for frame, label in node.roles
                if frame == leaf.frame
            ),
        )
        for leaf, start, _ in nodes
        if leaf.frame
    ]
