"""``word ... label`` columns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mtsearch.data.examples import Refusal
from mtsearch.data.files import FilePart, open_file
from mtsearch.data.readers.columns import read_columns


def test_the_four_columns_of_conll_2003_are_read_without_its_document_lines() -> None:
    lines = [
        "-DOCSTART- -X- -X- O",
        "",
        "EU NNP B-NP B-ORG",
        "rejects VBZ B-VP O",
        "",
        "-DOCSTART- -X- O O",
        "Peter NNP B-NP B-PER",
    ]
    table = read_columns(lines, True)
    assert table.columns == ("1", "2", "3", "4")
    assert list(table.rows) == [
        (3, [["EU", "rejects"], ["NNP", "VBZ"], ["B-NP", "B-VP"], ["B-ORG", "O"]]),
        (6, [["Peter"], ["NNP"], ["B-NP"], ["B-PER"]]),
    ]


def test_lines_of_white_space_end_a_sentence_and_a_word_may_be_a_number_sign() -> None:
    table = read_columns(["# a comment", "#\tO", "New York\tB-LOC", "\t", "  ", "b\tO"], True)
    assert list(table.rows) == [(1, [["#", "New York"], ["O", "B-LOC"]]), (6, [["b"], ["O"]])]
    assert table.refused == []


def test_a_line_of_another_width_costs_its_sentence() -> None:
    table = read_columns(["a\tX\tO", "", "b\tX\tO", "c\tO", "", "d\tX\tO", "\tX\tO", "", "e\tX\tO\t", "f\tX\t"], True)
    assert list(table.rows) == [(1, [["a"], ["X"], ["O"]])]
    assert table.refused == [
        Refusal(4, "the line must have 3 columns, but has 2"),
        Refusal(7, "column 1 is empty"),
        Refusal(10, "the line must have 3 columns, but has 2"),
    ]


def test_windows_line_ends_and_a_byte_order_mark_leave_no_trace(tmp_path: Path) -> None:
    (tmp_path / "x.conll").write_bytes(b"\xef\xbb\xbfa\tO\r\n\r\nb\tO\r\n")
    table = open_file(FilePart(tmp_path / "x.conll", "columns", {}, True)).table
    assert list(table.rows) == [(1, [["a"], ["O"]]), (3, [["b"], ["O"]])]


REAL = {  # sentences, words, entities by type
    "wnut17train.conll": (
        (3394, 62730),
        {"person": 660, "location": 548, "group": 264, "corporation": 221, "product": 142, "creative-work": 140},
    ),
    "emerging.dev.conll": (
        (1009, 15733),
        {"person": 470, "product": 114, "creative-work": 105, "location": 74, "group": 39, "corporation": 34},
    ),
    "emerging.test.annotated": (
        (1287, 23394),
        {"person": 429, "group": 165, "location": 150, "creative-work": 142, "product": 127, "corporation": 66},
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_entities_are_as_many_as_their_origin_says(name: str, real_data: Path) -> None:
    table = open_file(FilePart(real_data / "wnut17" / name, "columns", {}, True)).table
    rows: Any = table.rows
    tags = [tag for _, values in rows for tag in values[1]]
    assert ((len(table.rows), len(tags)), Counter(tag[2:] for tag in tags if tag.startswith("B-"))) == REAL[name]
    assert table.refused == []
