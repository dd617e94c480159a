"""How an annotated sentence is written: one function per format, each giving the sentence's part of a file."""

from __future__ import annotations

import json

from mtsearch.data.sample import layers
from mtsearch.data.sample.tree import Node


def conllu(tree: Node, name: str) -> str:
    """Words, lemmas, universal and Penn parts of speech, and dependencies in CoNLL-U's ten columns."""
    offsets = tree.offsets()
    followers = [start for start, _ in offsets[1:]] + [-1]
    lines = [f"# sent_id = {name}", f"# text = {tree.text()}"]
    for number, (leaf, (head, relation)) in enumerate(zip(tree.leaves(), layers.heads(tree), strict=True), 1):
        is_tight = offsets[number - 1][1] == followers[number - 1]
        misc = "SpaceAfter=No" if is_tight else "_"
        cells = (number, leaf.word, leaf.lemma, leaf.upos, leaf.category, "_", head, relation, "_", misc)
        lines.append("\t".join(map(str, cells)))
    return "\n".join(lines) + "\n\n"


def entity_columns(tree: Node, name: str) -> str:
    """A word and its BIO tag per line."""
    del name  # the format has no place for it
    rows = zip(layers.words(tree), layers.entities(tree), strict=True)
    return "".join(f"{word}\t{tag}\n" for word, tag in rows) + "\n"


def bracketed(tree: Node, name: str) -> str:
    """The constituency tree in the Penn Treebank's notation, on one line."""
    del name  # the format has no place for it
    return layers.brackets(tree) + "\n"


def proposition_columns(tree: Node, name: str) -> str:
    """Word, part of speech, the predicates' lemmas and rolesets, and a column of brackets for each predicate."""
    leaves = list(tree.leaves())
    columns = [[leaf.word for leaf in leaves], [leaf.category for leaf in leaves]]
    propositions = layers.propositions(tree)
    predicates = {proposition.predicate: leaves[proposition.predicate].lemma for proposition in propositions}
    columns.append([predicates.get(place, "-") for place in range(len(leaves))])
    columns.append([_roleset(predicates[place]) if place in predicates else "-" for place in range(len(leaves))])
    for proposition in propositions:
        cells = ["*"] * len(leaves)
        for label, start, end in (("V", proposition.predicate, proposition.predicate + 1), *proposition.arguments):
            cells[start] = f"({label}{cells[start]}"
            cells[end - 1] += ")"
        columns.append(cells)
    return f"# sent_id = {name}\n" + "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)) + "\n"


def proposition_lines(tree: Node, name: str) -> str:
    """A line of JSON for each proposition, with its arguments as BIO tags."""
    leaves = list(tree.leaves())
    lines = []
    for proposition in layers.propositions(tree):
        tags = ["O"] * len(leaves)
        tags[proposition.predicate] = "B-V"
        for label, start, end in proposition.arguments:
            short = label.replace("ARG", "A")  # R-ARGM-TMP -> R-AM-TMP
            tags[start:end] = [f"B-{short}", *[f"I-{short}"] * (end - start - 1)]
        item = {
            "sent_id": name,
            "tokens": [leaf.word for leaf in leaves],
            "predicate": proposition.predicate,
            "roleset": _roleset(leaves[proposition.predicate].lemma),
            "tags": tags,
        }
        lines.append(json.dumps(item, separators=(",", ":")) + "\n")
    return "".join(lines)


def _roleset(lemma: str) -> str:
    return f"{lemma}.01"  # no verb of the lexicon has two senses
