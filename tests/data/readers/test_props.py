"""Predicates and arguments in columns of brackets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.data.files import FilePart, open_file
from mtsearch.data.readers.propositions import read_propositions
from mtsearch.data.readers.props import read_props
from mtsearch.data.readers.table import Table

PROPBANK = """\
# doc = a.xml
# sent_id = s-1
#\tSYM\t-\t-\t(ARG0*\t*
one\tCD\t-\t-\t*)\t(ARG0*)
wants\tVBZ\twant\twant.01\t(V*)\t*
to\tTO\t-\t-\t(ARG1*\t*
win\tVB\twin\twin.01\t*)\t(V*)
who\tWP\t-\t-\t(R-ARG0*)\t(C-ARGM-TMP*)

Hello\tUH\t-\t-
"""
# The same sentences as CoNLL-2012 and PropBank's own releases have them.
CONLL_2012 = """\
#begin document (nw/a_0001); part 000
nw/a_0001   0   0      #   SYM  (TOP(S*      -    -   -   -   *   (ARG0*           *    -
nw/a_0001   0   1    one    CD        *      -    -   -   -   *        *)      (ARG0*)  (3)
nw/a_0001   0   2  wants   VBZ        *   want   01   1   -   *      (V*)          *    -
nw/a_0001   0   3     to    TO        *      -    -   -   -   *    (ARG1*          *    -
nw/a_0001   0   4    win    VB        *    win   01   1   -   *        *)        (V*)   -
nw/a_0001   0   5    who    WP       *)      -    -   -   -   *  (R-ARG0*)  (C-ARGM-TMP*)  -

nw/a_0001   0   0  Hello    UH   (TOP*)      -    -   -   -   *   -

#end document
"""
GOLD_CONLL = """\
a.xml 0 0 # SYM (TOP(S* - - (ARG0* *
a.xml 0 1 one CD * - - *) (ARG0*)
a.xml 0 2 wants VBZ * want want.01 (V*) *
a.xml 0 3 to TO * - - (ARG1* *
a.xml 0 4 win VB * win win.01 *) (V*)
a.xml 0 5 who WP *) - - (R-ARG0*) (C-ARGM-TMP*)

a.xml 1 0 Hello UH (TOP*) - -
"""
WORDS = ["#", "one", "wants", "to", "win", "who"]
PROPOSITIONS = [
    (2, [(0, 2, "A0"), (3, 5, "A1"), (5, 6, "R-A0")]),
    (4, [(1, 2, "A0"), (5, 6, "C-AM-TMP")]),
]


@pytest.mark.parametrize(
    ("text", "ids"),
    [(PROPBANK, ["s-1", "10"]), (CONLL_2012, ["2", "9"]), (GOLD_CONLL, ["1", "8"])],
    ids=["propbank", "conll-2012", "gold-conll"],
)
def test_each_layout_gives_the_same_propositions(text: str, ids: list[str]) -> None:
    table = read_props(text.split("\n"), True)
    tags = ["SYM", "CD", "VBZ", "TO", "VB", "WP"]
    assert table.columns == ("id", "words", "pos", "propositions")
    assert [values for _, values in table.rows] == [
        (ids[0], WORDS, tags, PROPOSITIONS),
        (ids[1], ["Hello"], ["UH"], []),
    ]
    assert table.refused == []


@pytest.mark.parametrize("text", [PROPBANK, CONLL_2012, GOLD_CONLL], ids=["propbank", "conll-2012", "gold-conll"])
def test_windows_line_ends_and_a_byte_order_mark_leave_no_trace(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.conll").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert list(open_file(FilePart(tmp_path / "x.conll", "props", {}, True)).table.rows) == list(
        read_props(text.split("\n"), True).rows
    )


def _sentence(*cells: str) -> list[str]:
    rest = [f"w\tNN\t-\t-\t{cell}" for cell in cells]
    return ["runs\tVBZ\trun\trun.01\t(V*)", *rest]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("ARG0", "A0"),
        ("ARGM-TMP", "AM-TMP"),
        ("R-ARGM-LOC", "R-AM-LOC"),
        ("C-ARG1", "C-A1"),
        ("ARGA", "AA"),
        ("ARG1-DSP", "A1-DSP"),
        ("A0", "A0"),
        ("AM-NEG", "AM-NEG"),
        ("C-V", "C-V"),
        ("ARGUMENT", "ARGUMENT"),
    ],
)
def test_labels_are_called_as_in_conll_2005(label: str, expected: str) -> None:
    rows: Any = read_props(_sentence(f"({label}*)"), True).rows
    assert rows[0][1][3] == [(0, [(1, 2, expected)])]


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        (_sentence("(ARG0*", "(ARG1*)"), 3, "the argument ARG1 begins inside ARG0"),
        (_sentence("(ARG0*(ARG1*"), 2, "the brackets must be as in (A1*, *, *) or (A1*), but are '(ARG0*(ARG1*'"),
        (_sentence("*", "*)"), 3, "an argument ends that never began"),
        (_sentence("(ARG0*)", "(ARG1*", "*"), 3, "the argument ARG1 never ends"),
        (_sentence("*", "*\t*"), 3, "the line must have 5 columns as the first, but has 6"),
        (_sentence("-"), 2, "the brackets must be as in (A1*, *, *) or (A1*), but are '-'"),
        (["a\tNN\t-\t-\t*"], 1, "as many columns of brackets as words with a roleset (0), but are 1"),
        (["a\tNN"], 1, "the line must have a word, its part of speech, lemma and roleset, but has 2 column(s)"),
    ],
)
def test_a_broken_sentence_is_refused_by_its_line_and_the_next_is_read(
    lines: list[str], line: int, reason: str
) -> None:
    table = read_props([*lines, "", *_sentence("(ARG1*)")], True)
    assert [refusal.line for refusal in table.refused] == [line]
    assert reason in table.refused[0].reason
    assert [values[1] for _, values in table.rows] == [["runs", "w"]]


@st.composite
def _sentences(draw: st.DrawFn) -> list[list[tuple[int, list[tuple[int, int, str]]]]]:
    """Propositions of eight words each."""
    sentences = []
    for _ in range(draw(st.integers(1, 3))):
        propositions = []
        for predicate in sorted(draw(st.sets(st.integers(0, 7), min_size=1, max_size=3))):
            bounds = sorted(draw(st.sets(st.integers(0, 8), max_size=6)))
            pairs = zip(bounds[::2], bounds[1::2], strict=False)
            arguments = [(start, end, draw(st.sampled_from(["A0", "AM-TMP", "R-A1"]))) for start, end in pairs]
            propositions.append((predicate, arguments))
        sentences.append(propositions)
    return sentences


@given(sentences=_sentences())
def test_whatever_is_written_as_columns_or_as_json_lines_is_read_back(sentences: Any) -> None:
    columns, lines = [], []
    for number, propositions in enumerate(sentences):
        rows = [[f"w{word}", "NN", "-", "-", *"*" * len(propositions)] for word in range(8)]
        for place, (predicate, arguments) in enumerate(propositions, 4):
            rows[predicate][3] = "be.01"
            tags = ["O"] * 8
            for start, end, label in arguments:
                rows[start][place] = f"({label}*"
                rows[end - 1][place] += ")"
                tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
            words = [row[0] for row in rows]
            lines.append(json.dumps({"sent_id": str(number), "tokens": words, "predicate": predicate, "tags": tags}))
        columns += ["\t".join(row) for row in rows] + [""]
    tables = read_props(columns, True), read_propositions(lines, True)
    assert [[values[-1] for _, values in table.rows] for table in tables] == [sentences, sentences]


def _read(path: Path) -> Table:
    return open_file(FilePart(path, "props", {}, True)).table


REAL = {  # sentences, those with a proposition, propositions
    "train": (2611, 2215, 8404),
    "dev": (1959, 1526, 4956),
    "test": (2049, 1531, 4791),
}


@pytest.mark.parametrize("split", REAL)
def test_real_propositions_are_as_many_as_their_origin_says(split: str, real_data: Path) -> None:
    table = _read(real_data / "srl_propbank_ewt" / f"{split}.conll")
    rows: Any = table.rows
    sizes = [len(values[3]) for _, values in rows]
    assert (len(sizes), sum(size > 0 for size in sizes), sum(sizes)) == REAL[split]
    assert table.refused == []


@pytest.mark.parametrize(("split", "size"), [("train", 8399), ("dev", 4954), ("test", 4791)])
def test_real_propositions_are_the_same_as_in_the_json_lines(split: str, size: int, real_data: Path) -> None:
    folder = real_data / "srl_propbank_ewt"
    columns: Any = _read(folder / f"{split}.conll").rows
    by_id = {values[0]: values for _, values in columns}
    part = FilePart(folder / f"{split}.jsonl", "propositions", {}, True)
    table = open_file(part).table
    rows: Any = table.rows
    assert sum(len(propositions) for _, (_, _, propositions) in rows) == size
    for _, (id_, words, propositions) in rows:
        assert by_id[id_][1] == words
        assert [proposition for proposition in propositions if proposition not in by_id[id_][3]] == []
    assert table.refused == []
