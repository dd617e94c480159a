"""Tags by an export: where words stand, what is asked once, and one line where a task does not suit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import Tagger
from mtsearch.data.word_tags import Word
from mtsearch.errors import ConfigError, RunError
from mtsearch.tags import ExportedTags
from tests.data.test_word_tags import words

KINDS = {"upos": "tagging", "names": "ner", "tone": "classification"}


@dataclass(frozen=True)
class Fake:
    """An export that calls capitalised words names, and all others by their first letter."""

    kinds: Mapping[str, str] = field(default_factory=lambda: KINDS, compare=False)
    content_hash: str = "1"
    folder: Path = Path("exports/tagger")
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list, compare=False)

    def predict(self, task: str, texts: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
        self.asked.extend((task, text) for text in texts)
        if task == "upos":
            return [{"prediction": [word[0] for word in text]} for text in texts]
        spans = [[(at, at + 1, "NAME") for at, word in enumerate(text) if word.istitle()] for text in texts]
        return [{"prediction": of_text} for of_text in spans]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))


def tagger(export: Fake, *, is_cached: bool = False, **fields: Any) -> Tagger:
    found = ExportedTags(folder="exports/tagger", **fields).tagger(
        is_cached=is_cached, open_export={export.folder: export}.__getitem__
    )
    assert found is not None
    return found


def example(*texts: str, words: tuple[str, ...] | None = None) -> Example:
    return Example("1", texts, None, 1, words)


def test_words_of_running_text_have_their_place_and_tags() -> None:
    tags = tagger(Fake()).tag([example("It isn't Rome.\n")], "single")
    assert words(tags) == [
        [
            Word(0, 2, ("I", "NAME")),
            Word(3, 5, ("i", "")),
            Word(5, 8, ("n", "")),
            Word(9, 13, ("R", "NAME")),
            Word(13, 14, (".", "")),
        ]
    ]


def test_words_that_are_given_are_not_found_anew() -> None:
    export = Fake()
    tags = tagger(export, layers="pos").tag([example("isn't so.", words=("isn't", "so."))], "words")
    assert export.asked == [("upos", ("isn't", "so."))]
    assert (tags.starts.tolist(), tags.ends.tolist(), tags.offsets.tolist()) == ([0, 6], [5, 9], [0, 2])


def test_an_entity_of_several_words_tags_each() -> None:
    class Long(Fake):
        def predict(self, task: str, texts: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
            return [{"prediction": [(1, 3, "PLACE")]} for _ in texts]

    tags = tagger(Long(), layers="entities").tag([example("in New York now")], "single")
    assert tags.names == {"entities": ("PLACE",)}
    assert tags.numbers["entities"].tolist() == [0, 1, 1, 0]


def test_texts_without_words_are_not_asked_for() -> None:
    export = Fake()
    tags = tagger(export).tag([example("", "a"), example(" ", "")], "siamese")
    assert words(tags) == [[], [Word(0, 1, ("a", ""))], [], []]
    given = tagger(export).tag([example("", words=(" ",))], "words")
    assert words(given) == [[Word(0, 1, ("", ""))]]
    assert {text for _, text in export.asked} == {("a",)}


def test_a_sentence_is_tagged_once_in_each_layer_whatever_the_space_between_its_words() -> None:
    export = Fake()
    tagger(export, is_cached=True, layers="pos").tag([example("a b"), example("a  b")], "single")
    assert export.asked == [("upos", ("a", "b"))]
    again = tagger(export, is_cached=True).tag([example("a   b")], "single")
    assert export.asked[1:] == [("names", ("a", "b"))]
    assert words(again) == [[Word(0, 1, ("a", "")), Word(4, 5, ("b", ""))]]
    tagger(export, is_cached=True, pos_task="upos").tag([example("a b", words=("a", "b"))], "words")
    assert len(export.asked) == 2


def test_another_export_is_asked_anew_and_is_another_source() -> None:
    first, other = Fake(), Fake(content_hash="2")
    for export in (first, other):
        tagger(export, is_cached=True, layers="pos").tag([example("a")], "single")
        assert len(export.asked) == 1
    assert tagger(first).identity() != tagger(other).identity()
    assert tagger(first).identity() != tagger(first, layers="pos").identity()
    assert tagger(first) == tagger(Fake())
    assert tagger(first) != tagger(other)


def test_it_says_which_task_gives_what() -> None:
    assert tagger(Fake()).describe() == "exports/tagger, pos by its task upos and entities by its task names"


TWO = {"upos": "tagging", "xpos": "tagging"}


@pytest.mark.parametrize(
    ("kinds", "fields", "message"),
    [
        (KINDS, {"pos_task": "xpos"}, r"tags\.pos_task: must be a task of kind tagging, but got 'xpos'; .* upos \(tag"),
        (KINDS, {"entities_task": "upos"}, r"tags\.entities_task: must be a task of kind ner, but got 'upos'"),
        (TWO, {"layers": "pos"}, r"tags\.pos_task: must say which .* several of kind tagging: upos, xpos"),
        (TWO, {"pos_task": "xpos"}, r"tags\.layers: entities must come from a task of kind ner, .* leave out entities"),
    ],
)
def test_a_task_that_does_not_suit_is_one_line(kinds: dict[str, str], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        tagger(Fake(kinds), **fields)
    assert "\n" not in str(caught.value)


def test_of_several_tasks_one_is_named() -> None:
    assert tagger(Fake(TWO), layers="pos", pos_task="xpos").describe().endswith("pos by its task xpos")


def test_a_folder_that_is_no_export_is_one_line() -> None:
    def refuse(folder: Path) -> Fake:
        raise RunError(f"{folder}: must be a folder that mtsearch export wrote")

    with pytest.raises(ConfigError, match=r"tags\.folder: nowhere: must be a folder that mtsearch export wrote"):
        ExportedTags(folder="nowhere").tagger(is_cached=True, open_export=refuse)
