"""What each task gains or loses by the tasks that it is trained with."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from mtsearch_analysis.load import Run
from mtsearch_analysis.significance import t_interval, tails
from mtsearch_analysis.tables import split_metric

__all__ = ["same_settings", "task_set_table"]

_COLUMNS = (
    "task",
    "metric",
    "tasks",
    "num_trials",
    "score",
    "best_trial",
    "num_pairs",
    "alone",
    "difference",
    "low",
    "high",
)


def task_set_table(run: Run, confidence: float = 0.95) -> pd.DataFrame:
    """A row for each task and each set of tasks that it was trained in, over completed trials.

    A trial with several tasks is paired with the one that has the task alone and otherwise equal settings: all
    ``config/*`` columns but those of other tasks. Where several trials have the task alone with equal settings, their
    mean stands for them. Each trial counts with its best epoch: that of its own main metric, so with several tasks
    not the best one for each of them.

    Columns:
        ``task``, ``metric`` (the task's main one), ``tasks`` (the set: ``pos+ner``);
        ``num_trials`` with that set, their mean ``score`` on the task, and the ``best_trial`` of them on it;
        ``num_pairs``, the mean score of the task ``alone`` in those pairs, the mean ``difference`` (positive where the
        other tasks help), and from ``low`` to ``high`` its t interval, which takes pairs for independent draws. These
        are null without a pair, the interval also with one.

    Tasks are in the order of the run; of each the set without other tasks comes first, then the smaller ones.

    Args:
        run: the run.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    tails(confidence)  # a run without a pair refuses a wrong one too
    rows = [row for name in run.task_metrics for row in _rows_of_task(run, name, confidence)]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.astype({"num_trials": "int64", "num_pairs": "int64"})


def _rows_of_task(run: Run, name: str, confidence: float) -> Iterator[tuple[object, ...]]:
    task, metric = split_metric(name)
    column = f"best/{name}"
    has_task = run.trials["tasks"].fillna("").str.split("+").map(lambda tasks: task in tasks)
    trials = run.trials[has_task & (run.trials["status"] == "completed") & run.trials[column].notna()]
    settings = same_settings(trials, task)
    scores = trials[column]
    is_alone = trials["tasks"] == task
    alone = settings.map(scores[is_alone].groupby(settings[is_alone]).mean())
    order = sorted(trials["tasks"].unique(), key=lambda tasks: tasks.count("+"))  # stable: then by first trial
    for tasks in order:
        of_set = trials["tasks"] == tasks
        pairs = of_set & ~is_alone & alone.notna()
        differences = scores[pairs] - alone[pairs]
        best = trials.loc[scores[of_set].idxmax(), "trial_id"]
        low, high = t_interval(differences, confidence)
        yield (
            task,
            metric,
            tasks,
            int(of_set.sum()),
            scores[of_set].mean(),
            best,
            int(pairs.sum()),
            alone[pairs].mean(),
            differences.mean(),
            low,
            high,
        )


def same_settings(trials: pd.DataFrame, task: str | None = None, ignoring: Collection[str] = ()) -> pd.Series:
    """A number for each trial, the same for equal settings whatever the config's name is.

    Args:
        trials: rows of ``tables.TRIALS``.
        task: whose settings count, and not those of other tasks; None for all.
        ignoring: what may differ all the same, such as ``sampler.examples_per_task``.
    """
    columns = [
        column
        for column in trials.columns
        if column.startswith("config/")
        and column != "config/name"
        and (task is None or not column.startswith("config/tasks.") or column.startswith(f"config/tasks.{task}."))
        and column.removeprefix("config/") not in ignoring
        and trials[column].nunique(dropna=False) > 1
    ]
    if not columns:
        return pd.Series(0, index=trials.index)
    return trials.groupby(columns, dropna=False, sort=False).ngroup()
