"""Joint training against single: what each task gains or loses by the tasks that it is trained with.

Trials of one run or of several are paired: one that has the task with others, and one that has it alone with otherwise
equal settings, the seed among them; and so are replications of a config with those of its tasks alone. Everything else
is computed from the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.load import Run, Runs, named_runs
from mtsearch_analysis.significance import holm, paired_t_test, t_interval
from mtsearch_analysis.style import GAIN_SCALE, INK, SERIES_COLOURS, empty_figure, lay_out
from mtsearch_analysis.tables import split_metric
from mtsearch_analysis.task_sets import same_settings

__all__ = [
    "delta_m_table",
    "joint_figure",
    "joint_pairs",
    "joint_table",
    "negative_transfer_figure",
    "negative_transfer_table",
]

_IDENTITY = ["run", "trial_id", "tasks", "seed", "split"]


def joint_pairs(runs: Run | Runs, *, ignoring: Collection[str] = ()) -> pd.DataFrame:
    """A row for each completed trial with several tasks and each of its tasks that was also trained alone.

    Columns: ``run``, ``trial_id``, ``tasks`` (``pos+ner``) and ``seed`` of the trial with several tasks; the ``split``;
    ``task``, its main ``metric``, what it reaches ``alone`` and ``together``, the ``gain`` (positive where the other
    tasks help, whichever way the metric goes) and the ``relative_gain`` (the gain by the size of ``alone``; NaN where
    that is 0).

    The two are paired by equal settings: all ``config/*`` columns, ``training.seed`` among them, but those of other
    tasks. Where several trials have the task alone with equal settings, their mean stands for them. Each trial counts
    with its best epoch: that of its own main metric, so with several tasks not the best one for each of them.

    Of a run that was replicated, a config and its tasks alone are paired by their seeds too: on test, or on dev where
    the task has no test. On dev a config that was chosen there is flattered.

    Args:
        runs: where the trials are: in one run, or the single tasks in runs of their own.
        ignoring: settings that may differ, such as ``sampler.examples_per_task`` where single tasks had the same
            number of updates.
    """
    by_name = named_runs(runs)
    named = [run.trials.assign(run=name, split=run.score_split) for name, run in by_name.items()]
    trials = pd.concat(named, ignore_index=True)
    trials = trials[(trials["status"] == "completed") & trials["tasks"].notna()]
    directions = {name: run.direction_of(name) for run in by_name.values() for name in run.task_metrics}
    numbers = ["alone", "together", "gain", "relative_gain"]
    columns = [*_IDENTITY, "task", "metric", *numbers]
    found = []
    for name, direction in directions.items():
        task, metric = split_metric(name)
        replicated = [_replicated(run, of_run, name) for run, of_run in by_name.items()]
        for pairs in (_searched(trials, name, ignoring), *replicated):
            gain = (pairs["together"] - pairs["alone"]) * (1.0 if direction == "maximize" else -1.0)
            relative = gain / pairs["alone"].abs().where(pairs["alone"] != 0)
            found.append(pairs.assign(task=task, metric=metric, gain=gain, relative_gain=relative)[columns])
    found = [pairs for pairs in found if not pairs.empty]
    if not found:
        return pd.DataFrame(columns=columns).astype(dict.fromkeys(numbers, "float64"))
    return pd.concat(found, ignore_index=True)


def _searched(trials: pd.DataFrame, name: str, ignoring: Collection[str]) -> pd.DataFrame:
    """The pairs of trials, with a task's metric alone and together."""
    task, _ = split_metric(name)
    has_task = trials["tasks"].str.split("+").map(lambda tasks: task in tasks).astype("bool")
    rows = trials[has_task & trials[f"best/{name}"].notna()]
    settings = same_settings(rows, task, ignoring)
    is_alone = rows["tasks"] == task
    scores = rows[f"best/{name}"]
    alone = settings.map(scores[is_alone].groupby(settings[is_alone]).mean())
    pairs = rows.loc[~is_alone & alone.notna(), _IDENTITY]
    return pairs.assign(alone=alone[pairs.index], together=scores[pairs.index])


def _replicated(name: str, run: Run, metric: str) -> pd.DataFrame:
    """The pairs of a run's replications, as :func:`_searched` has them."""
    task, _ = split_metric(metric)
    rows = run.replications
    is_alone = rows["alone"] == task
    for split in ("test", "dev"):
        column = f"{split}/{metric}"
        if column not in rows or not rows.loc[is_alone, column].notna().any():
            continue
        alone = rows.loc[is_alone, ["trial_id", "seed", column]].rename(columns={column: "alone"})
        whole = rows.loc[rows["alone"].isna(), ["trial_id", "tasks", "seed", column]]
        pairs = whole.rename(columns={column: "together"}).merge(alone, on=["trial_id", "seed"])
        pairs = pairs.dropna(subset=["alone", "together"])
        return pairs.assign(run=name, split=split)[[*_IDENTITY, "alone", "together"]]
    return pd.DataFrame(columns=[*_IDENTITY, "alone", "together"])


def joint_table(pairs: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """For each set of tasks and each task in it, whether the others help it beyond the noise.

    Columns: ``tasks``, ``task``, ``metric``, ``num_pairs``, their mean scores ``alone`` and ``together``, the mean
    ``gain``, from ``low`` to ``high`` its t interval, ``relative_gain``, ``p`` of the paired t test, ``p_holm``
    corrected for all rows of the table, and ``verdict``: "helps", "hurts", "within noise", or with one pair "unknown".

    Pairs are taken for independent draws: right for seeds; pairs that share a single-task trial are less than that.

    Args:
        pairs: what :func:`joint_pairs` gives.
        confidence: of the interval, between 0 and 1; a corrected p below 1 - ``confidence`` is more than noise.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    rows = []
    for (tasks, task, metric), group in pairs.groupby(["tasks", "task", "metric"], sort=False):
        low, high = t_interval(group["gain"], confidence)
        rows.append(
            {
                "tasks": tasks,
                "task": task,
                "metric": metric,
                "num_pairs": len(group),
                **group[["alone", "together", "gain"]].mean(),
                "low": low,
                "high": high,
                "relative_gain": group["relative_gain"].mean(),
                "p": paired_t_test(group["gain"]),
            }
        )
    columns = ["tasks", "task", "metric", "num_pairs", "alone", "together", "gain", "low", "high", "relative_gain", "p"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["p_holm"] = np.array(holm(frame["p"].tolist()), dtype="float64")
    frame["verdict"] = [
        "unknown" if math.isnan(p) else "within noise" if p >= 1 - confidence else "helps" if gain > 0 else "hurts"
        for p, gain in zip(frame["p_holm"], frame["gain"], strict=True)
    ]
    by_size = frame["tasks"].astype("str").str.count(r"\+")
    return frame.loc[by_size.sort_values(kind="stable").index].reset_index(drop=True)


def delta_m_table(pairs: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Δm of each set of tasks: the mean over its tasks of the relative gain against the task alone.

    Columns: ``tasks``, ``num_trials`` (with each seed) that have all of their tasks paired, the mean ``delta_m`` of
    these, and from ``low`` to ``high`` its t interval; a ratio: -0.02 is 2% worse on average.

    Args:
        pairs: what :func:`joint_pairs` gives.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: the confidence is not between 0 and 1.

    Source: Maninis et al. 2019, Attentive Single-Tasking of Multiple Tasks, equation 4 (arXiv 1904.08918).
    """
    rows = []
    for tasks, of_set in pairs.groupby("tasks", sort=False):
        of_trials = of_set.groupby(["run", "trial_id", "seed"], dropna=False)["relative_gain"]
        is_whole = of_trials.count() == str(tasks).count("+") + 1
        values = of_trials.mean()[is_whole]
        low, high = t_interval(values, confidence)
        rows.append((tasks, len(values), values.mean(), low, high))
    return pd.DataFrame(rows, columns=["tasks", "num_trials", "delta_m", "low", "high"])


def joint_figure(frame: pd.DataFrame) -> go.Figure:
    """Each task's gain by joint training with its interval: a row for each task, a colour for each set of tasks.

    Args:
        frame: what :func:`joint_table` gives.
    """
    if frame.empty:
        return empty_figure("No task was trained both alone and with others.")
    tasks = list(dict.fromkeys(frame["task"]))
    sets = list(dict.fromkeys(frame["tasks"]))
    heights = np.linspace(0.3, -0.3, len(sets)) if len(sets) > 1 else np.zeros(1)
    figure = go.Figure()
    for i, (name, height) in enumerate(zip(sets, heights, strict=True)):
        rows = frame[frame["tasks"] == name]
        has_interval = rows["low"].notna()
        colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=rows["gain"].to_numpy("float64"),
                y=[-tasks.index(task) + height for task in rows["task"]],
                error_x={
                    "type": "data",
                    "array": (rows["high"] - rows["gain"]).where(has_interval, 0.0).to_numpy("float64"),
                    "color": colour,
                    "thickness": 1.5,
                },
                customdata=rows[["alone", "together", "num_pairs", "verdict"]].to_numpy(),
                mode="markers",
                marker={"color": colour, "size": 9, "symbol": _SYMBOLS[i % len(_SYMBOLS)]},
                name=escape(str(name)),
                hovertemplate="alone %{customdata[0]:.4f}, together %{customdata[1]:.4f}<br>gain %{x:+.4f} over "
                "%{customdata[2]} pairs: %{customdata[3]}<extra>%{fullData.name}</extra>",
            )
        )
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    return lay_out(
        figure,
        height_px=120 + 26 * len(sets) * len(tasks),
        xaxis={"title": {"text": "gain by the other tasks (right: they help)", "standoff": 6}, "tickformat": "+.3~f"},
        yaxis={
            "tickvals": [-i for i in range(len(tasks))],
            "ticktext": [escape(task) for task in tasks],
            "range": [0.5 - len(tasks), 0.5],
        },
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
    )


_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")


def negative_transfer_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """What each task gains by each one other: a row for each ordered pair of tasks that were trained as two.

    Columns: ``task``, ``metric``, ``beside`` (the other one), ``num_pairs``, the mean ``gain`` and ``relative_gain``.
    Where the gain is negative the other task hurts.

    Args:
        pairs: what :func:`joint_pairs` gives.
    """
    of_two = pairs[pairs["tasks"].astype("str").str.count(r"\+") == 1]
    beside = [
        next(other for other in tasks.split("+") if other != task)
        for tasks, task in zip(of_two["tasks"], of_two["task"], strict=True)
    ]
    grouped = of_two.assign(beside=beside).groupby(["task", "metric", "beside"], sort=False)
    frame = grouped.agg(num_pairs=("gain", "size"), gain=("gain", "mean"), relative_gain=("relative_gain", "mean"))
    return frame.reset_index()


def negative_transfer_figure(frame: pd.DataFrame) -> go.Figure:
    """A heat map of tasks by the one task beside them: blue where it helps, red where it hurts, in percent.

    Args:
        frame: what :func:`negative_transfer_table` gives.
    """
    if frame.empty:
        return empty_figure("No two tasks were trained together and each of them alone.")
    tasks = list(dict.fromkeys([*frame["task"], *frame["beside"]]))
    gains = 100 * frame.pivot(index="task", columns="beside", values="relative_gain").reindex(tasks, columns=tasks)
    most = float(np.nanmax(np.abs(gains.to_numpy()))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=gains.to_numpy("float64"),
            x=[escape(task) for task in tasks],
            y=[escape(task) for task in tasks],
            colorscale=GAIN_SCALE,
            zmin=-most,
            zmax=most,
            xgap=2,
            ygap=2,
            hoverongaps=False,
            text=gains.map(lambda gain: "" if np.isnan(gain) else f"{gain:+.1f}%").to_numpy(),
            texttemplate="%{text}",
            textfont={"color": "#20262e"},
            colorbar={"title": {"text": "gain, %"}, "thickness": 12},
            hovertemplate="%{y} beside %{x}: %{z:+.2f}%<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=140 + 56 * len(tasks),
        xaxis={"title": {"text": "trained beside", "standoff": 6}, "showgrid": False},
        yaxis={"autorange": "reversed", "showgrid": False},
    )
