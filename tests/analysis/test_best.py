from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch_analysis.best import best_trials, compare, task_table, tasks_lost
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import trial_row, write_tables

TWO_TASKS = Objective(task_metrics=("sentiment.accuracy", "similarity.pearson"))


def scored(number: int, sentiment: float, similarity: float, **columns: Any) -> dict[str, Any]:
    mean = (sentiment + similarity) / 2
    tasks = {"best/sentiment.accuracy": sentiment, "best/similarity.pearson": similarity, "best/mean_score": mean}
    return trial_row(number, mean, **tasks, **columns)


def run_of(folder: Path, *rows: dict[str, Any], objective: Objective = TWO_TASKS) -> Run:
    return load_run(write_tables(folder, list(rows), [], objective))


@pytest.fixture
def three_trials(tmp_path: Path) -> Run:
    return run_of(
        tmp_path,
        scored(0, 0.50, 0.75, **{"config/lr": 0.1, "config/name": "adamw", "config/same": 1}),
        scored(1, 0.25, 0.50, status="pruned", **{"config/lr": 0.2, "config/name": "adamw", "config/same": 1}),
        scored(2, 0.75, 0.625, **{"config/lr": 0.1, "config/name": "sophiah", "config/rho": 3, "config/same": 1}),
        trial_row(3, status="failed"),
    )


def test_the_best_comes_first_and_trials_without_a_score_are_left_out(three_trials: Run) -> None:
    ranked = best_trials(three_trials)
    assert ranked["trial_id"].tolist() == ["t0002", "t0000", "t0001"]
    assert ranked["rank"].tolist() == [1, 2, 3]
    assert best_trials(three_trials, n=1)["trial_id"].tolist() == ["t0002"]


def test_a_tie_goes_to_fewer_examples_and_then_to_the_earlier(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        trial_row(0, 0.5, examples_seen=300),
        trial_row(1, 0.5, examples_seen=200),
        trial_row(2, 0.5, examples_seen=200),
    )
    assert best_trials(run)["trial_id"].tolist() == ["t0001", "t0002", "t0000"]


def test_less_is_better_when_the_search_minimises(tmp_path: Path) -> None:
    loss = Objective("sentiment.loss", "minimize")
    run = run_of(tmp_path, trial_row(0, 0.5), trial_row(1, 0.25), objective=loss)
    assert best_trials(run)["trial_id"].tolist() == ["t0001", "t0000"]


def test_trials_can_be_ranked_by_another_metric(three_trials: Run) -> None:
    ranked = best_trials(three_trials, metric="similarity.pearson")
    assert ranked["trial_id"].tolist() == ["t0000", "t0002", "t0001"]


def test_an_unknown_metric_names_the_known_ones(three_trials: Run) -> None:
    with pytest.raises(ValueError, match=r"no metric 'f1'; choose mean_score or sentiment\.accuracy or similarity"):
        best_trials(three_trials, metric="f1")
    with pytest.raises(ValueError, match="no metric 'epoch'"):
        best_trials(three_trials, metric="epoch")
    with pytest.raises(ValueError, match="n >= 1 must hold, but got n=0"):
        best_trials(three_trials, n=0)


def test_a_trial_is_compared_with_the_winner(three_trials: Run) -> None:
    frame = compare(three_trials, "t0000")
    assert frame[["part", "name"]].to_numpy().tolist() == [
        ["config", "name"],
        ["config", "rho"],
        ["score", "mean_score"],
        ["score", "sentiment.accuracy"],
        ["score", "similarity.pearson"],
    ]
    assert frame["t0000"].tolist()[0] == "adamw"
    assert frame["t0002"].tolist()[:2] == ["sophiah", 3]
    assert frame["difference"].tolist()[2:] == [-0.0625, -0.25, 0.125]
    assert frame["difference"].isna().tolist()[:2] == [True, True]


def test_all_that_a_search_is_for_is_compared(tmp_path: Path) -> None:
    objective = replace(TWO_TASKS, others={"open_heads": "minimize", "latency_ratio": "minimize"})
    rows = [scored(number, 0.5, 0.5, **{"best/open_heads": 0.25 + number}) for number in (0, 1)]
    frame = compare(run_of(tmp_path, *rows, objective=objective), "t0001")
    names = ["mean_score", "open_heads", "sentiment.accuracy", "similarity.pearson"]  # no latency was measured
    assert frame.loc[frame["part"] == "score", "name"].tolist() == names
    assert frame.set_index("name").loc["open_heads", "difference"] == 1.0


def test_the_winner_is_compared_with_the_runner_up(three_trials: Run) -> None:
    assert list(compare(three_trials, "t0002").columns) == ["part", "name", "t0002", "t0000", "difference"]


def test_integers_stay_integers_in_a_comparison(tmp_path: Path) -> None:
    run = run_of(tmp_path, scored(0, 0.5, 0.5, **{"config/batch": 16}), scored(1, 0.4, 0.4, **{"config/batch": 64}))
    frame = compare(run, "t0001").set_index("name")
    assert frame.loc["batch", "t0001"] == 64
    assert isinstance(frame.loc["batch", "t0001"], Integral)


def test_an_unknown_trial_names_those_there_are(three_trials: Run) -> None:
    with pytest.raises(ValueError, match="no trial 't9'; its 4 trials are t0000 to t0003"):
        compare(three_trials, "t9")


def test_comparing_the_only_scored_trial_asks_for_another(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial_row(0, 0.5), trial_row(1))
    with pytest.raises(ValueError, match="name the one to compare with"):
        compare(run, "t0000")


def test_a_task_is_lost_to_the_trial_that_is_best_on_it(three_trials: Run) -> None:
    assert tasks_lost(three_trials).to_dict("records") == [
        {
            "task": "similarity",
            "metric": "pearson",
            "score": 0.625,
            "median": 0.6875,
            "best_trial": "t0000",
            "best_score": 0.75,
            "gap": 0.125,
        }
    ]


def test_the_winner_is_named_best_where_nobody_beats_it(three_trials: Run) -> None:
    sentiment = task_table(three_trials).set_index("task").loc["sentiment"]
    assert sentiment["best_trial"] == "t0002"
    assert sentiment["gap"] == 0


def test_a_run_without_scores_loses_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, trial_row(0, status="running"))
    assert best_trials(run).empty
    assert tasks_lost(run).empty


def test_a_tie_on_a_task_is_not_lost(tmp_path: Path) -> None:
    run = run_of(tmp_path, scored(0, 0.5, 0.75), scored(1, 0.5, 0.5))
    assert tasks_lost(run).empty
    assert isinstance(task_table(run), pd.DataFrame)


@pytest.fixture
def two_sets(tmp_path: Path) -> Run:
    """Trials with one task or both, each scored on its own."""
    return run_of(
        tmp_path,
        trial_row(0, 0.50, tasks="sentiment", **{"best/sentiment.accuracy": 0.50, "best/mean_score": 0.50}),
        scored(1, 0.25, 0.50, tasks="sentiment+similarity"),
        scored(2, 0.75, 0.25, tasks="sentiment+similarity"),
        trial_row(3, 0.60, tasks="sentiment", **{"best/sentiment.accuracy": 0.60, "best/mean_score": 0.60}),
    )


def test_each_set_of_tasks_has_its_own_ranks_where_trials_are_scored_on_their_own_tasks(two_sets: Run) -> None:
    ranked = best_trials(two_sets)
    assert list(zip(ranked["trial_id"], ranked["rank"], strict=True)) == [
        ("t0003", 1),
        ("t0000", 2),
        ("t0002", 1),
        ("t0001", 2),
    ]
    assert best_trials(two_sets, n=1)["trial_id"].tolist() == ["t0003", "t0002"]


def test_a_tasks_own_metric_ranks_all_sets_together(two_sets: Run) -> None:
    ranked = best_trials(two_sets, metric="sentiment.accuracy")
    assert ranked["trial_id"].tolist() == ["t0002", "t0003", "t0000", "t0001"]
    assert ranked["rank"].tolist() == [1, 2, 3, 4]


def test_scored_tasks_rank_all_sets_together(two_sets: Run, tmp_path: Path) -> None:
    fixed = replace(two_sets, objective=replace(TWO_TASKS, scored_tasks=("sentiment",)))
    assert two_sets.ranks_apart()
    assert not two_sets.ranks_apart("sentiment.accuracy")
    assert not fixed.ranks_apart()
    assert best_trials(fixed, n=1)["trial_id"].tolist() == ["t0003"]


def test_without_one_winner_no_task_is_lost_to_another_trial(two_sets: Run) -> None:
    assert task_table(two_sets).empty
    assert tasks_lost(two_sets).empty


def test_a_trial_is_compared_with_the_best_one_of_the_same_tasks(two_sets: Run) -> None:
    assert list(compare(two_sets, "t0001").columns) == ["part", "name", "t0001", "t0002", "difference"]
    assert list(compare(two_sets, "t0003").columns) == ["part", "name", "t0003", "t0000", "difference"]
