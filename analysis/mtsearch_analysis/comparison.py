"""Several searches side by side: what each found, and how fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.curves import anytime
from mtsearch_analysis.load import Run, Runs
from mtsearch_analysis.significance import bootstrap_interval
from mtsearch_analysis.style import empty_figure, lay_out, series_line
from mtsearch_analysis.wording import listing, time_unit

__all__ = [
    "Budget",
    "anytime_of_runs",
    "anytime_of_runs_figure",
    "comparable_runs",
    "groups_by_space",
    "run_table",
]

Budget = Literal["seconds", "gpu_seconds", "examples_seen"]

_TITLES: dict[Budget, str] = {
    "seconds": "{} since the start",
    "gpu_seconds": "GPU {} of all trials",
    "examples_seen": "examples seen by all trials",
}


def run_table(runs: Runs) -> pd.DataFrame:
    """A row for each run, in their order.

    Columns: ``run``, ``metric`` (its main one), ``best_trial`` and its ``score`` (null without a score, and where
    trials with different tasks are ranked apart), ``trials``, ``completed`` ones, and the ``seconds``, ``gpu_seconds``
    and ``examples_seen`` of all of them.
    """
    rows = []
    for name, run in runs.by_name.items():
        best = best_trials(run, n=1)
        has_best = len(best) == 1
        rows.append(
            {
                "run": name,
                "metric": run.main_metric,
                "best_trial": best["trial_id"].iloc[0] if has_best else None,
                "score": best["score"].iloc[0] if has_best else np.nan,
                "trials": len(run.trials),
                "completed": int((run.trials["status"] == "completed").sum()),
                "seconds": run.trials["seconds"].sum(),
                "gpu_seconds": run.trials["gpu_seconds"].sum(),
                "examples_seen": run.num_examples,
            }
        )
    return pd.DataFrame(rows)


def comparable_runs(runs: Runs) -> dict[str, Runs]:
    """Runs whose scores belong on one axis together: over the same tasks, in one direction and on one split.

    They are called after them: ``a, b``.

    Raises:
        ValueError: the runs have different main metrics.
    """
    metrics = list(dict.fromkeys(run.main_metric for run in runs))
    if len(metrics) > 1:
        raise ValueError(f"runs can be compared that search for the same metric, but these are for {metrics}")
    members: dict[object, list[str]] = {}
    for name, run in runs.by_name.items():
        members.setdefault((run.scored_tasks, run.direction, run.score_split), []).append(name)
    return {", ".join(names): runs.only(names) for names in members.values()}


def groups_by_space(runs: Runs) -> dict[str, str]:
    """The group of each run, by name: runs of one space, but for its name and seeds, are together.

    A group is called after its runs: ``s13, s14``. Runs whose space is not known are alone.
    """
    keys = {name: _without_seeds(run.space) if run.space else name for name, run in runs.by_name.items()}
    members: dict[str, list[str]] = {}
    for name, key in keys.items():
        members.setdefault(key, []).append(name)
    return {name: ", ".join(members[key]) for name, key in keys.items()}


def _without_seeds(space: Mapping[str, Any]) -> str:
    same = {key: value for key, value in space.items() if key != "name"}
    for section in ("training", "search"):
        if isinstance(same.get(section), Mapping):
            same[section] = {key: value for key, value in same[section].items() if key != "seed"}
    return json.dumps(same, sort_keys=True, default=str)


def anytime_of_runs(
    runs: Runs,
    against: Budget = "seconds",
    groups: Mapping[str, str] | None = None,
    *,
    num_points: int = 60,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The best score so far of each group of runs over a budget, on average, with an interval over the runs.

    Columns: ``group``, the budget's, ``metric``, ``num_runs``, ``mean`` of the runs' best scores so far, and from
    ``low`` to ``high`` its percentile interval over resampled runs (null for one run). A group's rows begin where each
    of its runs has a score, and end where the first of them ends.

    Args:
        runs: searches for the same metric.
        against: the budget.
        groups: the group of each run, by name, such as its algorithm where runs differ in the seed besides;
            None for each its own.
        num_points: budgets at which each group is looked at.
        confidence: of the interval.
        num_resamples: of each group's runs, with replacement.
        seed: of the resamples.

    Raises:
        ValueError: the runs have different main metrics, or score by it over different tasks, in different directions
            or on different splits; a run has no group; or the confidence is not between 0 and 1.
    """
    apart, metric = list(comparable_runs(runs)), next(iter(runs)).main_metric
    if len(apart) > 1:
        raise ValueError(
            f"{metric}: {listing(apart)} are not on one axis: their tasks, their direction or the split "
            "that they are scored on differ; draw them apart, by runs.only([...])"
        )
    group_of = dict(groups) if groups is not None else {name: name for name in runs.by_name}
    missing = [name for name in runs.by_name if name not in group_of]
    if missing:
        raise ValueError(f"groups: every run needs one, but {missing[0]!r} has none")
    frames = []
    for group in dict.fromkeys(group_of[name] for name in runs.by_name):
        members = [run for name, run in runs.by_name.items() if group_of[name] == group]
        frames.append(_of_group(members, against, num_points, confidence, num_resamples, seed).assign(group=group))
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(metric=metric)[["group", against, "metric", "num_runs", "mean", "low", "high"]]


def anytime_of_runs_figure(frame: pd.DataFrame) -> go.Figure:
    """The best score so far of each group, as lines with their intervals as bands.

    Args:
        frame: what :func:`anytime_of_runs` gives.
    """
    if frame.empty:
        return empty_figure("Nothing has been reported yet.")
    against: Budget = next(budget for budget in _TITLES if budget in frame)
    size, unit = (1, "") if against == "examples_seen" else time_unit(frame[against].max())
    title = _TITLES[against].format(unit)
    figure = go.Figure()
    for position, (group, rows) in enumerate(frame.groupby("group", sort=False)):
        line = series_line(position, width=2.5)
        name = escape(str(group))
        places = rows[against].to_numpy("float64") / size
        if rows["low"].notna().all():
            figure.add_trace(
                go.Scatter(
                    x=np.concatenate([places, places[::-1]]),
                    y=np.concatenate([rows["high"].to_numpy("float64"), rows["low"].to_numpy("float64")[::-1]]),
                    fill="toself",
                    fillcolor=line["color"],
                    opacity=0.2,
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                    legendgroup=name,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=places,
                y=rows["mean"].to_numpy("float64"),
                name=f"{name} ({rows['num_runs'].iloc[0]} runs)" if rows["num_runs"].iloc[0] > 1 else name,
                legendgroup=name,
                mode="lines",
                line={**line, "shape": "hv"},
                hovertemplate=f"<b>{name}</b><br>%{{x:,.4~g}} {title}<br>%{{y:.4f}}<extra></extra>",
            )
        )
    return lay_out(
        figure,
        height_px=380,
        xaxis={"title": {"text": title, "standoff": 6}, "rangemode": "tozero"},
        yaxis={"title": {"text": "best " + escape(str(frame["metric"].iloc[0]))}},
    )


def _of_group(
    runs: list[Run], against: Budget, num_points: int, confidence: float, num_resamples: int, seed: int
) -> pd.DataFrame:
    steps = [anytime(run).dropna(subset="best_so_far") for run in runs]
    columns = [against, "num_runs", "mean", "low", "high"]
    if any(frame.empty for frame in steps):
        return pd.DataFrame(columns=columns, dtype="float64")
    begin = max(frame[against].iloc[0] for frame in steps)
    end = min(frame[against].iloc[-1] for frame in steps)
    if begin > end:
        return pd.DataFrame(columns=columns, dtype="float64")
    budgets = np.linspace(begin, end, num_points) if end > begin else np.array([begin])
    # The best score so far is that of the last report within the budget.
    values = np.stack(
        [
            frame["best_so_far"].to_numpy("float64")[
                np.searchsorted(frame[against].to_numpy("float64"), budgets, side="right") - 1
            ]
            for frame in steps
        ]
    )
    bounds = [bootstrap_interval(column, confidence, num_resamples, seed) for column in values.T]
    return pd.DataFrame(
        {
            against: budgets,
            "num_runs": len(runs),
            "mean": values.mean(axis=0),
            "low": [low for low, _ in bounds],
            "high": [high for _, high in bounds],
        }
    )
