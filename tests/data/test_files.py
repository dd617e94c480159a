"""From bytes to lines: encodings, line ends, and files that are not what they should be."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from mtsearch.data.files import FilePart, open_file
from mtsearch.data.source import FileFormat
from mtsearch.errors import DataError


def _part(path: Path, data: bytes) -> FilePart:
    path.write_bytes(data)
    return FilePart(path, "tsv", {}, was_named=True)


def test_a_byte_order_mark_crlf_and_a_missing_last_line_end_leave_no_trace(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbftext\tlabel\r\ncaf\xc3\xa9\t1\r\nlast\t0"
    opened = open_file(_part(tmp_path / "x.tsv", data))
    assert opened.table.columns == ("text", "label")
    assert list(opened.table.rows) == [(2, ["café", "1"]), (3, ["last", "0"])]
    assert opened.sha256 == sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("brackets", "(ROOT\n  (NP (DT the) (NN end)))\n\n(ROOT (UH no))\n"),
        ("propositions", '{"tokens": ["Go"], "predicate": 0, "tags": ["B-V"]}\n'),
        ("snli", "gold_label\tsentence1\tsentence2\tlabel1\nneutral\ta\tb\n"),
    ],
)
def test_structured_files_of_windows_are_read_as_any_others(format_: FileFormat, text: str, tmp_path: Path) -> None:
    plain, windows = tmp_path / "plain", tmp_path / "windows"
    plain.write_bytes(text.encode())
    windows.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    table = open_file(FilePart(windows, format_, {}, True)).table
    assert len(table.rows) > 0
    assert table == open_file(FilePart(plain, format_, {}, True)).table


def test_columns_that_are_only_numbered_may_be_given_names(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("a\tO\n")
    assert open_file(FilePart(path, "columns", {}, True, ("tokens", "tags"))).table.columns == ("tokens", "tags")
    assert open_file(FilePart(path, "columns", {}, True, ("tokens", "pos", "tags"))).table.columns == ("1", "2")


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    opened = open_file(_part(tmp_path / "x.tsv", "text\tlabel\na\u2028b\x85c\rd\t1\n".encode()))
    assert list(opened.table.rows) == [(2, ["a\u2028b\x85c\rd", "1"])]


def test_column_numbers_say_that_there_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("a\t1\n")
    assert open_file(FilePart(path, "tsv", {"text": "1", "label": "2"}, True)).table.columns == ("1", "2")
    assert open_file(FilePart(path, "tsv", {"text": "a", "label": "1"}, True)).table.columns == ("a", "1")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.tsv: the file must hold rows, but is empty"),
        (b" \r\n\n", "x.tsv: the file must hold rows, but is empty"),
        (b"text\tlabel\nb\nc\ncaf\xe9\t1\n", "x.tsv, line 4: the file must be UTF-8, but has the byte 0xe9"),
        ("text\tlabel\n".encode("utf-16"), "x.tsv, line 1: the file must be UTF-8, but has the byte 0xff"),
        ("text\tlabel\n".encode("utf-16-le"), "x.tsv, line 1: the file must be text, but has a NUL byte"),
        (b"text\tlabel\na\0b\t1\n", "x.tsv, line 2: the file must be text, but has a NUL byte"),
    ],
)
def test_a_file_that_is_not_text_is_told_with_its_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError) as told:
        open_file(_part(tmp_path / "x.tsv", data))
    assert str(told.value).removeprefix(f"{tmp_path}/").startswith(message)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.tsv", tmp_path):
        with pytest.raises(DataError, match="the file cannot be read"):
            open_file(FilePart(path, "tsv", {}, True))
