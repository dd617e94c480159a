"""Trees in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.data.examples import Refusal
from mtsearch.data.files import FilePart, open_file
from mtsearch.data.readers.brackets import read_brackets


def _constituents(*lines: str) -> Any:
    ((_, (_, _, constituents, _)),) = read_brackets(lines, True).rows
    return constituents


def test_a_tree_over_several_lines_is_its_words_tags_and_constituents_outer_first() -> None:
    lines = ["(ROOT", "  (S", "    (NP-SBJ (PRP We))", "    (VP (VBD won) (NP (DT the) (NN cup)))", "    (. .)))", ""]
    table = read_brackets(lines, True)
    tags = ["PRP", "VBD", "DT", "NN", "."]
    constituents = [(0, 5, "S"), (0, 1, "NP"), (1, 4, "VP"), (2, 4, "NP")]
    assert table.columns == ("words", "tags", "constituents", "tree")
    assert list(table.rows) == [(1, (["We", "won", "the", "cup", "."], tags, constituents, (tags, constituents)))]


@pytest.mark.parametrize("top", ["ROOT", "TOP", ""])
def test_the_top_is_no_constituent(top: str) -> None:
    assert _constituents(f"({top} (S (NP (NN a)) (VP (VB b))))") == [(0, 2, "S"), (0, 1, "NP"), (1, 2, "VP")]


def test_a_node_inside_may_be_called_as_a_top() -> None:
    assert _constituents("(S (TOP (NN a)))") == [(0, 1, "S"), (0, 1, "TOP")]


def test_a_chain_of_single_nodes_is_listed_from_above() -> None:
    assert _constituents("(ROOT (S (VP (VP (VB Go)))))") == [(0, 1, "S"), (0, 1, "VP"), (0, 1, "VP")]


@pytest.mark.parametrize(
    ("label", "expected"),
    [("NP-SBJ-1", "NP"), ("NP=2", "NP"), ("NP-TMP=3", "NP"), ("-X-SBJ", "-X"), ("ADJP", "ADJP"), ("S|VP", "S|VP")],
)
def test_function_tags_are_cut_from_constituents(label: str, expected: str) -> None:
    assert _constituents(f"(ROOT ({label} (NN a) (NN b)))") == [(0, 2, expected)]


def test_parts_of_speech_keep_their_hyphens_and_bracket_words_are_brackets() -> None:
    ((_, (words, tags, _, _)),) = read_brackets(
        ["(ROOT (NP (-LRB- -LRB-) (NN -LRB-a-RRB-) (NN-X b) (-RRB- -RCB-) (SYM -x-)))"], True
    ).rows
    assert words == ["(", "(a)", "b", "}", "-x-"]
    assert tags == ["-LRB-", "NN", "NN-X", "-RRB-", "SYM"]


def test_traces_go_with_all_that_is_empty_without_them() -> None:
    line = "( (S (NP-SBJ (-NONE- *)) (VP (VB Go) (SBAR (-NONE- 0) (S (NP (-NONE- *T*-1)))) (ADVP (RB now)))))"
    ((_, (words, tags, constituents, _)),) = read_brackets([line], True).rows
    assert (words, tags) == (["Go", "now"], ["VB", "RB"])
    assert constituents == [(0, 2, "S"), (0, 2, "VP"), (1, 2, "ADVP")]


@pytest.mark.parametrize("line", ["(ROOT (NN Introduction))", "(NN Introduction)"])
def test_a_tree_may_be_one_word(line: str) -> None:
    ((_, (words, tags, constituents, tree)),) = read_brackets([line], True).rows
    assert (words, tags, constituents, tree) == (["Introduction"], ["NN"], [], (["NN"], []))


def test_trees_may_stand_one_after_the_other_without_a_blank_line() -> None:
    table = read_brackets(["(ROOT (NN a)) (ROOT (NN b))", "(ROOT", " (NN c))", "", " (ROOT (NN d))"], True)
    assert [(line, values[0]) for line, values in table.rows] == [(1, ["a"]), (1, ["b"]), (2, ["c"]), (5, ["d"])]


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        (["(ROOT (S (NN b)"], 2, "2 bracket(s) of the tree are never closed"),
        (["(ROOT", " (S (NN b))", " (NN c)", ""], 2, "1 bracket(s) of the tree are never closed"),
        (["(ROOT", " (S (NN b)"], 2, "2 bracket(s) of the tree are never closed"),
        (["(ROOT", " (NN b)))"], 3, "brackets must hold everything, but ')' stands outside"),
        (["(ROOT (NN b))", "stray"], 3, "brackets must hold everything, but 'stray' stands outside"),
        (["(ROOT (NP b (NN c)))"], 2, "NP must hold a word or nodes, but holds both"),
        (["(ROOT (NP (NN c) b))"], 2, "each word must have brackets of its own with its tag, but 'b' has not"),
        (["(ROOT (NN b c))"], 2, "each word must have brackets of its own with its tag, but 'c' has not"),
        (["(ROOT (NN b)", " (NP))"], 3, "each node must hold a word or nodes, but (NP) is empty"),
        (["(ROOT (NP (-NONE- *)))"], 2, "the tree has no words"),
        (["()"], 2, "each node must hold a word or nodes, but () is empty"),
    ],
)
def test_a_broken_tree_is_refused_by_line_and_reading_goes_on_at_the_next(
    lines: list[str], line: int, reason: str
) -> None:
    table = read_brackets(["(ROOT (NN a))", *lines, "(ROOT (NN z))"], True)
    assert table.refused == [Refusal(line, reason)]
    assert [values[0] for _, values in table.rows] == [["a"], ["z"]]


def test_a_tree_of_any_depth_is_read() -> None:
    depth = 5000
    assert len(_constituents("(ROOT " + "(NP " * depth + "(NN a)" + ")" * depth + ")")) == depth


_Tree = tuple[str, Any]  # a label, and a word or trees
_leaves: st.SearchStrategy[_Tree] = st.tuples(
    st.sampled_from(["NN", "VB", "-LRB-"]), st.sampled_from(["a", "-x", "b'"])
)
_trees: st.SearchStrategy[_Tree] = st.recursive(
    _leaves, lambda trees: st.tuples(st.sampled_from(["S", "NP", "VP"]), st.lists(trees, min_size=1, max_size=4))
)


def _written(tree: _Tree, gaps: Iterator[str]) -> str:
    label, inside = tree
    inner = inside if isinstance(inside, str) else next(gaps).join(_written(child, gaps) for child in inside)
    return f"({label}{next(gaps)}{inner})"


def _spans(tree: _Tree, start: int) -> tuple[int, list[tuple[int, int, str]]]:
    label, inside = tree
    if isinstance(inside, str):
        return start + 1, []
    end, below = start, []
    for child in inside:
        end, spans = _spans(child, end)
        below += spans
    return end, [(start, end, label), *below]


@given(trees=st.lists(_trees, min_size=1, max_size=3), gaps=st.lists(st.sampled_from([" ", "  ", "\n  "]), min_size=1))
def test_whatever_tree_is_written_over_whichever_lines_is_read_back(trees: list[_Tree], gaps: list[str]) -> None:
    text = "\n".join(_written(("ROOT", [tree]), cycle(gaps)) for tree in trees)
    table = read_brackets(text.split("\n"), True)
    assert [values[2] for _, values in table.rows] == [_spans(tree, 0)[1] for tree in trees]
    assert table.refused == []


REAL = {"train": (3000, 52293, 97, 45), "dev": (1575, 28119, 90, 45), "test": (1464, 28397, 134, 46)}


@pytest.mark.parametrize("split", REAL)
def test_real_trees_are_those_of_their_origin(split: str, real_data: Path) -> None:
    path = real_data / "gum_const" / f"{split}.ptb"
    table = open_file(FilePart(path, "brackets", {}, True)).table
    rows: Any = table.rows
    lengths = [len(values[0]) for _, values in rows]
    tags = {tag for _, values in rows for tag in values[1]}
    assert (len(lengths), sum(lengths), max(lengths), len(tags)) == REAL[split]
    assert table.refused == []
    # Every opening bracket is a word's, a top's or a constituent's.
    labels = [label for _, values in rows for *_, label in values[2]]
    text = path.read_text(encoding="utf-8")
    assert len(labels) == text.count("(") - sum(lengths) - len(lengths)
    assert labels.count("NP") == len(re.findall(r"\(NP[-=\s]", text))
