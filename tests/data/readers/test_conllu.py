"""Treebanks: what is a word, what is a tree, and where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtsearch.data.files import FilePart, open_file
from mtsearch.data.readers import Table
from mtsearch.data.readers.conllu import read_conllu


def _word(id_: str, form: str, head: str = "0", deprel: str = "root", upos: str = "X") -> str:
    return "\t".join([id_, form, form.lower(), upos, "_", "_", head, deprel, "_", "_"])


def _read(*lines: str) -> Table:
    return read_conllu(lines, True)


def test_a_sentence_is_its_words_without_multiword_tokens_and_empty_nodes() -> None:
    table = _read(
        "# newdoc id = d",
        "# sent_id = s-1",
        "# text = Can't",
        _word("1-2", "Can't", "_", "_", "_"),
        _word("1", "Ca", "0", "root", "AUX"),
        _word("2", "n't", "1", "advmod", "PART"),
        _word("2.1", "swim", "_", "_", "VERB"),
        _word("3", "#", "1", "punct", "SYM"),
        "",
        _word("1", "Yes"),
    )
    assert table.columns == ("id", "words", "lemmas", "upos", "xpos", "dependencies", "deprels")
    assert list(table.rows) == [
        (
            1,
            (
                "s-1",
                ["Ca", "n't", "#"],
                ["ca", "n't", "#"],
                ["AUX", "PART", "SYM"],
                None,
                [(0, "root"), (1, "advmod"), (1, "punct")],
                ["root", "advmod", "punct"],
            ),
        ),
        (10, ("10", ["Yes"], ["yes"], ["X"], None, [(0, "root")], ["root"])),
    ]
    assert table.refused == []


def test_columns_after_the_tenth_are_passed_over() -> None:
    (row,) = _read(_word("1", "Go") + "\tgo.01\tV\t", _word("2", "!", "1", "punct") + "\t_\t_").rows
    assert row[1][1] == ["Go", "!"]


def test_a_treebank_without_dependencies_still_has_its_words_and_tags() -> None:
    (row,) = _read(_word("1", "a", "_", "_", "DET"), _word("2", "b", "_", "_", "NOUN")).rows
    assert row[1] == ("1", ["a", "b"], ["a", "b"], ["DET", "NOUN"], None, None, None)


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ([_word("1", "a"), "2\tb\tb\tX"], 2, "the line must have 10 columns, but has 4"),
        ([_word("1", "a"), "", "1 b b X _ _ 0 root _ _"], 3, "the line must have 10 columns, but has 1"),
        ([_word("1", "a"), _word("3", "b", "1")], 2, "the word must have the id 2, but has '3'"),
        ([_word("1", "a"), _word("x", "b", "1")], 2, "the word must have the id 2, but has 'x'"),
        ([_word("1", "a"), _word("2", "b", "3")], 2, "the head must be from 0 to 2, but is '3'"),
        ([_word("1", "a"), _word("2", "b", "-1")], 2, "the head must be from 0 to 2, but is '-1'"),
        ([_word("1", "a"), _word("2", "b", "_")], 2, "the head must be from 0 to 2, but is '_'"),
        (["# c", _word("1", "a", "2"), _word("2", "b", "1")], 2, "one word must be the root (head 0), but none has"),
        ([_word("1", "a"), _word("2", "b", "1"), _word("3", "c")], 3, "(head 0), but words 1, 3 have that head"),
        ([_word("1", "a", "1"), _word("2", "b")], 1, "the heads must be a tree, but words 1 are a cycle"),
        (
            [_word("1", "a"), _word("2", "b", "4"), _word("3", "c", "2"), _word("4", "d", "3"), _word("5", "e", "2")],
            2,
            "the heads must be a tree, but words 2, 3, 4 are a cycle",
        ),
        (
            [_word("1", "a", "3"), _word("2", "b"), _word("3", "c", "4"), _word("4", "d", "3")],
            3,
            "the heads must be a tree, but words 3, 4 are a cycle",
        ),
        (["# text = ", _word("1-2", "am", "_", "_")], 1, "the sentence has no words"),
    ],
)
def test_a_broken_sentence_is_refused_by_its_line_and_the_next_is_read(
    lines: list[str], line: int, reason: str
) -> None:
    table = _read(*lines, "", _word("1", "Next"))
    assert [refusal.line for refusal in table.refused] == [line]
    assert reason in table.refused[0].reason
    assert table.rows[-1][1][1] == ["Next"]


def test_a_comment_alone_is_no_sentence() -> None:
    assert _read("# global.columns = ID FORM", "", _word("1", "a")).rows[0][0] == 3


def test_windows_line_ends_and_a_byte_order_mark_leave_no_trace(tmp_path: Path) -> None:
    lines = ["# sent_id = s", _word("1", "a"), "", _word("1", "b")]
    (tmp_path / "x.conllu").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    table = open_file(FilePart(tmp_path / "x.conllu", "conllu", {}, True)).table
    assert table == _read(*lines)


# (sentences, words, longest, deprels); multiword tokens and empty nodes are not counted
REAL = {
    "train": (4043, 65638, 102, 51),
    "dev": (2001, 25147, 75, 49),
    "test": (2077, 25094, 81, 49),
}


@pytest.mark.parametrize("split", REAL)
def test_a_real_treebank_has_the_words_of_its_origin(split: str, real_data: Path) -> None:
    part = FilePart(real_data / "ud_ewt" / f"en_ewt-ud-{split}.conllu", "conllu", {}, True)
    table = open_file(part).table
    rows: Any = table.rows
    lengths = [len(values[1]) for _, values in rows]
    deprels = {deprel for _, values in rows for deprel in values[6]}
    assert (len(lengths), sum(lengths), max(lengths), len(deprels)) == REAL[split]
    assert table.refused == []


@pytest.mark.parametrize(("split", "size"), [("dev", 2002), ("test", 2077)])
def test_a_real_treebank_with_more_columns_is_read(split: str, size: int, real_data: Path) -> None:
    part = FilePart(real_data / "srl_up_ewt" / f"en_ewt-up-{split}.conllu", "conllu", {}, True)
    table = open_file(part).table
    assert (len(table.rows), list(table.refused)) == (size, [])
