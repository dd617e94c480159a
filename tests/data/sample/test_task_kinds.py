"""Every kind of task reads its layer of the sample corpus, by the way that a run takes."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from mtsearch.data import sample
from mtsearch.data.examples import DataSet
from mtsearch.data.resolve import load_data
from mtsearch.tasks import Task
from mtsearch.tasks.contract import TaskKind

KINDS = {
    "upos": {"kind": "tagging", "data": "ud_ewt"},
    "xpos": {"kind": "tagging", "data": {"source": "ud_ewt", "layer": "xpos"}},
    "ner": {"kind": "ner", "data": "wnut17"},
    "dependency": {"kind": "dependency", "data": {"source": "sample:treebank", "layer": "dependencies"}},
    "constituency": {"kind": "constituency", "data": "gum_const"},
    "srl": {"kind": "srl", "data": "srl_propbank_ewt"},
    "qa": {"kind": "qa", "data": "squad"},
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[TaskKind, DataSet]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("MTSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(tmp_path_factory.mktemp("here"))
        tasks = {name: TypeAdapter(Task).validate_python(task) for name, task in KINDS.items()}
        return {name: (task, load_data(task.data, task.wanted, None)) for name, task in tasks.items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_task_reads_its_layer_whole(name: str, read: dict[str, tuple[TaskKind, DataSet]]) -> None:
    task, data = read[name]
    assert data.origin == "sample"
    assert not any(split.refused for split in data.splits.values())
    sizes = {split: len(part.examples) for split, part in data.splits.items()}
    if name == "qa":
        assert all(size > 0.6 * sample.DEFAULT_SENTENCES[split] for split, size in sizes.items())
    else:
        assert sizes == sample.DEFAULT_SENTENCES
    inventory = task.inventory(data.splits["train"].examples)
    for split in ("dev", "test"):
        assert not task.unknown_labels(data.splits[split].examples, inventory)
        assert task.encode_targets(data.splits[split].examples, inventory)


def test_all_kinds_on_words_read_the_same_sentences(read: dict[str, tuple[TaskKind, DataSet]]) -> None:
    sentences = {
        name: {split: [example.words for example in part.examples] for split, part in data.splits.items()}
        for name, (_, data) in read.items()
        if name != "qa"
    }
    assert all(each == sentences["upos"] for each in sentences.values())


def test_labels_of_one_sentence_are_those_of_its_derivation(read: dict[str, tuple[TaskKind, DataSet]]) -> None:
    examples = {name: data.splits["dev"].examples[1] for name, (_, data) in read.items() if name != "qa"}
    label = {name: example.label for name, example in examples.items()}
    assert examples["upos"].texts[0] == (
        "Attorneys are dancing secretly on the beach today , but Larkfield University built the big tower in October ."
    )
    assert label["ner"] == ((10, 12, "ORG"),)
    assert label["xpos"][:4] == ("NNS", "VBP", "VBG", "RB")
    assert label["dependency"][:4] == ((3, "nsubj"), (3, "aux"), (0, "root"), (3, "advmod"))
    assert label["constituency"][1][:3] == ((0, 19, "S"), (0, 8, "S"), (0, 1, "NP"))
    assert label["srl"] == (
        (2, ((0, 1, "A0"), (3, 4, "AM-MNR"), (4, 7, "AM-LOC"), (7, 8, "AM-TMP"))),
        (12, ((10, 12, "A0"), (13, 16, "A1"), (16, 18, "AM-TMP"))),
    )
