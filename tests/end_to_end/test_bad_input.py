"""What a person can get wrong: one clear line on standard error, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtsearch
from tests.end_to_end.conftest import Cli, Said, WriteSpace

BASE = """\
name: bad
tasks:
  sentiment: {kind: classification, data: sst5}
optimizer: {name: adamw, lr: 1e-4}
"""


def refused(said: Said, *parts: str) -> None:
    """Exit code 2 and one line that holds all of ``parts``."""
    assert said.code == 2, said
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in said.out + said.err
    for part in parts:
        assert part in lines[0], f"{part!r} is not in {lines[0]!r}"


def test_a_missing_file(cli: Cli) -> None:
    refused(cli("run", "nowhere.yaml"), "nowhere.yaml: no such file", "baseline")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tasks: [unclosed", ("bad.yaml:1:",)),
        (BASE + "\tx: 1\n", ("bad.yaml:5:1",)),
        (BASE + "optimizer: {name: adamw}\n", ("bad.yaml:5:1", "optimizer", "twice")),
        (BASE + "encoder: {poolin: mean}\n", ("bad.yaml:5:11", "encoder.poolin", "did you mean pooling")),
        (BASE + "sampler: {name: unifrom}\n", ("bad.yaml:5:17", "'unifrom' is not a sampler", "uniform")),
        (BASE.replace("classification", "clasification"), ("bad.yaml:3:21", "'clasification'", "classification")),
        (BASE.replace("1e-4", "{uniform: [0.1, 0.01]}"), ("bad.yaml:4:", "low < high", "0.1", "0.01")),
        (BASE.replace("1e-4", "fast"), ("bad.yaml:4:", "optimizer.lr", "number", "'fast'")),
        (BASE.replace("1e-4", "'1e-4'"), ("bad.yaml:4:", "optimizer.lr", "number", "'1e-4'")),
        (BASE.replace("1e-4", "-1"), ("bad.yaml:4:", "optimizer.lr", "> 0", "-1")),
        (BASE + "search: {trials: {int: [1, 5]}}\n", ("bad.yaml:5:", "search.trials")),
        (BASE + "resources: {cpus: {choice: [1, 2]}}\n", ("bad.yaml:5:", "resources.cpus")),
        (BASE + "resources: {workers: 0}\n", ("bad.yaml:5:22: resources.workers", "> 0", "got 0")),
        (BASE + "resources: {workers: 2, gpus: 0.5}\n", ("bad.yaml:5:", "resources", "0.5 with 2 workers", "gpus: 1")),
        (BASE.replace("data: sst5", "data: sst5, metrics: [acuracy]"), ("'acuracy' is not a metric", "accuracy")),
        (
            BASE.replace("data: sst5", "data: sst5, metrics: [pearson]"),
            ("'pearson' does not suit classification", "choose accuracy"),
        ),
        ("", ("bad.yaml", "empty")),
        ("- a\n", ("bad.yaml", "list")),
        (BASE + "plugins: !!python/object:os.system [ls]\n", ("bad.yaml:5:",)),
    ],
)
def test_a_broken_space(cli: Cli, tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    refused(cli("check", "bad.yaml"), *parts)


def test_train_with_open_values_names_them(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(BASE.replace("1e-4", "{loguniform: [1e-5, 1e-4]}"))
    refused(cli("train", "open.yaml"), "open.yaml:4:", "optimizer.lr", "--set")


@pytest.mark.parametrize("setting", ["optimizer.lr=abc", "optimiser.lr=1e-4", "optimizer.lr", "=3", "search.trials=0"])
def test_a_bad_setting_is_named(cli: Cli, tmp_path: Path, setting: str) -> None:
    (tmp_path / "space.yaml").write_text(BASE)
    refused(cli("check", "space.yaml", "--set", setting), f"--set {setting}")


def broken_data(tiny_data: Path, to: Path, name: str, text: str) -> Path:
    shutil.copytree(tiny_data, to)
    (to / name).write_text(text, encoding="utf-8")
    return to


def test_more_layers_to_thaw_than_there_are_somewhere_in_the_space(
    cli: Cli, write_space: WriteSpace, tiny_data: Path
) -> None:
    space = write_space(unfreezing={"name": "gradual", "initially": {"int": [0, 3]}}, search={"trials": 2})
    refused(cli("run", space, "--data", tiny_data), "unfreezing.initially: must be at most", "layers (2)", "got 3")


def test_pruning_that_asks_for_too_much(cli: Cli, write_space: WriteSpace) -> None:
    space = write_space(pruning={"name": "l0", "target_sparsity": 1.0})
    refused(cli("train", space), "pruning.target_sparsity: must be < 1, but got 1")
    space = write_space(pruning={"name": "l0", "strength": 1.0, "mode": "static"})
    refused(cli("train", space), "pruning: mode static", "as source")


def test_pruning_of_a_model_that_is_not_there(cli: Cli, write_space: WriteSpace, tiny_data: Path) -> None:
    pruning = {"name": "l0", "strength": 1.0, "mode": "static", "source": "runs/nowhere"}
    said = cli("run", write_space(pruning=pruning, search={"trials": 2}), "--data", tiny_data)
    refused(said, "pruning.source: runs/nowhere: no such run folder")


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_pruning_of_an_encoder_whose_attention_heads_are_not_known(
    cli: Cli, write_space: WriteSpace, tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from transformers import CamembertConfig, CamembertModel

    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    sizes = {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    CamembertModel(CamembertConfig(**sizes, intermediate_size=64), add_pooling_layer=False).save_pretrained(
        tmp_path / "encoder"
    )
    space = write_space(encoder={"model": str(tmp_path / "encoder")}, pruning={"name": "l0", "strength": 1.0})
    refused(cli("train", space, "--data", tiny_data), "pruning: ", "albert, bert,", "is a camembert")


def test_an_empty_data_file(cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path) -> None:
    data = broken_data(tiny_data, tmp_path / "data", "sst5/ids-sst-train.csv", "")
    refused(cli("train", write_space(), "--data", data), "ids-sst-train.csv", "empty")


def test_labels_out_of_range(cli: Cli, write_space: WriteSpace, tiny_data: Path) -> None:
    tasks = {"similarity": {"kind": "pair_regression", "data": "stsb", "low": 0.0, "high": 1.0}}
    refused(cli("train", write_space(tasks=tasks), "--data", tiny_data), "sts-train.csv", "in [0.0, 1.0]", "line")


def test_a_file_in_which_most_rows_are_broken(
    cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path
) -> None:
    rows = "".join(f"{i}\tx{i}\tsome text\n" for i in range(20))
    text = f"\tid\tsentence\tsentiment\n{rows}20\tx20\tgood\t4\n"
    data = broken_data(tiny_data, tmp_path / "data", "sst5/ids-sst-train.csv", text)
    refused(cli("train", write_space(), "--data", data), "ids-sst-train.csv", "20 of 21", "line 2")


def test_a_data_set_without_a_dev_split(cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_data, tmp_path / "data")
    (tmp_path / "data/sst5/ids-sst-dev.csv").unlink()
    refused(cli("train", write_space(), "--data", tmp_path / "data"), "dev")


def test_a_data_folder_that_is_not_there(cli: Cli, write_space: WriteSpace) -> None:
    refused(cli("train", write_space(), "--data", "nowhere"), "--data: must name a folder", "'nowhere'")


def test_data_that_the_folder_lacks_never_becomes_the_sample(cli: Cli, write_space: WriteSpace, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    said = cli("train", write_space(), "--data", tmp_path / "data")
    refused(said, "sst5")
    assert "sample" not in said.out


def test_an_encoder_folder_with_truncated_weights(
    cli: Cli, write_space: WriteSpace, tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    weights = tmp_path / "encoder/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    said = cli("train", write_space(encoder={"model": str(tmp_path / "encoder")}), "--data", tiny_data)
    refused(said, "encoder.model", "weights", str(tmp_path / "encoder"))


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")
def test_a_gpu_where_there_is_none(cli: Cli, write_space: WriteSpace, tiny_data: Path) -> None:
    said = cli("train", write_space(resources={"cpus": 1, "gpus": 1}), "--data", tiny_data)
    refused(said, "1 GPUs", "0 GPUs", "resources")


def test_fp16_without_a_gpu(cli: Cli, write_space: WriteSpace, tiny_data: Path) -> None:
    said = cli("train", write_space(training={"precision": "fp16"}), "--data", tiny_data)
    refused(said, "training.precision: fp16 needs a GPU")


def test_a_metric_where_less_is_better(cli: Cli, write_space: WriteSpace, tiny_data: Path) -> None:
    tasks = {"similarity": {"kind": "pair_regression", "data": "stsb", "metrics": ["pearson", "mean_squared_error"]}}
    space = write_space(tasks=tasks, search={"metric": "similarity.mean_squared_error"})
    refused(cli("train", space, "--data", tiny_data), "search.metric", "more is better")


def test_an_output_that_cannot_be_written(cli: Cli) -> None:
    refused(cli("schema", "--out", "/proc/nowhere/schema.json"), "--out", "must be writable")


def test_an_unwritable_run_folder(cli: Cli, write_space: WriteSpace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused(cli("train", write_space(), "--runs", tmp_path / "file"), "must be writable")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_folder_without_permission(cli: Cli, write_space: WriteSpace, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    refused(cli("train", write_space(), "--runs", tmp_path / "locked"), "must be writable")


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".hidden", "", "a\nb", "\x1b[2J", "n" * 300])
def test_a_name_that_would_leave_the_runs(cli: Cli, write_space: WriteSpace, name: str) -> None:
    refused(cli("train", write_space(), "--name", name), "--name: must be a plain name")


@pytest.fixture(scope="module")
def trained(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run."""
    config = tiny_config(training={"epochs": 1})
    return mtsearch.train(config, data=tiny_data, runs=tmp_path_factory.mktemp("trained")).folder


class TestAnExistingRun:
    @pytest.fixture
    def finished(self, trained: Path, write_space: WriteSpace, tmp_path: Path) -> Path:
        """The space of a finished run, a copy of which is there."""
        shutil.copytree(trained, tmp_path / "runs/tiny")
        return write_space(training={"epochs": 1})

    def test_a_finished_run_is_not_run_again(self, cli: Cli, finished: Path, tiny_data: Path, tmp_path: Path) -> None:
        events = (tmp_path / "runs/tiny/events.jsonl").read_bytes()
        refused(cli("train", finished, "--data", tiny_data), "finished", "begin another with --name")
        assert (tmp_path / "runs/tiny/events.jsonl").read_bytes() == events

    def test_another_space_is_refused_with_what_differs(self, cli: Cli, finished: Path, tiny_data: Path) -> None:
        said = cli("train", finished, "--data", tiny_data, "--set", "optimizer.lr=5e-5")
        refused(said, "optimizer.lr: 1e-3 -> 5e-5", "--name")

    def test_a_folder_of_something_else_is_left_alone(self, cli: Cli, write_space: WriteSpace, tmp_path: Path) -> None:
        (tmp_path / "runs/tiny").mkdir(parents=True)
        (tmp_path / "runs/tiny/thesis.txt").write_text("years of work")
        refused(cli("train", write_space()), "something else")
        assert (tmp_path / "runs/tiny/thesis.txt").read_text() == "years of work"

    def test_a_trial_that_is_not_there(self, cli: Cli, finished: Path) -> None:
        refused(cli("train", "runs/tiny", "--trial", "t0099"), "'t0099'", "t0000")
        refused(cli("evaluate", "runs/tiny", "--trial", "t0099"), "'t0099'", "t0000")

    def test_a_split_that_is_not_there(self, cli: Cli, finished: Path, tiny_data: Path) -> None:
        refused(cli("evaluate", "runs/tiny", "--split", "test", "--data", tiny_data), "test", "train, dev")
        refused(cli("evaluate", "runs/tiny", "--split", "train"), "--split: must be dev or test, but got 'train'")


def test_a_report_of_no_run(cli: Cli, tmp_path: Path) -> None:
    refused(cli("report", tmp_path), "not a run folder")


@pytest.mark.parametrize("trials", ["5", "+0", "+x", "-3"])
def test_more_trials_must_be_a_positive_number(cli: Cli, write_space: WriteSpace, trials: str) -> None:
    refused(cli("run", write_space(), f"--trials={trials}"), "--trials: must be +N", repr(trials))


@pytest.mark.parametrize("option", ["--top", "--seeds"])
def test_replicating_less_than_one(cli: Cli, tmp_path: Path, option: str) -> None:
    refused(cli("replicate", tmp_path, option, "0"), f"{option}: must be at least 1, but got 0")


def test_replicating_no_run(cli: Cli, tmp_path: Path) -> None:
    refused(cli("replicate", tmp_path), "must be a run folder, but it holds no readable resolved.yaml")


def test_replicating_with_a_run_s_plugins_unnamed(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "resolved.yaml").write_text("plugins: [evil.py]\n")
    refused(cli("replicate", tmp_path), "this run needs evil.py; name the module yourself")


def test_a_start_from_no_run(cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path) -> None:
    space = write_space(optimizer={"name": "adamw", "lr": {"loguniform": [1e-5, 1e-2]}})
    said = cli("run", space, "--from", "nowhere", "--data", tiny_data)
    refused(said, "--from: must name a run folder, but nowhere holds no events.jsonl")


def test_a_plugin_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(BASE + "plugins: [mine.py]\n")
    refused(cli("check", "space.yaml"), "mine.py", "importable module")


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"alpha": 0}, ("augmentation.alpha", "> 0", "got 0")),
        ({"balance": 2}, ("augmentation.balance", "<= 1", "got 2")),
        ({"num_augmented": 0}, ("augmentation.num_augmented", "> 0", "got 0")),
        ({"synonyms": "thesaurus"}, ("augmentation.synonyms", "auto, wordnet or shipped", "'thesaurus'")),
        ({"tasks": ["sentimnt"]}, ("augmentation.tasks", "sentiment, paraphrase, similarity", "'sentimnt'")),
        (
            {"replacement": 0, "insertion": 0, "swap": 0, "deletion": 0},
            ("augmentation", "one must be above 0", "choose none instead of eda"),
        ),
    ],
)
def test_an_augmentation_that_cannot_be(
    cli: Cli, write_space: WriteSpace, fields: dict[str, object], parts: tuple[str, ...]
) -> None:
    refused(cli("check", write_space(augmentation={"name": "eda", **fields})), "space.yaml:", *parts)


def test_wordnet_where_it_is_not(
    cli: Cli, write_space: WriteSpace, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtsearch.augmentation.synonyms._missing_for_wordnet", lambda: "nltk")
    space = write_space(augmentation={"name": "eda", "synonyms": "wordnet"})
    refused(cli("train", space, "--data", tiny_data), "augmentation.synonyms", "there is no nltk", "choose shipped")


def test_all_examples_cannot_be_left_out(cli: Cli, write_space: WriteSpace) -> None:
    refused(cli("check", write_space(training={"drop_longest": 1})), "training.drop_longest", "< 1", "got 1")


def test_the_environment_variable_names_the_data_too(
    cli: Cli, write_space: WriteSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = write_space()
    monkeypatch.setenv("MTSEARCH_DATA", "nowhere")
    refused(cli("train", space), "MTSEARCH_DATA: must name a folder", "'nowhere'")
