"""Which trial won, against whom, and where it did not."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from mtsearch_analysis.load import Run
from mtsearch_analysis.tables import split_metric

__all__ = ["best_trials", "compare", "contenders", "task_table", "tasks_lost"]


def best_trials(run: Run, n: int | None = 10, metric: str | None = None) -> pd.DataFrame:
    """The best trials, best first, with all their columns and a leading ``rank`` from 1.

    A trial counts with its best evaluation so far, whatever became of it later. Trials that break the search's
    constraints come after all that meet them (column ``is_admissible``). Ties go to the trial that saw
    fewer examples, then to the one suggested first. Trials without a value are left out. Where trials with different
    tasks are ranked apart (``run.ranks_apart``), each set of tasks has its own ranks from 1, one set after the other.

    Args:
        run: the run.
        n: how many at most, at least 1, of each ranking; None for all.
        metric: rank by this one (``task.metric`` or ``mean_score``) at each trial's best epoch; None for the
            main metric.

    Raises:
        ValueError: n < 1, or the run has no such metric.
    """
    if n is not None and n < 1:
        raise ValueError(f"n >= 1 must hold, but got n={n}")
    metric = metric or run.main_metric
    column = "score" if metric == run.main_metric else f"best/{metric}"
    if column not in run.trials or metric == "epoch":
        known = [str(c).removeprefix("best/") for c in run.trials if str(c).startswith("best/") and c != "best/epoch"]
        raise ValueError(f"{run.path}: no metric {metric!r}; choose {' or '.join(known)}")
    ranked = run.trials[run.trials[column].notna()]
    broken = ranked["is_admissible"].eq(False).fillna(False)
    ranked = ranked.assign(broken=broken).sort_values(
        ["broken", column, "examples_seen", "number"],
        ascending=[True, run.direction_of(metric) == "minimize", True, True],
    )
    ranked = ranked.drop(columns="broken")
    contests = pd.Series(0.0, index=ranked.index)
    if run.ranks_apart(metric):
        first = ranked.groupby("tasks")["number"].transform("min")
        contests = first.rank(method="dense")
        ranked = ranked.loc[contests.sort_values(kind="stable").index]
    ranked.insert(0, "rank", ranked.groupby(contests).cumcount() + 1)
    return ranked[ranked["rank"] <= (n or len(ranked))].reset_index(drop=True)


def contenders(run: Run) -> pd.DataFrame:
    """The trials that the winner beats by its score, itself the first; columns as of :func:`best_trials`.

    With constraints those that meet them, unless none does.
    """
    ranked = best_trials(run, n=None)
    meets = ranked["is_admissible"].fillna(True).astype(bool)
    return ranked[meets] if meets.any() else ranked


def compare(run: Run, trial_id: str, other: str | None = None) -> pd.DataFrame:
    """Where two trials differ: one row per differing config value, then one per score: of each objective and task.

    Columns: ``part`` ("config" or "score"), ``name``, one column for each trial under its id, and
    ``difference`` (the first minus the second; null for what is not a number).

    Args:
        run: the run.
        trial_id: the trial, such as ``t0003``.
        other: against this one; None for the winner, or for the runner-up if ``trial_id`` is the winner (where
            trials with different tasks are ranked apart, among those with the same tasks).

    Raises:
        ValueError: no such trial, or nobody to compare it with.
    """
    if other is None:
        ranked = best_trials(run, n=2)
        if run.ranks_apart():
            ranked = ranked[ranked["tasks"] == _trial(run, trial_id)["tasks"]]
        rivals = [str(name) for name in ranked["trial_id"] if name != trial_id]
        if not rivals:
            raise ValueError(f"{run.path}: no other trial has a score yet; name the one to compare with")
        other = rivals[0]
    left, right = _trial(run, trial_id), _trial(run, other)
    rows = [
        ("config", column.removeprefix("config/"), left[column], right[column])
        for column in run.config_columns
        if not _equal(left[column], right[column])
    ]
    rows.append(("score", run.main_metric, left["score"], right["score"]))
    for metric in dict.fromkeys([*run.objective.others, *run.task_metrics]):
        if metric != run.main_metric and f"best/{metric}" in run.trials:
            rows.append(("score", metric, left[f"best/{metric}"], right[f"best/{metric}"]))
    frame = pd.DataFrame(rows, columns=["part", "name", trial_id, other], dtype=object)
    frame["difference"] = [_difference(a, b) for _, _, a, b in rows]
    return frame


def task_table(run: Run) -> pd.DataFrame:
    """For each task, what the winner reaches and what the best trial on that task does.

    Columns: ``task``, ``metric``, ``score`` (the winner's), ``median`` (over completed trials), ``best_trial``,
    ``best_score`` and ``gap`` (how much better the best trial is than the winner; 0 where the winner is best, null
    where it does not have the task).
    Empty if no trial has a score, or no one trial wins because those with different tasks are ranked apart.
    """
    rows: list[tuple[object, ...]] = []
    winners = [] if run.ranks_apart() else best_trials(run, n=1).to_dict("records")
    completed = run.trials[run.trials["status"] == "completed"]
    for winner in winners:
        for name in run.task_metrics:
            task, metric = split_metric(name)
            column = f"best/{name}"
            ranked = best_trials(run, n=1, metric=name)
            if ranked.empty:
                continue
            best_score = ranked["score" if name == run.main_metric else column].iloc[0]
            sign = -1.0 if run.direction_of(name) == "minimize" else 1.0
            gap = sign * (best_score - winner[column])
            best_trial = winner["trial_id"] if gap <= 0 else ranked["trial_id"].iloc[0]
            rows.append((task, metric, winner[column], completed[column].median(), best_trial, best_score, gap))
    return pd.DataFrame(rows, columns=["task", "metric", "score", "median", "best_trial", "best_score", "gap"])


def tasks_lost(run: Run) -> pd.DataFrame:
    """The tasks on which another trial beats the winner, by which trial and by how much (rows of task_table)."""
    table = task_table(run)
    return table[table["gap"] > 0].reset_index(drop=True)


def _trial(run: Run, trial_id: str) -> pd.Series:
    rows = run.trials[run.trials["trial_id"] == trial_id]
    if rows.empty:
        known = run.trials["trial_id"]
        listed = f"its {len(known)} trials are {known.iloc[0]} to {known.iloc[-1]}" if len(known) else "it has none"
        raise ValueError(f"{run.path}: no trial {trial_id!r}; {listed}")
    return rows.iloc[0]


def _equal(left: Any, right: Any) -> bool:
    if pd.isna(left) or pd.isna(right):
        return bool(pd.isna(left) and pd.isna(right))
    return bool(left == right)


def _difference(left: Any, right: Any) -> float | None:
    are_numbers = all(isinstance(value, Real) and not isinstance(value, bool | np.bool_) for value in (left, right))
    return float(left) - float(right) if are_numbers else None
