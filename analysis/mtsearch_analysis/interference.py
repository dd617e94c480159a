"""Whether the tasks' gradients pull the shared parameters the same way, over the course of training."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.load import Run, Runs, named_runs
from mtsearch_analysis.style import GAIN_SCALE, empty_figure, lay_out

__all__ = ["interference_figure", "interference_table"]


def interference_table(runs: Run | Runs, trial_id: str | None = None) -> pd.DataFrame:
    """The mean cosine of each pair of tasks at each evaluation, over trials.

    Columns: ``task_a``, ``task_b``, ``epoch``, the mean ``cosine`` (each trial's own is the mean over the updates
    measured since its last evaluation; trials with more of them weigh more), ``share_negative`` (of the trials: where
    the two tasks pulled apart), ``num_trials`` and ``num_measurements`` (of updates). Evaluations are told apart by
    the epoch. Empty where gradients were not compared: ``training.interference_interval`` says how often they are.

    Args:
        runs: one or several.
        trial_id: of this trial alone; None for all.

    Raises:
        ValueError: no such trial.
    """
    by_name = named_runs(runs)
    if trial_id is not None and not any((run.trials["trial_id"] == trial_id).any() for run in by_name.values()):
        raise ValueError(f"{', '.join(by_name)}: no trial {trial_id!r}")
    rows = pd.concat([run.interference for run in by_name.values()], ignore_index=True)
    if trial_id is not None:
        rows = rows[rows["trial_id"] == trial_id]
    rows = rows.assign(
        weighted=rows["cosine"] * rows["num_measurements"], is_negative=(rows["cosine"] < 0).astype("float64")
    )
    frame = rows.groupby(["task_a", "task_b", "epoch"], sort=False).agg(
        weighted=("weighted", "sum"),
        share_negative=("is_negative", "mean"),
        num_trials=("cosine", "size"),
        num_measurements=("num_measurements", "sum"),
    )
    frame.insert(0, "cosine", frame["weighted"].astype("float64") / frame["num_measurements"].astype("float64"))
    pairs = {pair: place for place, pair in enumerate(dict.fromkeys((a, b) for a, b, _ in frame.index))}
    place = [pairs[a, b] for a, b, _ in frame.index]
    return (
        frame.drop(columns="weighted")
        .reset_index()
        .assign(place=place)
        .sort_values(["place", "epoch"], ignore_index=True)
        .drop(columns="place")
    )


def interference_figure(frame: pd.DataFrame) -> go.Figure:
    """A heat map of pairs of tasks over epochs: red where their gradients pull apart, blue where together.

    The scale ends at the largest cosine found, not at 1: gradients of a large encoder are close to orthogonal.

    Args:
        frame: what :func:`interference_table` gives.
    """
    if frame.empty:
        return empty_figure("The tasks' gradients were not compared; set training.interference_interval.")
    cosines = frame.assign(pair=frame["task_a"] + " – " + frame["task_b"]).pivot(
        index="pair", columns="epoch", values="cosine"
    )
    cosines = cosines.reindex(list(dict.fromkeys(frame["task_a"] + " – " + frame["task_b"])))
    most = float(np.nanmax(np.abs(cosines.to_numpy()))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=cosines.to_numpy("float64"),
            x=[f"{epoch:g}" for epoch in cosines.columns],
            y=[escape(pair) for pair in cosines.index],
            colorscale=GAIN_SCALE,
            zmin=-most,
            zmax=most,
            xgap=2,
            ygap=2,
            hoverongaps=False,
            text=cosines.map(lambda cosine: "" if np.isnan(cosine) else f"{cosine:+.3f}").to_numpy(),
            texttemplate="%{text}" if cosines.shape[1] <= 12 else "",
            textfont={"color": "#20262e"},
            colorbar={"title": {"text": "cosine"}, "thickness": 12},
            hovertemplate="%{y}, epoch %{x}: %{z:+.4f}<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=130 + 44 * len(cosines),
        xaxis={"title": {"text": "epoch", "standoff": 6}, "type": "category", "showgrid": False},
        yaxis={"autorange": "reversed", "showgrid": False},
    )
