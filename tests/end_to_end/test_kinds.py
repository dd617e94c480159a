"""All kinds of task on words and questions in one trial, from the command line: training, scores, predictions."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mtsearch
from mtsearch.data.readers import READERS
from tests.end_to_end.conftest import Cli, WriteSpace
from tests.end_to_end.test_bad_input import refused

TASKS: dict[str, Any] = {
    "pos": {"kind": "tagging", "data": {"source": "ud_ewt", "limit": 40}},
    "ner": {"kind": "ner", "data": {"source": "wnut17", "limit": 40}, "head": {"name": "bio"}},
    "dep": {"kind": "dependency", "data": {"source": "ud_ewt", "limit": 40}},
    "con": {"kind": "constituency", "data": {"source": "gum_const", "limit": 40}},
    "srl": {"kind": "srl", "data": {"source": "srl_propbank_ewt", "limit": 40}, "head": {"reread_layers": 1}},
    "questions": {"kind": "qa", "data": {"source": "squad", "limit": 40}},
}
SCORES = {
    "pos": ("accuracy", "macro_f1"),
    "ner": ("span_f1", "span_precision", "span_recall"),
    "dep": ("las", "uas"),
    "con": ("bracket_f1", "bracket_precision", "bracket_recall"),
    "srl": ("srl_f1", "srl_f1_gold_predicates", "predicate_f1"),
    "questions": ("answer_f1", "exact_match"),
}
SENTENCE = "the critic from Geneva praised the film ."


@pytest.fixture(scope="module")
def run(tiny_config: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MTSEARCH_DATA", raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")
        config = tiny_config(tasks=TASKS, training={"epochs": 1}, resources={"cpus": 1})
        return mtsearch.train(config, runs=tmp_path_factory.mktemp("runs")).folder


def test_each_task_is_measured_by_its_own_metrics(run: Path) -> None:
    (trial,) = pd.read_parquet(run / "trials.parquet").to_dict("records")
    for task, metrics in SCORES.items():
        assert all(0.0 <= trial[f"best/{task}.{metric}"] <= 1.0 for metric in metrics), task


def test_the_test_split_of_each_is_scored(cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = cli("evaluate", run, "--out", "scores")
    assert (said.code, said.err) == (0, "")
    scores = json.loads(Path("scores/scores.json").read_text())["metrics"]
    assert {task: tuple(name for name in values if name != "loss") for task, values in scores.items()} == SCORES
    predictions = pd.read_parquet("scores/predictions.parquet")
    assert predictions.groupby("task").size().to_dict() == dict.fromkeys(TASKS, 40)
    arcs = json.loads(predictions.query("task == 'dep'").iloc[0]["prediction"])
    assert sum(head == 0 for head, _ in arcs) == 1


@pytest.mark.parametrize("task", ["pos", "ner", "dep", "con"])
def test_a_prediction_is_written_as_its_own_reader_reads_it(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SENTENCE}\nGo !\n"))
    said = cli("predict", run, "--task", task)
    assert (said.code, said.err) == (0, "")
    formats: dict[str, tuple[Any, str]] = {
        "pos": ("conllu", "upos"),
        "ner": ("columns", "2"),
        "dep": ("conllu", "dependencies"),
        "con": ("brackets", "tree"),
    }
    format_, column = formats[task]
    lines = said.out.splitlines()
    if task == "pos":  # a treebank needs heads; without them only the tags are looked at
        tags = [line.split("\t")[3] for line in lines if line[:1].isdigit()]
        assert len(tags) == 10
        assert all(tag.isupper() for tag in tags)
        return
    table = READERS[format_](lines, False)
    assert not table.refused
    at = table.columns.index(column)
    assert len(table.rows) == 2
    labels = [values[at] for _, values in table.rows]
    if task == "con":
        labels = [tags for tags, _ in labels]  # type: ignore[misc, has-type]
    assert [len(label) for label in labels] == [8, 2]  # type: ignore[arg-type]


def test_roles_and_answers_are_lines_of_json(cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SENTENCE}\n"))
    told = json.loads(cli("predict", run, "--task", "srl").out)
    assert told["tokens"] == SENTENCE.split()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"who praised the film ?\t{SENTENCE}\n"))
    told = json.loads(cli("predict", run, "--task", "questions").out)
    assert told["best_answer"] in SENTENCE
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SENTENCE}\n"))
    assert len(json.loads(cli("predict", run, "--task", "pos", "--json").out)["prediction"]) == 8


@pytest.mark.parametrize(
    ("task", "line", "reason"),
    [
        ("pos", " ", "text 1: pos takes texts with words, but got ''; leave it out"),
        ("questions", "who ?", "text 1: questions takes 2 text(s), but got 1"),
        ("questions", "who ?\t ", "text 1: questions takes texts with words, but got ' '; leave it out"),
    ],
)
def test_a_text_without_words_is_refused(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch, task: str, line: str, reason: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n"))
    refused(cli("predict", run, "--task", task), reason)


def test_an_export_predicts_the_same(cli: Cli, run: Path, tmp_path: Path) -> None:
    said = cli("export", run, "--out", tmp_path / "out")
    assert said.code == 0
    model, exported = mtsearch.load(run), mtsearch.load(tmp_path / "out")
    for task in TASKS:
        texts: Any = [("who praised it ?", SENTENCE)] if task == "questions" else [SENTENCE]
        assert exported.render(task, texts) == model.render(task, texts)


def word(number: int, head: int, relation: str) -> str:
    return "\t".join([str(number), "film", "film", "NOUN", "NN", "_", str(head), relation, "_", "_"])


def treebank(folder: Path, *train: str, dev: str | None = None) -> Path:
    folder.mkdir()
    good = f"{word(1, 2, 'det')}\n{word(2, 0, 'root')}\n\n"
    (folder / "train.conllu").write_text("".join(train) or good)
    (folder / "dev.conllu").write_text(good if dev is None else dev)
    return folder


def test_broken_trees_are_told_with_their_lines(cli: Cli, write_space: WriteSpace, tmp_path: Path) -> None:
    cycle = f"{word(1, 2, 'det')}\n{word(2, 1, 'dep')}\n{word(3, 0, 'root')}\n\n"
    two_roots = f"{word(1, 0, 'root')}\n{word(2, 0, 'root')}\n\n"
    folder = treebank(tmp_path / "trees", cycle, two_roots)
    space = write_space(tasks={"dep": {"kind": "dependency", "data": str(folder)}})
    refused(cli("train", space), "train.conllu", "line 1:", "line 6:")


def test_a_sentence_of_600_words_is_read_in_windows_and_an_unknown_label_is_counted(
    cli: Cli, write_space: WriteSpace, tmp_path: Path
) -> None:
    long = "".join(f"{word(number, number - 1, 'dep' if number > 1 else 'root')}\n" for number in range(1, 601))
    usual = f"{word(1, 2, 'det')}\n{word(2, 0, 'root')}\n\n"
    unseen = f"{word(1, 2, 'never')}\n{word(2, 0, 'root')}\n\n"
    folder = treebank(tmp_path / "trees", usual * 8, f"{long}\n", dev=f"\ufeff{unseen}{long}\n".replace("\n", "\r\n"))
    space = write_space(
        tasks={"dep": {"kind": "dependency", "data": str(folder)}},
        training={"epochs": 1},
        resources={"cpus": 1},
    )
    said = cli("train", space)
    assert (said.code, said.err) == (0, "")
    assert "longer than 32 tokens and read in windows: 1 of train, 1 of dev" in said.out
    assert "dep: dev has labels that train lacks, and that count as wrong: never (1)" in said.out
