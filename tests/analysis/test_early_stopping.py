from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mtsearch_analysis.early_stopping import early_order_table, early_order_verdict, regret_figure, stopping_regret
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import metric_row, trial_row, write_tables


def run_of(
    folder: Path, completed: Sequence[Sequence[float]], stopped: Sequence[Sequence[float]] = (), **objective: Any
) -> Run:
    """A run whose completed and stopped trials had these scores at their evaluations."""
    best = min if objective.get("direction") == "minimize" else max
    trials, metrics = [], []
    for number, curve in enumerate([*completed, *stopped]):
        status = "completed" if number < len(completed) else "pruned"
        trials.append(trial_row(number, best(curve), status=status, evaluations=len(curve), tasks="a"))
        metrics += [metric_row(f"t{number:04}", i, value) for i, value in enumerate(curve, start=1)]
    return load_run(write_tables(folder, trials, metrics, Objective(**objective)))


def curves(early: Sequence[float], final: Sequence[float], evaluations: int = 4) -> list[list[float]]:
    """With these scores at the first and the last evaluation, and low ones in between."""
    return [[a, *[0.0] * (evaluations - 2), b] for a, b in zip(early, final, strict=True)]


def test_the_share_of_pairs_in_order_is_counted_pair_by_pair(tmp_path: Path) -> None:
    early, final = (0.1, 0.4, 0.2, 0.5, 0.3), (0.6, 0.7, 0.9, 0.8, 1.0)
    row = early_order_table(run_of(tmp_path, curves(early, final), [[0.05], [0.0]])).iloc[0]
    pairs = list(itertools.combinations(range(5), 2))
    in_order = sum((early[i] - early[j]) * (final[i] - final[j]) > 0 for i, j in pairs) / len(pairs)
    assert in_order == 0.6
    assert row["in_order"] == pytest.approx(in_order)
    assert row["tau"] == pytest.approx(2 * in_order - 1)
    assert (row["evaluation"], row["stopped"], row["trials"], row["winner_rank"]) == (1, 2, 5, 3)


def test_there_is_a_row_for_each_evaluation_after_which_trials_were_stopped(tmp_path: Path) -> None:
    completed = curves((0.1, 0.2, 0.3), (0.7, 0.8, 0.9), 5)
    table = early_order_table(run_of(tmp_path, completed, [[0.1], [0.1], [0.2, 0.1, 0.1]]))
    assert table[["evaluation", "stopped"]].to_numpy().tolist() == [[1, 2], [3, 1]]


def test_where_none_was_stopped_it_is_as_if_rungs_lay_at_powers_of_three(tmp_path: Path) -> None:
    table = early_order_table(run_of(tmp_path, curves((0.1, 0.2, 0.3), (0.7, 0.8, 0.9), 10)))
    assert table["evaluation"].tolist() == [1, 3, 9]
    assert (table["stopped"] == 0).all()


def test_a_trial_without_a_final_score_is_not_compared(tmp_path: Path) -> None:
    run = run_of(tmp_path, curves((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.5, 0.6, 0.7, 0.8, 0.9, 0.9)))
    run.trials.loc[0, "score"] = float("nan")
    assert early_order_table(run)["trials"].tolist() == [5, 5]
    assert early_order_table(run)["tau"].iloc[0] > 0.9
    assert stopping_regret(run)["regret"].notna().all()


def test_less_is_better_where_it_is(tmp_path: Path) -> None:
    early, final = (5.0, 6.0, 7.0), (1.0, 2.0, 3.0)
    minimised = [[a, 9.0, b] for a, b in zip(early, final, strict=True)]
    row = early_order_table(run_of(tmp_path, minimised, direction="minimize")).iloc[0]
    assert (row["tau"], row["winner_rank"]) == (1, 1)


def test_trials_that_ended_there_are_not_compared(tmp_path: Path) -> None:
    run = run_of(tmp_path, [[0.9], *curves((0.1, 0.2), (0.5, 0.6))])
    assert early_order_table(run)["trials"].tolist() == [2, 2]


def test_there_is_nothing_to_say_without_scores_or_of_one_evaluation(tmp_path: Path) -> None:
    assert early_order_table(run_of(tmp_path / "one", [[0.1], [0.2]])).empty
    empty = load_run(write_tables(tmp_path / "none", [trial_row(0, status="failed")], []))
    assert early_order_table(empty).empty
    assert early_order_verdict(empty) == ""


def test_trials_with_different_tasks_are_not_compared(tmp_path: Path) -> None:
    rows = [trial_row(number, 0.5, tasks=tasks) for number, tasks in enumerate(("a", "a+b", "b"))]
    metrics = [metric_row(f"t{number:04}", i, 0.5) for number in range(3) for i in (1, 2)]
    assert early_order_table(load_run(write_tables(tmp_path, rows, metrics))).empty


RISING = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_a_good_early_order_is_told_and_what_is_not_known_of_the_stopped_ones(tmp_path: Path) -> None:
    completed = curves(RISING, [score + 0.3 for score in RISING])
    assert early_order_verdict(run_of(tmp_path, completed, [[0.0]])) == (
        "at evaluation 1, 100% of pairs of the 6 completed trials were in their final order (Kendall's τ 1.00), and "
        "the best was 1st of them: early scores told the final order well. Those that were stopped have no final "
        "score, and are not in this"
    )


def test_an_early_order_that_says_nothing_is_told_with_what_is_safer(tmp_path: Path) -> None:
    completed = curves(RISING, [0.9, 0.7, 0.8, 0.75, 0.85, 0.72])
    told = early_order_verdict(run_of(tmp_path / "stopped", completed, [[0.0]]))
    assert "the best was 6th of them: no more than chance would have it; safer is a larger" in told
    told = early_order_verdict(run_of(tmp_path / "whole", completed))
    assert told.endswith("no more than chance would have it, so stopping trials by it would not have been safe")


def test_equal_early_scores_say_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, curves([0.5] * 6, RISING))
    assert early_order_table(run)["tau"].iloc[0] == 0
    assert "no more than chance" in early_order_verdict(run)


def test_too_few_completed_trials_are_told_where_trials_were_stopped(tmp_path: Path) -> None:
    few = curves((0.1, 0.2, 0.3), (0.7, 0.8, 0.9))
    told = early_order_verdict(run_of(tmp_path / "stopped", few, [[0.0]]))
    assert told == "3 completed trials are too few to say whether stopping trials early was safe"
    assert early_order_verdict(run_of(tmp_path / "whole", few)) == ""


def test_the_regret_is_what_the_best_of_the_kept_ones_lacks_in_the_end(tmp_path: Path) -> None:
    run = run_of(tmp_path, curves((0.1, 0.4, 0.2, 0.5, 0.3), (0.6, 0.7, 0.9, 0.8, 1.0)))
    frame = stopping_regret(run, reduction_factor=3)
    first = frame.iloc[0]
    assert (first["evaluation"], first["trials"], first["kept"]) == (1, 5, 2)
    assert first["regret"] == pytest.approx(1.0 - 0.8)
    assert first["low"] <= first["regret"] <= first["high"]
    assert first["share_saved"] == pytest.approx(3 * 3 / 20)
    assert stopping_regret(run, reduction_factor=1.5)["regret"].iloc[0] == 0.0
    assert list(regret_figure(frame).data[0].y) == frame["regret"].tolist()


def test_keeping_the_winner_costs_nothing_when_less_is_better(tmp_path: Path) -> None:
    run = run_of(tmp_path, curves((0.1, 0.4, 0.2, 0.5, 0.3), (-0.9, 0.7, 0.6, 0.8, 1.0)), direction="minimize")
    assert stopping_regret(run)["regret"].iloc[0] == 0.0


def test_curves_that_were_stopped_early_have_no_regret_to_tell(tmp_path: Path) -> None:
    frame = stopping_regret(run_of(tmp_path, [[0.1, 0.2]] * 6, [[0.0]]))
    assert frame.empty
    assert regret_figure(frame).layout.annotations[0].text


def test_a_confidence_in_percent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 < confidence < 1 must hold, but got confidence=95"):
        stopping_regret(run_of(tmp_path, curves((0.1, 0.2), (0.3, 0.4))), confidence=95)


def test_a_reduction_factor_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reduction_factor > 1"):
        stopping_regret(run_of(tmp_path, [[0.1, 0.2]]), reduction_factor=1)


def test_an_evaluation_that_is_in_the_table_twice_counts_once(tmp_path: Path) -> None:
    trials = [trial_row(i, 0.5 + i / 10, evaluations=2, tasks="a") for i in range(3)]
    metrics = [metric_row(f"t{i:04}", at, 0.4 + (i + at) / 20) for i in range(3) for at in (1, 2)]
    run = load_run(write_tables(tmp_path, trials, [*metrics, metrics[0]]))
    assert early_order_table(run)["trials"].tolist() == [3]
