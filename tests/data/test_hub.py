"""Data sets of the hub, read from local folders in the hub's layout; and whether the hub answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtsearch.data import hub
from mtsearch.data.examples import Refusal, Wanted, WantedWords
from mtsearch.data.hub import HubSet, hub_answers, open_hub
from mtsearch.data.resolve import load_data
from mtsearch.data.source import DataSource
from mtsearch.errors import DataError

CARD = """---
dataset_info:
  features:
  - {name: sentence1, dtype: string}
  - {name: sentence2, dtype: string}
  - name: label
    dtype: {class_label: {names: {'0': not_duplicate, '1': duplicate}}}
  - {name: idx, dtype: int32}
  - {name: vector, sequence: float32}
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: validation, path: data/validation-*}
  - {split: test, path: data/test-*}
---
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set as a clone of the hub's repository, its test labels hidden as GLUE hides them."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    folder = tmp_path / "pairs"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    schema = pa.schema(
        {
            "sentence1": pa.string(),
            "sentence2": pa.string(),
            "label": pa.int64(),
            "idx": pa.int32(),
            "vector": pa.list_(pa.float32()),
        }
    )
    for split, labels in (("train", [0, 1, -1, 1]), ("validation", [1, 0]), ("test", [-1, -1])):
        columns = [[f"{split} a{n}" for n in range(len(labels))], [f"b{n}" for n in range(len(labels))]]
        table = pa.table([*columns, labels, list(range(len(labels))), [[0.5]] * len(labels)], schema=schema)
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def test_a_folder_in_the_hubs_layout_is_read_like_any_other(folder: Path) -> None:
    data = load_data(DataSource(source=str(folder)), Wanted(2, str), None)
    assert data.origin == "path"
    train = data.splits["train"]
    assert [(e.id, e.texts, e.label, e.line) for e in train.examples] == [
        ("0", ("train a0", "b0"), "not_duplicate", 1),
        ("1", ("train a1", "b1"), "duplicate", 2),
        ("3", ("train a3", "b3"), "duplicate", 4),
    ]
    assert train.refused == ()
    assert [e.label for e in data.splits["dev"].examples] == ["duplicate", "not_duplicate"]
    assert "test" not in data.splits
    assert data.remarks == (
        f"no test split: {folder}:test has no labels",
        "1 of train are left out, since the data set gives no label",
    )


def test_classes_are_called_by_number_where_the_files_do_so(folder: Path) -> None:
    opened, _ = open_hub(HubSet(str(folder), None, {}, {}, labels="numbers"))
    assert [values[2] for _, values in opened["train"].table.rows] == ["0", "1", "1"]
    assert opened["train"].table.columns == ("sentence1", "sentence2", "label", "idx")


def test_splits_may_be_slices_and_the_hash_is_of_the_rows(folder: Path) -> None:
    halves, _ = open_hub(HubSet(str(folder), None, {"train": "train[:50%]", "dev": "train[50%:]"}, {}))
    sizes = [(len(halves[split].table.rows), halves[split].table.num_unlabelled) for split in ("train", "dev")]
    assert sizes == [(2, 0), (1, 1)]
    assert halves["train"].sha256 != halves["dev"].sha256
    again, _ = open_hub(HubSet(str(folder), None, {"train": "train[:50%]"}, {}))
    assert again["train"].sha256 == halves["train"].sha256


def _save(folder: Path, features: Any, rows: Mapping[str, object]) -> Path:
    """A folder in the hub's layout whose splits have the same rows."""
    datasets = pytest.importorskip("datasets")
    for split in ("train", "validation"):
        folder.mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features=datasets.Features(features)).to_parquet(folder / f"{split}.parquet")
    return folder


def test_lists_of_classes_are_the_labels_of_words(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = {
        "id": datasets.Value("string"),
        "tokens": datasets.List(datasets.Value("string")),
        "pos_tags": datasets.List(datasets.ClassLabel(names=["NN", "NNP"])),
        "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
        "vectors": datasets.List(datasets.Value("float32")),
    }
    rows = {
        "id": ["a", "b"],
        "tokens": [["Ada", "won"], []],
        "pos_tags": [[1, 0], []],
        "ner_tags": [[1, 0], []],
        "vectors": [[], []],
    }
    folder = _save(tmp_path / "words", features, rows)
    wanted = WantedWords(("ner_tags",), lambda cell, words: tuple(cell))
    data = load_data(DataSource(source=str(folder), columns={"pos": "pos_tags"}, max_bad_ratio=0.5), wanted, None)
    (example,) = data.splits["dev"].examples
    assert (example.words, example.label) == (("Ada", "won"), ("B-PER", "O"))
    assert example.tags == {"pos": (("NNP", "NN"),)}
    assert data.splits["dev"].refused == (Refusal(2, "the sentence has no words"),)
    opened, _ = open_hub(HubSet(str(folder), None, {}, {}))
    assert opened["train"].table.columns == ("id", "tokens", "pos_tags", "ner_tags")


def test_answers_to_questions_are_as_in_squads_files(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = {
        "question": datasets.Value("string"),
        "context": datasets.Value("string"),
        "answers": {
            "text": datasets.List(datasets.Value("string")),
            "answer_start": datasets.List(datasets.Value("int32")),
        },
    }
    answers = [
        {"text": ["Rome", "in Rome"], "answer_start": [9, 6]},
        {"text": [], "answer_start": []},
        {"text": ["Rome"], "answer_start": [7]},
    ]
    rows = {"question": ["Where?", "When?", "Who?"], "context": ["It is in Rome."] * 3, "answers": answers}
    folder = _save(tmp_path / "questions", features, rows)
    wanted = Wanted(2, tuple, structured=True)
    data = load_data(DataSource(source=str(folder), max_bad_ratio=0.5), wanted, None)
    assert [(e.texts[0], e.label) for e in data.splits["train"].examples] == [
        ("Where?", (("Rome", 9), ("in Rome", 6))),
        ("When?", ()),
    ]
    reason = "the answer 'Rome' must stand at character 7 of the context, but 'n Ro' does"
    assert data.splits["train"].refused == (Refusal(3, reason),)


@pytest.mark.parametrize("change", [{"subset": "mrpc"}, {"splits": {"dev": "development"}}])
def test_a_subset_or_split_that_is_not_there_is_told_in_one_line(folder: Path, change: dict[str, object]) -> None:
    source = DataSource.model_validate({"source": str(folder), "format": "hub", **change})
    with pytest.raises(DataError, match=r"cannot be loaded \(.+\)") as told:
        load_data(source, Wanted(2, str), None)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["https://example.org/x.parquet", "../x.parquet", "/etc/x", "zip://x.csv::x.zip"])
@pytest.mark.parametrize("place", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize("form", ["{}", "[{}]", "{{train: {}}}", "[{{split: train, path: [{}]}}]"])
def test_a_folder_cannot_name_files_elsewhere(
    folder: Path, name: str, place: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it was asked for"))
    text = f"configs: [{{config_name: default, data_files: {form.format(json.dumps(name))}}}]"
    (folder / place).write_text(text if place.endswith("yaml") else f"---\r\n{text}\r\n---\r\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be loaded \(it names .*, but its files must be in the folder\)"):
        load_data(DataSource(source=str(folder)), Wanted(2, str), None)


def test_a_loading_script_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_data(DataSource(source=str(folder), format="hub"), Wanted(1, str), None)
    assert not (tmp_path / "ran").exists()


def test_without_the_package_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "reader_is_installed", lambda: False)
    with pytest.raises(DataError, match=r"pip install 'mtsearch\[hub\]'"):
        open_hub(HubSet("a/b", None, {}, {}))


# Whether the hub answers


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    hub_answers.cache_clear()
    yield
    hub_answers.cache_clear()


@pytest.mark.parametrize(("code", "answers"), [(200, True), (403, True), (503, False)])
def test_an_answer_counts_unless_it_is_a_broken_gateways(
    code: int, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(code)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setattr(hub, "HUB_SECONDS", 300.0)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert hub_answers() is answers
        thread.join()


def test_a_silent_hub_is_waited_for_once_and_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HUB_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert [hub_answers() for _ in range(100)] == [False] * 100
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has come a second time
            silent.accept()


def test_an_endpoint_that_is_no_address_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    assert not hub_answers()


@pytest.mark.parametrize(("value", "off"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_network_is_forbidden_as_for_the_hubs_own_libraries(
    value: str, off: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert hub.hub_is_off() is off
