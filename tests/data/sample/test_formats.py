"""One sentence in every format, checked by hand."""

from __future__ import annotations

import json
from itertools import count

import pytest

from mtsearch.data.sample import formats
from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.grammar import Grammar
from mtsearch.data.sample.meaning import GAP, Attachment, Event, Thing
from mtsearch.data.sample.tree import Node

TEXT = "The girl who thanked Mira Halvorn didn't feed two dogs at Geneva Press."


@pytest.fixture(scope="module")
def tree() -> Node:
    thanks = Event("thank", agent=GAP, patient=Thing("Mira Halvorn", ""))
    feeding = Event(
        "feed",
        agent=Thing("girl", clause=thanks),
        patient=Thing("dog", "two", plural=True),
        place=Attachment("at", Thing("Geneva Press", "")),
        negated=True,
    )
    said = (Grammar(Chance(str(seed))).derive(feeding) for seed in count())
    return next(tree for tree in said if tree.text() == TEXT)


def table(text: str) -> list[list[str]]:
    """Rows that are easier to read with spaces for tabs; no value has one."""
    return [line.split() for line in text.strip("\n").split("\n")]


def test_conllu(tree: Node) -> None:
    expected = """
        1  The     the     DET   DT  _ 2  det       _ _
        2  girl    girl    NOUN  NN  _ 9  nsubj     _ _
        3  who     who     PRON  WP  _ 4  nsubj     _ _
        4  thanked thank   VERB  VBD _ 2  acl:relcl _ _
        5  Mira    Mira    PROPN NNP _ 4  obj       _ _
        6  Halvorn Halvorn PROPN NNP _ 5  flat      _ _
        7  did     do      AUX   VBD _ 9  aux       _ SpaceAfter=No
        8  n't     not     PART  RB  _ 9  advmod    _ _
        9  feed    feed    VERB  VB  _ 0  root      _ _
        10 two     two     NUM   CD  _ 11 nummod    _ _
        11 dogs    dog     NOUN  NNS _ 9  obj       _ _
        12 at      at      ADP   IN  _ 14 case      _ _
        13 Geneva  Geneva  PROPN NNP _ 14 compound  _ _
        14 Press   Press   PROPN NNP _ 9  obl       _ SpaceAfter=No
        15 .       .       PUNCT .   _ 9  punct     _ _
    """
    sent_id, text, *rows = formats.conllu(tree, "dev-7").split("\n")
    assert (sent_id, text) == ("# sent_id = dev-7", f"# text = {TEXT}")
    assert [row.split("\t") for row in rows] == [*table(expected)[:-1], [""], [""]]


def test_entity_columns(tree: Node) -> None:
    expected = (
        "The/O girl/O who/O thanked/O Mira/B-PER Halvorn/I-PER did/O n't/O feed/O two/O dogs/O at/O Geneva/B-ORG "
        "Press/I-ORG ./O"
    )
    assert formats.entity_columns(tree, "dev-7") == expected.replace("/", "\t").replace(" ", "\n") + "\n\n"


def test_bracketed(tree: Node) -> None:
    assert formats.bracketed(tree, "dev-7") == (
        "(ROOT (S "
        "(NP (NP (DT The) (NN girl)) (SBAR (WHNP (WP who)) (S (VP (VBD thanked) (NP (NNP Mira) (NNP Halvorn)))))) "
        "(VP (VBD did) (RB n't) "
        "(VP (VB feed) (NP (CD two) (NNS dogs)) (PP (IN at) (NP (NNP Geneva) (NNP Press))))) "
        "(. .)))\n"
    )


def test_proposition_columns(tree: Node) -> None:
    expected = """
        The     DT  -     -        (ARG0*    (ARG0*
        girl    NN  -     -        *)        *
        who     WP  -     -        (R-ARG0*) *
        thanked VBD thank thank.01 (V*)      *
        Mira    NNP -     -        (ARG1*    *
        Halvorn NNP -     -        *)        *)
        did     VBD -     -        *         *
        n't     RB  -     -        *         (ARGM-NEG*)
        feed    VB  feed  feed.01  *         (V*)
        two     CD  -     -        *         (ARG1*
        dogs    NNS -     -        *         *)
        at      IN  -     -        *         (ARGM-LOC*
        Geneva  NNP -     -        *         *
        Press   NNP -     -        *         *)
        .       .   -     -        *         *
    """
    sent_id, *rows = formats.proposition_columns(tree, "dev-7").split("\n")
    assert sent_id == "# sent_id = dev-7"
    assert [row.split("\t") for row in rows] == [*table(expected)[:-1], [""], [""]]


def test_proposition_lines(tree: Node) -> None:
    first, second = map(json.loads, formats.proposition_lines(tree, "dev-7").splitlines())
    assert {key: first[key] for key in ("sent_id", "predicate", "roleset")} == {
        "sent_id": "dev-7",
        "predicate": 3,
        "roleset": "thank.01",
    }
    assert first["tokens"] == second["tokens"] == [leaf.word for leaf in tree.leaves()]
    assert " ".join(first["tags"]) == "B-A0 I-A0 B-R-A0 B-V B-A1 I-A1 O O O O O O O O O"
    assert " ".join(second["tags"]) == (
        "B-A0 I-A0 I-A0 I-A0 I-A0 I-A0 O B-AM-NEG B-V B-A1 I-A1 B-AM-LOC I-AM-LOC I-AM-LOC O"
    )
