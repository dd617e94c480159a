"""What trials cost, and what it brought."""

from __future__ import annotations

from html import escape
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.load import Run
from mtsearch_analysis.style import STATUS_COLOURS, WINNER_COLOUR, empty_figure, lay_out
from mtsearch_analysis.tables import STATUSES
from mtsearch_analysis.wording import time_unit

__all__ = ["Cost", "cost_figure", "cost_table"]

Cost = Literal["seconds", "gpu_seconds", "examples_seen"]

_TITLES: dict[Cost, str] = {
    "seconds": "{} on a worker",
    "gpu_seconds": "GPU {}",
    "examples_seen": "examples trained on",
}


def cost_table(run: Run) -> pd.DataFrame:
    """What each trial that has a score cost, the cheapest first.

    Columns: ``trial_id``, ``status``, ``metric`` (the main one), ``score``, ``seconds`` and ``gpu_seconds`` on workers,
    ``examples_seen``, and ``is_worth_it``: no trial that took fewer seconds, or as many, has a better score. Under pbt
    what a trial's ancestors had cost until it went on from them is in its own cost: without it there were no such
    score.
    """
    columns = ["trial_id", "status", "score", "seconds", "gpu_seconds", "examples_seen"]
    frame = run.trials.loc[run.trials["score"].notna(), [*columns, "number"]]
    before = run.taken_over("seconds").reindex(frame["trial_id"]).set_axis(frame.index)
    num_gpus = (frame["gpu_seconds"] / frame["seconds"]).fillna(0.0)
    frame = frame.assign(seconds=frame["seconds"] + before, gpu_seconds=frame["gpu_seconds"] + before * num_gpus)
    frame = frame.sort_values(["seconds", "number"])
    frame.insert(2, "metric", run.main_metric)
    loss = frame["score"] if run.direction == "minimize" else -frame["score"]
    best_before = loss.groupby(frame["seconds"].fillna(float("inf"))).transform("min").cummin()
    frame["is_worth_it"] = frame["seconds"].notna() & (loss <= best_before)
    return frame.drop(columns="number").reset_index(drop=True)


def cost_figure(frame: pd.DataFrame, against: Cost = "seconds") -> go.Figure:
    """Each trial's score over what it cost, coloured by what became of it.

    Args:
        frame: what :func:`cost_table` gives.
        against: the cost; seconds are drawn as minutes or hours where there are many.
    """
    frame = frame[frame[against].notna()]
    if frame.empty:
        return empty_figure("No trial has a score yet.")
    size, unit = (1, "") if against == "examples_seen" else time_unit(frame[against].max())
    frame = frame.assign(cost=frame[against] / size)
    title = _TITLES[against].format(unit)
    figure = go.Figure()
    for status in STATUSES:
        group = frame[frame["status"] == status]
        if not group.empty:
            figure.add_trace(_points(group, title, status, STATUS_COLOURS[status], 7))
    if against == "seconds":
        worth = frame[frame["is_worth_it"]].drop_duplicates("score")
        best = _points(worth, title, "best for its cost", WINNER_COLOUR, 10)
        figure.add_trace(best.update(mode="lines+markers", line={"shape": "hv", "color": WINNER_COLOUR, "width": 1.5}))
    spans_much = frame[against].min() > 0 and frame[against].max() / frame[against].min() > 20
    return lay_out(
        figure,
        height_px=360,
        xaxis={"title": {"text": title, "standoff": 6}, "type": "log" if spans_much else "linear"},
        yaxis={"title": {"text": escape(str(frame["metric"].iloc[0]))}},
    )


def _points(frame: pd.DataFrame, title: str, name: str, colour: str, size: int) -> go.Scatter:
    return go.Scatter(
        x=frame["cost"].to_numpy("float64"),
        y=frame["score"].to_numpy("float64"),
        text=[escape(str(trial_id)) for trial_id in frame["trial_id"]],
        name=name,
        mode="markers",
        marker={"color": colour, "size": size},
        hovertemplate=f"<b>%{{text}}</b><br>%{{x:,.4~g}} {title}<br>%{{y:.4f}}<extra>{name}</extra>",
    )
