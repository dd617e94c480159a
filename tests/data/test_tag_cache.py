"""The tags of texts in files: each text is tagged once, whoever asks, and damage is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mtsearch.data import tag_cache
from mtsearch.data.tag_cache import tags_of_texts
from mtsearch.data.word_tags import Word, WordTags
from tests.data.test_word_tags import LAYERS, words


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))


class Shouting:
    """Tags words by their case, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> WordTags:
        self.asked += texts
        return WordTags.of([spoken(text) for text in texts], LAYERS)


def spoken(text: str) -> list[Word]:
    return [Word(0, len(text), ("LOUD" if text.isupper() else "QUIET", ""))] if text else []


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "tags").glob("*/*.arrow"))


def test_a_text_is_tagged_once_and_each_place_of_it_has_its_tags() -> None:
    tag = Shouting()
    texts = ["no", "YES", "", "no", "YES"]
    assert words(tags_of_texts(texts, "k", tag, LAYERS)) == [spoken(text) for text in texts]
    assert sorted(tag.asked) == ["", "YES", "no"]


def test_the_next_one_tags_only_what_is_new() -> None:
    tags_of_texts(["no", "YES"], "k", Shouting(), LAYERS)
    tag = Shouting()
    assert words(tags_of_texts(["MORE", "YES", "no"], "k", tag, LAYERS)) == [spoken(x) for x in ("MORE", "YES", "no")]
    assert tag.asked == ["MORE"]
    silent = Shouting()
    assert words(tags_of_texts(["no", "MORE"], "k", silent, LAYERS)) == [spoken(x) for x in ("no", "MORE")]
    assert silent.asked == []


def test_what_decides_the_tags_keeps_them_apart(tmp_path: Path) -> None:
    tags_of_texts(["no"], "one pipeline", Shouting(), LAYERS)
    tag = Shouting()
    tags_of_texts(["no"], "another", tag, LAYERS)
    assert tag.asked == ["no"]
    assert len(parts(tmp_path)) == 2


def test_many_texts_are_written_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_cache, "_PART_TEXTS", 2)
    texts = ["a", "b", "C", "D", "e"]
    assert words(tags_of_texts(texts, "k", Shouting(), LAYERS)) == [spoken(text) for text in texts]
    assert len(parts(tmp_path)) == 3
    assert words(tags_of_texts(texts, "k", Shouting(), LAYERS)) == [spoken(text) for text in texts]


def test_a_damaged_part_is_tagged_again(tmp_path: Path) -> None:
    text = "a" * 30001
    tags_of_texts([text], "k", Shouting(), LAYERS)
    (part,) = parts(tmp_path)
    content = bytearray(part.read_bytes())
    content[content.index(np.array([30001], dtype=np.int32).tobytes())] ^= 1  # where the word ends
    part.write_bytes(content)
    tag = Shouting()
    assert words(tags_of_texts([text], "k", tag, LAYERS)) == [spoken(text)]
    assert tag.asked == [text]


def test_an_unwritable_cache_costs_only_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", "/proc/nowhere")
    assert words(tags_of_texts(["no"], "k", Shouting(), LAYERS)) == [spoken("no")]


def test_no_texts_have_no_tags() -> None:
    assert words(tags_of_texts([], "k", Shouting(), LAYERS)) == []
