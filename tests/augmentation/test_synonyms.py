"""The shipped table, and WordNet where nltk and its data are."""

from __future__ import annotations

import gc
import importlib.util
import warnings
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from mtsearch.augmentation import synonyms
from mtsearch.augmentation.synonyms import find_synonyms, stop_words
from mtsearch.errors import ConfigError

needs_nltk = pytest.mark.skipif(importlib.util.find_spec("nltk") is None, reason="nltk is not installed")

LINES = [
    line.split()
    for line in resources.files(synonyms.__package__).joinpath("synonyms.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
WORDS = {word for line in LINES for word in line}


def test_the_shipped_table_is_of_plain_words_in_small_letters() -> None:
    assert [word for word in WORDS if not (word.isascii() and word.isalpha() and word.islower())] == []
    assert len(WORDS) > 2_000


def test_a_line_of_the_table_has_several_words_and_stands_there_once() -> None:
    assert [line for line in LINES if len(line) != len(set(line)) or not 2 <= len(line) <= 6] == []
    assert len({tuple(line) for line in LINES}) == len(LINES)


def test_no_function_word_is_in_the_table() -> None:
    assert WORDS & stop_words() == set()


def test_words_of_a_line_are_synonyms_of_each_other_and_of_no_others() -> None:
    shipped = find_synonyms("shipped")
    assert shipped.name == "shipped"
    assert shipped.of("film") == ("movie",)
    assert set(shipped.of("needs")) == {"requires"}
    assert shipped.of("xylophone") == ()
    for word in WORDS:
        assert set(shipped.of(word)) == {other for line in LINES if word in line for other in line} - {word}


def test_without_nltk_the_shipped_table_is_taken_or_the_remedy_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert find_synonyms("auto").name == "shipped"
    with pytest.raises(ConfigError, match=r"there is no nltk; run pip install 'mtsearch\[wordnet\]'.*choose shipped"):
        find_synonyms("wordnet")


DATA = {
    # lexicographer file, kind, words with their numbers, and no pointers
    "noun": ["01 n 03 car 0 auto 0 motor_car 0 000 | a vehicle", "01 n 02 car 1 railcar 0 000 | a vehicle on rails"],
    "verb": [],
    "adj": ["00 a 02 swift 0 U.S.-made 0 000 | fast"],
    "adv": [],
}


@pytest.fixture
def wordnet_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A WordNet of three senses, as nltk's only data."""
    nltk = pytest.importorskip("nltk")
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    folder = tmp_path / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    (folder / "lexnames").write_text("00\tadj.all\t3\n01\tnoun.artifact\t1\n")
    (folder / "index.sense").write_text("")
    for kind, senses in DATA.items():
        text, offsets = "", {}
        for sense in senses:
            number, rest = len(text), sense
            for word in rest.split()[3 : 3 + 2 * int(rest.split()[2], 16) : 2]:
                offsets.setdefault(word.lower(), []).append(f"{number:08d}")
            text += f"{number:08d} {rest}\n"
        index = "".join(
            f"{word} {kind[0]} {len(own)} 0 {len(own)} 0 {' '.join(own)}\n" for word, own in sorted(offsets.items())
        )
        (folder / f"data.{kind}").write_text(text)
        (folder / f"index.{kind}").write_text(index)
        (folder / f"{kind}.exc").write_text("")
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nltk leaves the files open
        patch.setattr(nltk.data, "path", [str(tmp_path)])
        patch.setattr("nltk.corpus.wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, object()))
        synonyms._wordnet.cache_clear()
        yield folder
        synonyms._wordnet.cache_clear()
        patch.undo()
        gc.collect()


@needs_nltk
def test_wordnet_gives_the_single_words_of_all_senses_in_their_order(wordnet_folder: Path) -> None:
    wordnet = find_synonyms("wordnet")
    assert wordnet.name == "wordnet"
    assert wordnet.of("car") == ("auto", "railcar")
    assert wordnet.of("swift") == ()
    assert wordnet.of("xylophone") == ()
    assert find_synonyms("auto").name == "wordnet"


@needs_nltk
def test_nltk_without_its_data_is_told(wordnet_folder: Path) -> None:
    (wordnet_folder / "lexnames").unlink()
    wordnet_folder.rename(wordnet_folder.with_name("elsewhere"))
    assert find_synonyms("auto").name == "shipped"
    with pytest.raises(ConfigError, match=r"there is no WordNet in nltk's data folders; .* nltk.downloader wordnet"):
        find_synonyms("wordnet")
