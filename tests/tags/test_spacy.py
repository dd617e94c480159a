"""Tags by spaCy: a pipeline from a folder, its words' places, and one line where something is missing."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import Tagger
from mtsearch.data.word_tags import Word
from mtsearch.errors import ConfigError
from mtsearch.tags import Spacy
from tests.data.test_word_tags import words


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))


def tagger(folder: Path, *, is_cached: bool = False) -> Tagger:
    found = Spacy(pipeline=str(folder)).tagger(is_cached=is_cached, open_export=Mock())
    assert found is not None
    return found


def example(*texts: str) -> Example:
    return Example("1", texts, None, 1, tuple(texts[0].split()))


def test_words_have_their_place_part_of_speech_and_entity(tiny_pipeline: Path) -> None:
    tags = tagger(tiny_pipeline).tag([example("This FILM  isn't 🙂 good.\n")], "single")
    assert words(tags) == [
        [
            Word(0, 4, ("DET", "")),
            Word(5, 9, ("NOUN", "WORK")),
            Word(11, 13, ("AUX", "")),
            Word(13, 16, ("", "")),
            Word(17, 18, ("", "")),
            Word(19, 23, ("ADJ", "")),
            Word(23, 24, ("PUNCT", "")),
        ]
    ]


def test_both_texts_of_each_pair_are_tagged_in_turn_and_words_as_one_text(tiny_pipeline: Path) -> None:
    pairs = tagger(tiny_pipeline).tag([example("a", ""), example("", "bad")], "siamese")
    assert words(pairs) == [[Word(0, 1, ("DET", ""))], [], [], [Word(0, 3, ("ADJ", ""))]]
    given = tagger(tiny_pipeline).tag([example("the   film")], "words")
    assert words(given) == [[Word(0, 3, ("DET", "")), Word(4, 8, ("NOUN", "WORK"))]]


def test_the_pipeline_is_not_asked_again_for_what_it_tagged(
    tiny_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tagger(tiny_pipeline, is_cached=True)
    first = asked.tag([example("a film", "bad")], "pair")

    def fail(name: str, folder: Path) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr("mtsearch.tags.spacy._loaded", fail)
    assert words(asked.tag([example("bad", "a film")], "pair")) == words(first)[::-1]
    with pytest.raises(AssertionError, match="loaded again"):
        tagger(tiny_pipeline).tag([example("bad", "a film")], "pair")


def test_another_version_of_a_pipeline_is_another_source(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "same")
    shutil.copytree(tiny_pipeline, tmp_path / "other")
    with (tmp_path / "other/attribute_ruler/patterns").open("ab") as file:
        file.write(b" ")
    assert tagger(tmp_path / "same").identity() == tagger(tiny_pipeline).identity()
    assert tagger(tmp_path / "other").identity() != tagger(tiny_pipeline).identity()
    assert tagger(tiny_pipeline) == tagger(tiny_pipeline)
    assert "0.0.0 by spaCy 3" in tagger(tiny_pipeline).describe()


def test_texts_of_any_length_are_tagged(tiny_pipeline: Path) -> None:
    tags = tagger(tiny_pipeline).tag([example("a " * 500_001)], "single")
    assert np.diff(tags.offsets).tolist() == [500_001]


def test_without_spacy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "spacy" else found(name))
    with pytest.raises(
        ConfigError, match=r"tags\.name: spacy needs the package spacy, .* pip install 'mtsearch\[spacy\]'"
    ):
        Spacy().tagger(is_cached=False, open_export=Mock())


@pytest.mark.parametrize("name", ["no_such_pipeline", "./nowhere", "json", "numpy", "typing-extensions"])
def test_a_pipeline_that_is_not_there_is_one_line(name: str, tiny_pipeline: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"tags\.pipeline: '{name}' must be an installed pipeline of spaCy or a folder"
    ):
        Spacy(pipeline=name).tagger(is_cached=False, open_export=Mock())


def test_a_broken_pipeline_is_one_line(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "broken")
    (tmp_path / "broken/vocab/strings.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tags\.pipeline: '.*broken' must be a pipeline of this version") as caught:
        tagger(tmp_path / "broken").tag([example("a")], "single")
    assert "\n" not in str(caught.value)
