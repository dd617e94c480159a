"""From a pruned trial to a folder that predicts, on the command line and in Python."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mtsearch
from mtsearch.errors import RunError
from tests.end_to_end.conftest import Cli
from tests.end_to_end.test_bad_input import refused

PRUNED: dict[str, Any] = {  # so that some attention heads close within 36 updates
    "training": {"precision": "fp32", "evaluations_per_epoch": 2},
    "pruning": {"name": "l0", "strength": 1.0, "lr": 0.3},
    "resources": {"cpus": 1},
}


@pytest.fixture(scope="module")
def run(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mtsearch.train(tiny_config(**PRUNED), data=tiny_data, runs=tmp_path_factory.mktemp("runs")).folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    return mtsearch.export(run, run.parent / "exported").folder


def test_a_pruned_trial_measures_its_latency_at_each_evaluation(run: Path) -> None:
    metrics = pd.read_parquet(run / "metrics.parquet").query("task == '' and split == 'dev'")
    ratios, heads = (metrics[metrics["metric"] == name]["value"].tolist() for name in ("latency_ratio", "open_heads"))
    assert len(ratios) == len(heads) == 4
    assert heads[-1] < 1.0
    assert [ratio == 1.0 for ratio in ratios] == [share == 1.0 for share in heads]
    (trial,) = pd.read_parquet(run / "trials.parquet").to_dict("records")
    assert trial["last/latency_ratio"] == ratios[-1]


def test_a_run_is_exported_and_the_folder_predicts(
    cli: Cli, run: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = cli("export", run, "--out", "out")
    assert (said.code, said.err) == (0, "")
    for part in ("exported    out (", "attention heads are left", "of the whole encoder's time", "out/README.md"):
        assert part in said.out
    shutil.move("out", tmp_path / "elsewhere")

    monkeypatch.setattr(sys, "stdin", io.StringIO("this film was good .\nthis film was bad .\n"))
    said = cli("predict", "elsewhere", "--task", "sentiment")
    assert (said.code, said.err) == (0, "")
    lines = [json.loads(line) for line in said.out.splitlines()]
    model = mtsearch.load(tmp_path / "elsewhere")
    assert lines == model.predict("sentiment", ["this film was good .", "this film was bad ."])

    monkeypatch.setattr(sys, "stdin", io.StringIO("a film\ta film\n" * 1030))
    said = cli("predict", "elsewhere", "--task", "paraphrase")
    assert (said.code, len(said.out.splitlines())) == (0, 1030)

    said = cli("evaluate", "elsewhere", "--split", "dev", "--data", tiny_data)
    assert said.code == 0, said
    best = pd.read_parquet(run / "trials.parquet")["best/mean_score"].iloc[0]
    assert f"mean_score  {best:.4f}" in said.out


def test_the_card_tells_where_the_model_is_from(run: Path, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    (trial,) = pd.read_parquet(run / "trials.parquet").to_dict("records")
    assert "(run tiny, trial t0000 at evaluation" in card
    assert f"| sentiment.accuracy | {trial['best/sentiment.accuracy']:.4f} |" in card
    assert f"| examples trained on | {trial['examples_seen']:,} |" in card
    assert "| data folder |" in card


def test_weights_that_were_not_kept_are_told_with_those_that_were(cli: Cli, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/trials/t0000/attempt-1/checkpoints")
    trials = pq.read_table(run / "trials.parquet")
    place = trials.schema.get_field_index("checkpoint")
    forgotten = pa.nulls(trials.num_rows, pa.string())
    pq.write_table(trials.set_column(place, trials.schema.field(place), forgotten), tmp_path / "run/trials.parquet")
    refused(
        cli("export", "run", "--out", "out"),
        "the weights of t0000 were not kept (search.keep.best); there are those of none",
    )
    assert not (tmp_path / "out").exists()


def test_mistakes_are_one_line(
    cli: Cli, run: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(cli("export", run, "--out", exported), "holds an export; --force replaces it")
    refused(cli("export", "nowhere", "--out", "out"), "nowhere")
    refused(cli("export", run, "--trial", "t9", "--out", "out"), "there is no trial 't9'; there are t0000")
    (tmp_path / "file").touch()
    refused(cli("export", run, "--out", "file/out"), "--out: file/out must be writable, but got: Not a directory")

    shutil.copytree(exported, tmp_path / "spoilt")
    (tmp_path / "spoilt/heads.safetensors").write_bytes(b"")
    refused(cli("predict", "spoilt", "--task", "sentiment"), "heads.safetensors: is not the file that manifest.json")
    refused(cli("predict", exported, "--task", "mood"), "task: must be one of sentiment, paraphrase, similarity")
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ttwo\nalone\n"))
    refused(cli("predict", exported, "--task", "paraphrase"), "text 2: paraphrase takes 2 text(s), but got 1")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\n\xff\n"), encoding="utf-8"))
    refused(cli("predict", exported, "--task", "sentiment"), "standard input: must be UTF-8")


def test_mistakes_in_python_are_the_same_errors(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is an export already"):
        mtsearch.export(exported, tmp_path / "again")
