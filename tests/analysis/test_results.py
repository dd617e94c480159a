"""Tables of results, held to numbers worked by hand and to scipy's paired t test."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from mtsearch_analysis.load import Run, Runs, load_run, load_runs
from mtsearch_analysis.results import config_scores, results_table, results_text
from mtsearch_analysis.tables import REPLICATIONS, Objective
from tests.analysis.run_folders import trial_row, write_tables

OBJECTIVE = Objective(task_metrics=("a.accuracy", "b.loss"))


def trial(number: int, score: float, loss: float = 1.0, seed: int = 13, **settings: Any) -> dict[str, Any]:
    """A completed trial; ``optimizer__name`` is the setting ``optimizer.name``."""
    status = settings.pop("status", "completed")
    scores = {"best/mean_score": score, "best/a.accuracy": score / 2, "best/b.loss": loss}
    config = {f"config/{name.replace('__', '.')}": value for name, value in settings.items()}
    return trial_row(number, score, status=status, seed=seed, **scores, **config, **{"config/training.seed": seed})


def run_of(folder: Path, *rows: dict[str, Any]) -> Run:
    return load_run(write_tables(folder, list(rows), [], OBJECTIVE))


def three_seeds(folder: Path) -> Runs:
    """Three runs of two configs each, a seed for each run; the names of configs differ."""
    plain, other = (0.50, 0.52, 0.54), (0.60, 0.63, 0.63)
    return load_runs(
        [
            write_tables(
                folder / f"s{seed}",
                [
                    trial(0, plain[i], 2.0 + i, seed, lr=0.1, name=f"s{seed}"),
                    trial(1, other[i], 1.5 + i, seed, lr=0.2, name=f"s{seed}"),
                ],
                [],
                OBJECTIVE,
            )
            for i, seed in enumerate((13, 14, 15))
        ]
    )


def row_of(table: pd.DataFrame, config: str, metric: str = "mean_score", split: str = "dev") -> dict[str, Any]:
    is_row = (table["config"] == config) & (table["metric"] == metric) & (table["split"] == split)
    (row,) = table[is_row].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_trials_that_differ_in_the_seed_alone_are_one_config(tmp_path: Path) -> None:
    scores = config_scores(three_seeds(tmp_path))
    assert list(dict.fromkeys(scores["config"])) == ["baseline", "lr=0.2"]
    mean_scores = scores[scores["metric"] == "mean_score"]
    assert mean_scores[["config", "run", "seed", "value"]].to_numpy().tolist()[2:4] == [
        ["baseline", "s15", 15, 0.54],
        ["lr=0.2", "s13", 13, 0.6],
    ]
    assert list(dict.fromkeys(scores["metric"])) == ["mean_score", "a.accuracy", "b.loss"]


def test_differences_are_paired_by_seed_and_tested_as_scipy_does(tmp_path: Path) -> None:
    table = results_table(three_seeds(tmp_path))
    row = row_of(table, "lr=0.2")
    expected = stats.ttest_rel([0.60, 0.63, 0.63], [0.50, 0.52, 0.54])
    interval = expected.confidence_interval()
    assert (row["num_seeds"], row["num_pairs"]) == (3, 3)
    assert (row["mean"], row["difference"]) == (pytest.approx(0.62), pytest.approx(0.1))
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["difference_low"], row["difference_high"]) == (
        pytest.approx(interval.low),
        pytest.approx(interval.high),
    )
    assert row["sd"] == pytest.approx(math.sqrt(0.0003))
    assert row["verdict"] == "better"
    assert row_of(table, "lr=0.2", "b.loss")["verdict"] == "better"  # it is less by 0.5 with every seed
    assert row_of(table, "baseline")["verdict"] == ""


def test_differences_that_are_all_the_same_leave_no_noise(tmp_path: Path) -> None:
    scores = {1: (0.25, 0.5, 0.75), 2: (0.5, 0.75, 1.0), 3: (0.25, 0.5, 0.75)}
    rows = [
        trial(3 * i + seed, score, seed=seed, lr=lr)
        for i, (lr, of_config) in enumerate(scores.items())
        for seed, score in enumerate(of_config)
    ]
    table = results_table(run_of(tmp_path, *rows), metrics=["mean_score"])
    assert (row_of(table, "lr=2")["p"], row_of(table, "lr=2")["verdict"]) == (0.0, "better")
    assert (row_of(table, "lr=3")["p"], row_of(table, "lr=3")["verdict"]) == (1.0, "within noise")


def test_every_metric_that_is_shown_is_corrected_for(tmp_path: Path) -> None:
    runs = three_seeds(tmp_path)
    alone, of_two = (
        row_of(results_table(runs, metrics=m), "lr=0.2") for m in (["mean_score"], ["mean_score", "b.loss"])
    )
    assert alone["p_holm"] == alone["p"]
    assert of_two["p_holm"] == alone["p"]  # that of b.loss is 0 and counts twice, so this one is the last
    assert row_of(results_table(runs), "lr=0.2")["p_holm"] == pytest.approx(2 * alone["p"])  # a.accuracy has the same p


def test_several_configs_are_corrected_for_and_a_lower_score_is_worse(tmp_path: Path) -> None:
    rows = [
        trial(3 * i + j, score, seed=i, lr=lr)
        for i, scores in enumerate([(0.5, 0.4, 0.51), (0.6, 0.49, 0.58), (0.7, 0.61, 0.72)])
        for j, (score, lr) in enumerate(zip(scores, (0.1, 0.2, 0.3), strict=True))
    ]
    table = results_table(run_of(tmp_path, *rows), metrics=["mean_score"])
    worse, same = row_of(table, "lr=0.2"), row_of(table, "lr=0.3")
    assert worse["p_holm"] == pytest.approx(2 * worse["p"])
    assert (worse["verdict"], same["verdict"]) == ("worse", "within noise")


def test_one_seed_is_no_test(tmp_path: Path) -> None:
    row = row_of(results_table(run_of(tmp_path, trial(0, 0.5, lr=1), trial(1, 0.75, lr=2))), "lr=2")
    assert (row["difference"], row["verdict"]) == (0.25, "unknown")
    assert math.isnan(row["low"])


def test_another_trial_can_be_the_baseline_and_configs_can_be_named(tmp_path: Path) -> None:
    runs = three_seeds(tmp_path)
    table = results_table(runs, baseline="s14/t0001", names={"t0000": "slow", "t0001": "fast"})
    assert row_of(table, "slow")["difference"] == pytest.approx(-0.1)
    assert row_of(table, "slow")["settings"] == "lr=0.1"
    assert row_of(table, "fast")["is_baseline"]


def test_a_baseline_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    run = run_of(tmp_path / "x", trial(0, 0.5), trial(1, 0.5, status="pruned"))
    with pytest.raises(ValueError, match=r"no completed trial 't0001'; the first ones are x/t0000"):
        results_table(run, baseline="t0001")


def test_scores_over_different_tasks_are_not_compared(tmp_path: Path) -> None:
    rows = [
        trial_row(
            2 * i + has_both,
            0.5,
            tasks="a+b" if has_both else "a",
            seed=seed,
            **{"best/mean_score": 0.5 + 0.2 * has_both, "best/a.accuracy": 0.5 + 0.1 * has_both + 0.01 * i},
            **({"best/b.loss": 1.0} if has_both else {}),
            **{"config/tasks.b.kind": "ner" if has_both else None, "config/training.seed": seed},
        )
        for i, seed in enumerate((13, 14))
        for has_both in (False, True)
    ]
    run = run_of(tmp_path, *rows)
    table = results_table(run)
    other = table[~table["is_baseline"]].set_index("metric")
    assert other["tasks"].to_dict() == {"mean_score": "a+b", "a.accuracy": "a", "b.loss": "b"}
    assert other["num_pairs"].to_dict() == {"mean_score": 0, "a.accuracy": 2, "b.loss": 0}
    assert other.loc["a.accuracy", "difference"] == pytest.approx(0.1)
    assert other["verdict"].to_dict() == {"mean_score": "unknown", "a.accuracy": "better", "b.loss": "unknown"}
    assert results_text(table).count("\n") == 4
    scored = replace(OBJECTIVE, scored_tasks=("a",))  # what mean_score is over does not depend on a trial's tasks
    table = results_table(load_run(write_tables(tmp_path / "scored", rows, [], scored)), metrics=["mean_score"])
    assert table["num_pairs"].tolist() == [pd.NA, 2]


def test_only_completed_trials_count(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial(0, 0.5, lr=1), trial(1, 0.9, lr=2, status="pruned"))
    assert set(config_scores(run)["config"]) == {"baseline"}


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"optimizer__name": "sophiah", "optimizer__rho": 0.02}, "optimizer.name=sophiah"),
        ({"sampler__mixed": True, "sampler__size": 6}, "sampler.size=6, sampler.mixed=true"),
        ({"smart__weight": 1.0, "smart__steps": 1}, "smart"),
        ({"warm__epochs": None, "warm__lr": None}, "no warm"),
        ({"lr": 3.2e-05}, "lr=3.2e-05"),
    ],
)
def test_a_config_is_called_by_what_was_changed(tmp_path: Path, settings: dict[str, Any], label: str) -> None:
    common = {"optimizer__name": "adamw", "sampler__size": 16, "sampler__mixed": False, "lr": 0.1}
    common |= {"warm__epochs": 3, "warm__lr": 0.5}
    table = results_table(run_of(tmp_path, trial(0, 0.5, **common), trial(1, 0.5, **(common | settings))))
    assert list(dict.fromkeys(table["config"])) == ["baseline", label]


def test_configs_of_the_same_short_name_are_called_by_all_their_settings(tmp_path: Path) -> None:
    rows = [trial(0, 0.5, optimizer__name="adamw")]
    rows += [trial(i, 0.5, optimizer__name="sophiah", optimizer__rho=i / 10) for i in (1, 2)]
    table = results_table(run_of(tmp_path, *rows))
    assert list(dict.fromkeys(table["config"]))[1:] == [
        "optimizer.name=sophiah, optimizer.rho=0.1",
        "optimizer.name=sophiah, optimizer.rho=0.2",
    ]


def replication(config_id: str, seed: int, test: float, **columns: Any) -> dict[str, Any]:
    trial_id = None if config_id == "start" else config_id.partition("/")[0]
    fixed = {"is_start": config_id == "start", "tasks": "a+b", "status": "completed", "stop_reason": "done"}
    fixed |= {"evaluations": 1, "seconds": 1.0, "gpu_seconds": 0.0}
    scores = {"dev/mean_score": test + 0.1, "test/mean_score": test}
    return {"config_id": config_id, "trial_id": trial_id, "seed": seed, **fixed, **scores, **columns}


def test_replications_stand_for_the_trials_that_they_repeat(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, [trial(0, 0.9, lr=1), trial(1, 0.95, lr=2)], [], OBJECTIVE)
    rows = [replication(f"t000{i}", seed, 0.5 + i / 4 + seed / 8) for seed in (1, 2) for i in (0, 1)]
    rows += [replication("start", 1, 0.1), replication("t0001/a", 1, 0.1, alone="a")]
    pq.write_table(REPLICATIONS.from_rows(rows), folder / REPLICATIONS.file)
    table = results_table(load_run(folder))
    assert set(table["split"]) == {"dev", "test"}
    test = row_of(table, "lr=2", split="test")
    assert (test["num_seeds"], test["mean"], test["difference"]) == (2, 0.75 + 0.1875, 0.25)
    assert row_of(table, "lr=2", split="dev")["mean"] == pytest.approx(0.1 + 0.75 + 0.1875)


def test_markdown_has_a_row_for_each_config_with_interval_difference_and_star(tmp_path: Path) -> None:
    table = results_table(three_seeds(tmp_path))
    lines = results_text(table[table["metric"] != "a.accuracy"], digits=2).splitlines()
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert lines[:2] == ["| config | mean_score | b.loss |", "| --- | ---: | ---: |"]
    assert lines[2].startswith(f"| baseline | 0.52 ± {half:.2f} | 3.00 ± ")
    assert lines[3].startswith("| lr=0.2 | 0.62 ± 0.04 (+0.10*) | 2.50 ± ")
    assert lines[3].endswith("(-0.50*) |")


def test_named_configs_show_their_settings_too(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial(0, 0.5, lr=1), trial(1, 0.75, lr=2))
    text = results_text(results_table(run, names={"t0001": "a | b"}))
    assert text.splitlines()[0] == "| config | settings | mean_score | a.accuracy | b.loss |"
    assert "| a &#124; b | lr=2 | 0.750 (+0.250) | 0.375 (+0.125) | 1.000 (+0.000) |" in text


def test_a_difference_that_rounds_to_nothing_has_no_minus(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial(0, 0.5, lr=1), trial(1, 0.49999, lr=2))
    assert "0.500 (+0.000)" in results_text(results_table(run))


def test_latex_is_escaped_and_has_rules(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial(0, 0.5, max_len=1), trial(1, 0.75, max_len=2))
    text = results_text(results_table(run), "latex")
    assert text.startswith("\\begin{tabular}{lrrr}\n\\toprule\nconfig & mean\\_score & a.accuracy & b.loss \\\\\n")
    assert "max\\_len=2 & 0.750 (+0.250) &" in text


def test_a_run_without_completed_trials_has_empty_tables(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial(0, 0.5, status="running"))
    assert config_scores(run).empty
    assert results_table(run).empty
