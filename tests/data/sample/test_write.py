"""The files of the sample corpus."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mtsearch.data import sample
from mtsearch.errors import DataError

SMALL = {"train": 40, "dev": 12, "test": 8}
COLUMNS = {
    "sentiment": ["", "id", "sentence", "sentiment"],
    "paraphrase": ["", "id", "sentence1", "sentence2", "is_duplicate"],
    "similarity": ["", "id", "sentence1", "sentence2", "similarity"],
}
PINNED = "5fcb367642e97642116149f96bb03fe176bed1bb3487fc17cc9661767aa80947"
PINNED_ANNOTATED = "c6d3ed2e1862900a884a6a9508d5c164b255b41e77454470d7dfc4182f95106c"


def rows(folder: Path, layer: str, split: str) -> list[list[str]]:
    with (folder / layer / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, delimiter="\t"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.write(tmp_path_factory.mktemp("sample") / "corpus", sizes=SMALL)


def test_the_output_is_pinned(corpus: Path) -> None:
    """If this fails on purpose, raise VERSION: caches are keyed by it."""
    labelled, annotated = hashlib.sha256(), hashlib.sha256()
    for layer in sample.LABELLED_LAYERS:
        for split in ("train", "dev", "test"):
            labelled.update((corpus / layer / f"{split}.csv").read_bytes())
    for layer in sample.ANNOTATED_LAYERS:
        for path in sorted((corpus / layer).iterdir()):
            annotated.update(path.read_bytes())
    assert (sample.VERSION, labelled.hexdigest(), annotated.hexdigest()) == (2, PINNED, PINNED_ANNOTATED)


def test_every_layer_has_a_file_for_each_split_and_there_is_no_other(corpus: Path) -> None:
    endings = {
        **dict.fromkeys(sample.LABELLED_LAYERS, (".csv",)),
        "treebank": (".conllu",),
        "entities": (".conll",),
        "constituents": (".ptb",),
        "propositions": (".conll", ".jsonl"),
        "questions": (".json",),
    }
    expected = {f"{layer}/{split}{ending}" for layer, each in endings.items() for ending in each for split in SMALL}
    assert contents(corpus).keys() == {*expected, "corpus.json"}
    assert tuple(endings) == sample.LAYERS


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(corpus: Path, tmp_path: Path) -> None:
    assert contents(sample.write(tmp_path / "same", sizes=SMALL)) == contents(corpus)
    other = contents(sample.write(tmp_path / "other", seed=14, sizes=SMALL))
    assert other.keys() == contents(corpus).keys()
    assert not set(other.values()) & set(contents(corpus).values())


@pytest.mark.parametrize("layer", sample.LABELLED_LAYERS)
def test_files_are_in_the_cs224n_layout(corpus: Path, layer: str) -> None:
    for split, size in SMALL.items():
        header, *body = rows(corpus, layer, split)
        assert header == COLUMNS[layer]
        assert [row[0] for row in body] == [str(number) for number in range(size)]
        assert all(len(row) == len(header) and all(row) and len(row[1]) == 25 for row in body)
        labels = {row[-1] for row in body}
        if layer == "sentiment":
            assert labels <= set("01234")
        elif layer == "paraphrase":
            assert labels == {"0.0", "1.0"}
        else:
            assert all(0 <= float(label) <= 5 and len(label) == 3 for label in labels)


@pytest.mark.parametrize("layer", sample.LABELLED_LAYERS)
def test_no_sentence_occurs_in_two_examples(corpus: Path, layer: str) -> None:
    texts = [row[2:-1] for split in SMALL for row in rows(corpus, layer, split)[1:]]
    flat = [text for row in texts for text in row]
    assert len(flat) == len(set(flat))


def test_a_larger_train_split_begins_with_the_smaller_one_and_leaves_the_others(corpus: Path, tmp_path: Path) -> None:
    larger = sample.write(tmp_path / "larger", sizes={**SMALL, "train": 60})
    for layer in sample.LABELLED_LAYERS:
        assert rows(larger, layer, "train")[: SMALL["train"] + 1] == rows(corpus, layer, "train")
        for split in ("dev", "test"):
            assert rows(larger, layer, split) == rows(corpus, layer, split)
    annotated = [path for path in contents(corpus) if path.split("/")[0] in sample.ANNOTATED_LAYERS]
    for path in annotated:
        before, after = (corpus / path).read_bytes(), (larger / path).read_bytes()
        if "train" not in path:
            assert after == before
        elif not path.startswith("questions"):  # of which the next test tells
            assert after.startswith(before)
            assert len(after) > len(before)


def test_all_contexts_but_the_last_stay_in_a_larger_train_split(corpus: Path, tmp_path: Path) -> None:
    larger = sample.write(tmp_path / "larger", sizes={**SMALL, "train": 60})
    before, after = (
        json.loads((folder / "questions" / "train.json").read_bytes())["data"][0]["paragraphs"]
        for folder in (corpus, larger)
    )
    assert len(before) > 3
    assert len(after) > len(before)
    assert after[: len(before) - 1] == before[:-1]


def test_writing_again_leaves_the_corpus_as_it_is(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*.csv")}
    assert sample.write(corpus, sizes=SMALL) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*.csv")} == before


def test_several_may_write_the_same_corpus_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "shared" / "corpus"
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda _: sample.write(folder, sizes={"train": 5, "dev": 2, "test": 2}), range(8)))
    assert set(written) == {folder}
    assert [path.name for path in folder.parent.iterdir()] == ["corpus"]


def test_a_folder_that_holds_something_else_is_refused_and_kept(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something else"):
        sample.write(tmp_path, sizes=SMALL)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(DataError, match="holds something else"):
        sample.write(tmp_path / "notes.txt", sizes=SMALL)
    with pytest.raises(DataError, match="holds something else"):
        sample.write(corpus, seed=99, sizes=SMALL)


def test_a_corpus_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = sample.write(tmp_path / "corpus", sizes={"train": 3, "dev": 1, "test": 1})
    (folder / "sentiment" / "train.csv").write_text("torn")
    with pytest.raises(DataError, match="holds something else"):
        sample.write(folder, sizes={"train": 3, "dev": 1, "test": 1})


@pytest.mark.parametrize(
    ("sizes", "message"), [({"trian": 5}, "'trian' is not a split"), ({"dev": -1}, "at least 0, but got dev=-1")]
)
def test_wrong_sizes_are_refused(tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sample.write(tmp_path / "corpus", sizes=sizes)


def test_the_corpus_needs_the_standard_library_alone() -> None:
    sources = (Path(sample.__file__).parent).glob("*.py")
    imported = {
        line.split()[1].split(".")[0]
        for source in sources
        for line in source.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= {"mtsearch"} | sys.stdlib_module_names
