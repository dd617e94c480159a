"""The whole way on the command line and in Python, with the real trainer in real workers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mtsearch
import mtsearch_analysis
from tests.end_to_end.conftest import Cli, WriteSpace

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.xdist_group("ray")]

SEARCHED: dict[str, Any] = {
    "optimizer": {"name": "adamw", "lr": {"loguniform": [1e-5, 1e-2]}},
    "schedule": {"choice": [{"name": "linear", "warmup_ratio": {"uniform": [0.0, 0.2]}}, {"name": "plateau"}]},
    "search": {"trials": 4, "scheduler": {"name": "asha", "grace": 1, "reduction_factor": 2}},
}


@pytest.fixture(scope="module")
def searched(
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ray_session: None,
) -> Path:
    """A finished run, for tests that only read it."""
    runs = tmp_path_factory.mktemp("runs")
    return mtsearch.search(tiny_config(**SEARCHED), data=tiny_data, runs=runs).folder


def test_a_search_tells_what_it_found_and_where_to_look(
    cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path
) -> None:
    said = cli("run", write_space(**SEARCHED), "--data", tiny_data)
    assert said.code == 0, said
    assert said.err == ""
    for part in (
        "sentiment: sst5",
        str(tiny_data),
        "t0000 suggested: ",
        "[4 of 4 trials done]",
        "runs/tiny/trials.parquet",
        "tensorboard --logdir runs/tiny/trials",
        "runs/tiny/report/index.html",
    ):
        assert part in said.out
    page = (tmp_path / "runs/tiny/report/index.html").read_text(encoding="utf-8")
    best = pd.read_parquet(tmp_path / "runs/tiny/trials.parquet").sort_values("score").iloc[-1]
    assert f"{best.score:.4f}" in said.out
    assert best.trial_id in page


def test_plain_pandas_answers_the_questions_of_a_search(searched: Path) -> None:
    trials = pd.read_parquet(searched / "trials.parquet")
    # which config won
    winner = trials.loc[trials["best/mean_score"].idxmax()]
    assert winner["config/optimizer.lr"] > 0
    assert winner["config/schedule.name"] in ("linear", "plateau")
    # on which task it lost
    tasks = ["best/sentiment.accuracy", "best/paraphrase.accuracy", "best/similarity.pearson"]
    assert (trials[tasks].max() >= winner[tasks].astype(float)).all()
    assert np.isclose(winner[tasks].astype(float).mean(), winner["best/mean_score"])
    # what each trial cost
    assert (trials["seconds"] > 0).all()
    assert (trials["examples_seen"] == trials["last/epoch"] * 3 * 48).all()
    # why each stopped
    assert trials["stop_reason"].str.len().gt(0).all()
    metrics = pd.read_parquet(searched / "metrics.parquet")
    assert set(metrics["trial_id"]) == set(trials["trial_id"])


def test_two_objectives_are_searched_and_their_front_is_shown(
    cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path
) -> None:
    search = {**SEARCHED["search"], "metric": ["sentiment.accuracy", "paraphrase.accuracy"]}
    space = write_space(**{**SEARCHED, "search": search})
    assert (
        "sentiment.accuracy (more is better), paraphrase.accuracy (more is better); the first"
        in cli("check", space).out
    )
    said = cli("run", space, "--data", tiny_data)
    assert said.code == 0, said
    trials = pd.read_parquet(tmp_path / "runs/tiny/trials.parquet")
    front = trials[trials["pareto"] == True]  # noqa: E712  (null is neither)
    shown = said.out[said.out.index("front       ") :]
    assert f"front       {len(front)} of {(trials['status'] == 'completed').sum()} completed trials" in shown
    assert all(f"  {trial_id}" in shown for trial_id in front["trial_id"])
    assert trials["pareto"].notna().equals(trials["status"] == "completed")
    assert mtsearch_analysis.pareto_front(mtsearch_analysis.load_run(tmp_path / "runs/tiny"))["trial_id"].is_unique
    assert "Pareto front" in (tmp_path / "runs/tiny/report/index.html").read_text(encoding="utf-8")
    # one trial of it, on its own, is trained for the first objective
    again = cli("train", "runs/tiny", "--trial", front["trial_id"].iloc[0], "--data", tiny_data)
    assert again.code == 0, again
    assert "differs" not in again.out
    assert "front" not in again.out


def test_a_worker_comes_to_the_same_numbers_as_this_process(cli: Cli, searched: Path, tiny_data: Path) -> None:
    """Another process, other trials before it there, another attempt: the numbers are the same to the last bit."""
    trials = pd.read_parquet(searched / "trials.parquet")
    completed = trials[trials["status"] == "completed"]["trial_id"].iloc[-1]
    said = cli("train", searched, "--trial", completed, "--data", tiny_data)
    assert said.code == 0, said
    again = pd.read_parquet(f"runs/tiny-{completed}-again/metrics.parquet")
    metrics = pd.read_parquet(searched / "metrics.parquet").query("trial_id == @completed")
    keys = ["evaluation", "task", "split", "metric"]
    both = metrics.merge(again, on=keys, suffixes=("_then", "_now"))
    assert len(both) == len(metrics) == len(again)
    assert (both["value_then"] == both["value_now"]).all()
    assert "environment as it was" in said.out
    assert "the same" in said.out
    assert "differs" not in said.out


def test_the_winner_is_evaluated_loaded_and_predicts(cli: Cli, searched: Path, tiny_data: Path, tmp_path: Path) -> None:
    said = cli("evaluate", searched, "--split", "dev", "--data", tiny_data, "--out", tmp_path / "scores")
    assert said.code == 0, said
    best = pd.read_parquet(searched / "trials.parquet").sort_values("score").iloc[-1]
    scores = json.loads((tmp_path / "scores/scores.json").read_text())
    assert scores["mean_score"] == pytest.approx(best["score"], abs=1e-6)
    predicted = mtsearch.load(searched).predict("paraphrase", [("this film was good .", "this film was bad .")])
    assert predicted[0]["prediction"] in ("0", "1")


def test_more_trials_go_on(cli: Cli, write_space: WriteSpace, searched: Path, tiny_data: Path, tmp_path: Path) -> None:
    shutil.copytree(searched, tmp_path / "runs/tiny")
    said = cli("run", write_space(**SEARCHED), "--data", tiny_data, "--trials", "+2")
    assert said.code == 0, said
    trials = pd.read_parquet(tmp_path / "runs/tiny/trials.parquet")
    assert trials["trial_id"].tolist() == [f"t{i:04d}" for i in range(6)]


PLUGIN = '''
"""A task kind and a metric of a user's own."""

from typing import Literal

import torch

from mtsearch.data.examples import Wanted
from mtsearch.tasks import Classification
from mtsearch.tasks.metrics import Metric


class Shouting(Classification):
    """Classification of text in capitals, with the loss doubled."""

    kind: Literal["shouting"] = "shouting"

    def loss(self, logits, targets, inventory):
        return 2 * super().loss(logits, targets, inventory)


def optimism(gold, predicted):
    """The share of examples that are called good."""
    return sum(label == "4" for label in predicted) / len(predicted)


TASKS = (Shouting,)
METRICS = (Metric("optimism", "maximize", optimism),)
'''


def test_a_plugin_works_in_two_workers(cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    tasks = {"mood": {"kind": "shouting", "data": "sst5", "metrics": ["accuracy", "optimism"]}}
    space = write_space(
        plugins=["mine.py"], tasks=tasks, **{**SEARCHED, "search": {"trials": 2, "scheduler": {"name": "none"}}}
    )
    said = cli("run", space, "--data", tiny_data)
    assert said.code == 0, said
    trials = pd.read_parquet(tmp_path / "runs/tiny/trials.parquet")
    assert trials["status"].tolist() == ["completed", "completed"]
    assert trials["best/mood.optimism"].between(0, 1).all()
    assert set(trials["config/tasks.mood.kind"]) == {"shouting"}


def test_check_prints_dimensions_conditionals_and_size(cli: Cli, write_space: WriteSpace) -> None:
    said = cli("check", write_space(**SEARCHED))
    assert said.code == 0
    for part in ("3 dimensions", "uncountably many points", "optimizer.lr", "schedule = linear"):
        assert part in said.out


def test_plan_says_what_would_run(cli: Cli, write_space: WriteSpace, tiny_data: Path, tmp_path: Path) -> None:
    said = cli("plan", write_space(**SEARCHED), "--data", tiny_data)
    assert said.code == 0, said
    for part in (
        "4, of at most 2 evaluations each",
        "2 at a time",
        "asha stops trials at evaluation 1, where one in 2 goes on; 1.5 evaluations a trial if the rungs stop",
        "at most",
        "short probe",
    ):
        assert part in said.out
    assert not (tmp_path / "runs").exists()


def test_plan_says_when_a_trial_can_never_be_placed(cli: Cli, write_space: WriteSpace, tiny_data: Path) -> None:
    said = cli("plan", write_space(**SEARCHED, resources={"cpus": 64, "gpus": 0}), "--data", tiny_data)
    assert said.code == 2
    assert "64 cores" in said.err


def test_the_shipped_spaces_are_listed_and_found_from_anywhere(cli: Cli) -> None:
    said = cli("spaces")
    assert said.code == 0
    assert "baseline" in said.out
    assert "quick" in said.out
    for name in ("baseline", "spaces/baseline.yaml", "baseline.yaml"):
        assert cli("check", name).code == 0


def test_a_local_file_wins_over_a_shipped_space(cli: Cli, write_space: WriteSpace, tmp_path: Path) -> None:
    (tmp_path / "spaces").mkdir()
    write_space("spaces/baseline.yaml", optimizer={"name": "adamw", "lr": 0.123})
    assert "0 dimensions" in cli("check", "spaces/baseline.yaml").out


def test_the_schema_is_json_on_standard_output(cli: Cli) -> None:
    said = cli("schema")
    assert said.code == 0
    assert "optimizer" in json.loads(said.out)["properties"]


def test_python_does_what_the_commands_do(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path
) -> None:
    outcome = mtsearch.search(tiny_config(**SEARCHED), data=tiny_data, runs=tmp_path, overrides=["search.trials=2"])
    assert outcome.is_finished
    assert sum(outcome.counts.values()) == 2
    single = mtsearch.train(tiny_config(name="single"), data=tiny_data, runs=tmp_path)
    assert single.best == "t0000"
    assert mtsearch.load(single.folder).predict("sentiment", ["this film was good ."])
