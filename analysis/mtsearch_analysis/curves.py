"""How trials learned, and how the best score of the search grew."""

from __future__ import annotations

from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.load import Run
from mtsearch_analysis.style import (
    STATUS_COLOURS,
    STATUS_DASHES,
    WINNER_COLOUR,
    empty_figure,
    integer_ticks,
    lay_out,
    line_width,
    series_line,
)
from mtsearch_analysis.tables import STATUSES, Direction, split_metric
from mtsearch_analysis.wording import time_unit

__all__ = ["anytime", "anytime_figure", "curve_figure", "learning_curves", "trial_figure"]

_MOST_RUNGS = 8


def learning_curves(run: Run, metric: str | None = None, split: str = "dev") -> pd.DataFrame:
    """One metric of every trial over its evaluations, long, in the trials' order.

    Columns: ``trial_id``, ``status``, ``rank`` (by the main metric, as in ``best_trials``; null without a score),
    ``metric``, ``evaluation``, ``epoch``, ``examples_seen``, ``seconds`` (of the trial's own clock), ``value``.
    Empty while nothing has been reported. What a trial takes over from its parent, under pbt, is in the parent's rows;
    epochs, examples and seconds go on from there.

    Args:
        run: the run.
        metric: ``mean_score`` or ``task.metric``, such as ``sentiment.accuracy`` or ``sentiment.loss``; None for the
            main metric.
        split: ``dev``, ``holdout``, ``test``; or ``train``, for losses and ``lr``.

    Raises:
        ValueError: trials have reported, but never this metric on this split.
    """
    metrics = run.metrics
    metric = metric or run.main_metric
    task, name = split_metric(metric)
    chosen = metrics[(metrics["metric"] == name) & (metrics["task"] == task) & (metrics["split"] == split)]
    if chosen.empty and not metrics.empty:
        reported = metrics.loc[metrics["split"] == split, ["task", "metric"]].drop_duplicates()
        known = sorted(f"{t}.{m}" if t else m for t, m in reported.itertuples(index=False))
        raise ValueError(
            f"{run.path}: no metric {metric!r} on the {split} split; choose {' or '.join(known) or 'another split'}"
        )
    ranks = best_trials(run, n=None)[["trial_id", "rank"]].astype({"rank": "Int64"})
    about = run.trials[["trial_id", "number", "status"]].merge(ranks, on="trial_id", how="left")
    frame = chosen.drop(columns=["step", "task", "split"]).merge(about, on="trial_id", how="left")
    frame["metric"] = metric
    frame = frame.sort_values(["number", "evaluation"]).reset_index(drop=True)
    return frame[["trial_id", "status", "rank", "metric", "evaluation", "epoch", "examples_seen", "seconds", "value"]]


def curve_figure(frame: pd.DataFrame) -> go.Figure:
    """Learning curves over epochs, coloured by what became of each trial, the winner's drawn over them.

    Dotted lines are the rungs: where trials were stopped early, unless that was almost everywhere.

    Args:
        frame: what :func:`learning_curves` gives, or some of its rows.
    """
    if frame.empty:
        return empty_figure("Nothing has been reported yet.")
    figure = go.Figure()
    metric = frame["metric"].iloc[0]
    width = line_width(frame["trial_id"].nunique())
    for status in STATUSES:
        group = frame[(frame["status"] == status) & (frame["rank"] != 1).fillna(True)]
        if not group.empty:
            line = {"color": STATUS_COLOURS[status], "dash": STATUS_DASHES[status], "width": width}
            figure.add_trace(_curves(group, name=status, line=line, opacity=0.75))
    winner = frame[(frame["rank"] == 1).fillna(False)]
    if not winner.empty:
        name = f"best: {escape(str(winner['trial_id'].iloc[0]))} ({winner['status'].iloc[0]})"
        if winner["trial_id"].nunique() > 1:
            name = "best of its tasks"
        figure.add_trace(_curves(winner, name=name, line={"color": WINNER_COLOUR, "width": 3.0}, opacity=1.0))
    rungs = frame[frame["status"] == "pruned"].groupby("trial_id")["epoch"].max().unique()
    for epoch in rungs if len(rungs) <= _MOST_RUNGS else []:
        figure.add_vline(x=float(epoch), line={"dash": "dot", "color": STATUS_COLOURS["pruned"], "width": 1})
    return _over_epochs(figure, str(metric), frame["epoch"].max(), height_px=420)


def _over_epochs(figure: go.Figure, what: str, most_epochs: float, height_px: int) -> go.Figure:
    return lay_out(
        figure,
        height_px=height_px,
        xaxis={"title": {"text": "epoch", "standoff": 6}, "rangemode": "tozero"} | integer_ticks(most_epochs),
        yaxis={"title": {"text": escape(what)}},
    )


def trial_figure(frame: pd.DataFrame) -> go.Figure:
    """Several metrics of one trial over epochs, the first one's line the thickest.

    Args:
        frame: rows of :func:`learning_curves` of one trial, of as many metrics as there are to be.
    """
    figure = go.Figure()
    for position, (metric, rows) in enumerate(frame.groupby("metric", sort=False)):
        figure.add_trace(
            go.Scatter(
                x=rows["epoch"].to_numpy("float64"),
                y=rows["value"].to_numpy("float64"),
                name=escape(str(metric)),
                mode="lines+markers",
                line=series_line(position, width=1.8 if position else 3.0),
            )
        )
    return _over_epochs(figure, "score", frame["epoch"].max(), height_px=340)


def _curves(frame: pd.DataFrame, *, name: str, line: dict[str, Any], opacity: float) -> go.Scatter:
    """All curves as one trace, with a gap after each trial: a thousand traces would be slow to draw."""
    gaps = frame.drop_duplicates("trial_id", keep="last").assign(value=np.nan)
    drawn = pd.concat([frame, gaps]).sort_index(kind="stable")
    return go.Scatter(
        x=drawn["epoch"].to_numpy("float32"),
        y=drawn["value"].to_numpy("float32"),
        text=[escape(str(trial_id)) for trial_id in drawn["trial_id"]],
        name=name,
        mode="lines+markers",
        line=line,
        marker={"size": 3 + line["width"]},
        opacity=opacity,
        connectgaps=False,
        hovertemplate="<b>%{text}</b><br>epoch %{x:.3~g}: %{y:.4f}<extra>" + name + "</extra>",
    )


def anytime(run: Run) -> pd.DataFrame:
    """The best main metric so far after each report of the search, in the order in which they came.

    Columns: ``seconds`` (since the first trial was assigned; a trial's own clock is added to its start, so the
    time it lay interrupted is not in it), ``gpu_seconds`` and ``examples_seen`` (of all trials until then),
    ``trial_id``, ``metric``, ``value`` and ``best_so_far``. Empty while nothing has been reported. With a holdout
    values are those on it at the trial's best evaluation on dev until then; they may become worse, and so may the best
    of all trials. What a trial takes over from its parent, under pbt, counts once: as the parent's.
    """
    curves = learning_curves(run)
    if run.score_split == "holdout":
        held_out = learning_curves(run, split="holdout")
        curves["value"] = _at_best_on_dev(curves, held_out, run.direction)
    about = run.trials.set_index("trial_id")
    for column in ("seconds", "examples_seen"):
        curves[column] -= run.taken_over(column)[curves["trial_id"]].array
    gpus = (about["gpu_seconds"] / about["seconds"]).fillna(0.0).astype("float64")
    num_gpus = curves["trial_id"].map(gpus).astype("float64")
    curves["gpu_seconds"] = _increments(curves["seconds"], curves["trial_id"]) * num_gpus
    started = about["started_at"]
    start_seconds = (started - started.min()).dt.total_seconds()
    curves["seconds"] = curves["seconds"] + curves["trial_id"].map(start_seconds).fillna(0.0).astype("float64")
    curves["examples_seen"] = _increments(curves["examples_seen"].astype("int64"), curves["trial_id"]).astype("int64")
    curves = curves.sort_values("seconds", kind="stable").reset_index(drop=True)
    for column in ("gpu_seconds", "examples_seen"):
        curves[column] = curves[column].cumsum()
    if run.score_split == "holdout":
        curves["best_so_far"] = _best_of_last(curves, run.direction)
    else:
        best = curves["value"].cummin() if run.direction == "minimize" else curves["value"].cummax()
        curves["best_so_far"] = best.ffill()
    return curves[["seconds", "gpu_seconds", "examples_seen", "trial_id", "metric", "value", "best_so_far"]]


def _increments(values: pd.Series, trial_ids: pd.Series) -> pd.Series:
    """What each report of a trial adds to the one before."""
    return values.groupby(trial_ids).diff().fillna(values)


def _at_best_on_dev(on_dev: pd.DataFrame, held_out: pd.DataFrame, direction: Direction) -> pd.Series:
    """For each row of curves on dev, the holdout's value at the trial's best evaluation until then."""
    key = ["trial_id", "evaluation"]
    values = on_dev[key].merge(held_out[[*key, "value"]], on=key, how="left")["value"].set_axis(on_dev.index)
    scores = -on_dev["value"] if direction == "minimize" else on_dev["value"]
    before = scores.groupby(on_dev["trial_id"]).transform(lambda of_trial: of_trial.cummax().shift())
    is_better = before.isna() | (scores > before)
    return values.where(is_better).groupby(on_dev["trial_id"]).ffill()


def _best_of_last(curves: pd.DataFrame, direction: Direction) -> list[float]:
    """The best of all trials' last values until each row."""
    sign = -1.0 if direction == "minimize" else 1.0
    last: dict[str, float] = {}
    leader, found = "", []
    for trial_id, value in zip(curves["trial_id"], curves["value"] * sign, strict=True):
        before = last.get(trial_id, -np.inf)
        last[trial_id] = before if np.isnan(value) else value
        if trial_id == leader and last[trial_id] < before:
            leader = max(last, key=lambda name: last[name])
        elif last[trial_id] > last.get(leader, -np.inf):
            leader = trial_id
        found.append(sign * last[leader] if leader else np.nan)
    return found


def anytime_figure(
    frame: pd.DataFrame, against: Literal["seconds", "gpu_seconds", "examples_seen"] = "seconds"
) -> go.Figure:
    """The best score so far as a step line, with a point at each improvement.

    Args:
        frame: what :func:`anytime` gives.
        against: what to draw it over; seconds are drawn as minutes or hours where there are many.
    """
    frame = frame.dropna(subset="best_so_far")
    if frame.empty:
        return empty_figure("Nothing has been reported yet.")
    improved = frame["best_so_far"].ne(frame["best_so_far"].shift())
    steps = frame[improved | (frame.index == frame.index[-1])]
    size, unit = (1, "examples") if against == "examples_seen" else time_unit(steps[against].max())
    title = {
        "seconds": f"{unit} since the start",
        "gpu_seconds": f"GPU {unit} of all trials",
        "examples_seen": "examples seen by all trials",
    }[against]
    figure = go.Figure(
        go.Scatter(
            x=steps[against].to_numpy("float64") / size,
            y=steps["best_so_far"].to_numpy("float64"),
            text=[escape(str(trial_id)) for trial_id in steps["trial_id"]],
            mode="lines+markers",
            line={"shape": "hv", "color": STATUS_COLOURS["completed"], "width": 2.5},
            # The last point only carries the line to the end of the search.
            marker={"size": [8] * (len(steps) - 1) + [8 if improved.iloc[-1] else 0]},
            hovertemplate="<b>%{text}</b><br>%{x:,.4~g} " + title + "<br>%{y:.4f}<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=320,
        showlegend=False,
        xaxis={"title": {"text": title, "standoff": 6}, "rangemode": "tozero"},
        yaxis={"title": {"text": "best " + escape(str(frame["metric"].iloc[0]))}},
    )
