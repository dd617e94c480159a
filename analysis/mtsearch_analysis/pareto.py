"""Which trials no other beats: the Pareto front of a search with several objectives."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.load import Run
from mtsearch_analysis.style import STATUS_COLOURS, WINNER_COLOUR, empty_figure, lay_out
from mtsearch_analysis.tables import Direction

__all__ = ["is_on_front", "pareto_figure", "pareto_front"]


def is_on_front(values: np.ndarray, directions: Sequence[Direction]) -> np.ndarray:
    """Which rows no other row dominates, [rows] of bool.

    A row dominates another if it is at least as good in every column and better in one. Equal rows are on the front
    together or not at all. A row with NaN is never on it, and dominates nothing.

    Args:
        values: [rows, columns].
        directions: of each column.
    """
    losses = values * [-1.0 if direction == "maximize" else 1.0 for direction in directions] + 0.0  # no -0.0
    known = np.flatnonzero(~np.isnan(losses).any(axis=1))
    # In lexicographic order no row is dominated by a later one; and what dominates it, or a row that dominates that
    # one in its turn, is on the front.
    ordered, place = np.unique(losses[known], axis=0, return_inverse=True)
    is_best = np.zeros(len(ordered), dtype=bool)
    for i, row in enumerate(ordered):
        is_best[i] = not (ordered[:i][is_best[:i]] <= row).all(axis=1).any()
    on_front = np.zeros(len(values), dtype=bool)
    on_front[known] = is_best[place.reshape(-1)]
    return on_front


def pareto_front(run: Run) -> pd.DataFrame:
    """The completed trials on the Pareto front, the best on the first objective first; columns as ``best_trials``.

    ``rank`` is that among all trials with a score. Empty while no trial has completed with all objectives measured.

    Raises:
        ValueError: the search has one objective; its front would be its best trial.
    """
    if not run.objective.others:
        raise ValueError(
            f"{run.path}: a Pareto front needs several objectives, but this search has one, {run.main_metric}; "
            "best_trials says which trial is best"
        )
    ranked = best_trials(run, n=None)
    return ranked[ranked["pareto"].fillna(False)].reset_index(drop=True)


def pareto_figure(run: Run, against: str) -> go.Figure:
    """The first objective over another one, a point for each completed trial; the front stands out.

    With two objectives a step line bounds what is out of reach of the trials so far.

    Args:
        run: of a search with several objectives.
        against: one of the others.
    """
    ranked = best_trials(run, n=None)
    others = ranked[(ranked["status"] == "completed") & ~ranked["pareto"].fillna(False)]
    front = pareto_front(run)
    if front.empty:
        return empty_figure("No trial has completed yet.")
    front = front.sort_values(f"best/{against}")
    figure = go.Figure()
    bounded = len(run.objective.metrics) == 2
    # A corner takes the worse of its two neighbours on each objective: the trials reach that much.
    shape = "hv" if run.direction_of(against) == "minimize" else "vh"
    figure.add_trace(_points(run, others, against, "completed", {"color": STATUS_COLOURS["completed"], "size": 7}))
    figure.add_trace(
        _points(run, front, against, "on the front", {"color": WINNER_COLOUR, "size": 11}).update(
            mode="lines+markers" if bounded else "markers", line={"shape": shape, "color": WINNER_COLOUR, "width": 1.5}
        )
    )
    return lay_out(
        figure,
        height_px=380,
        xaxis={"title": {"text": escape(_goal(run, against)), "standoff": 6}},
        yaxis={"title": {"text": escape(_goal(run, run.main_metric))}},
    )


def _points(run: Run, trials: pd.DataFrame, against: str, name: str, marker: dict[str, object]) -> go.Scatter:
    return go.Scatter(
        x=trials[f"best/{against}"].to_numpy("float64"),
        y=trials["score"].to_numpy("float64"),
        text=[escape(str(trial_id)) for trial_id in trials["trial_id"]],
        name=name,
        mode="markers",
        marker=marker,
        hovertemplate=f"<b>%{{text}}</b><br>{escape(against)} %{{x:.4~g}}<br>{escape(run.main_metric)} %{{y:.4f}}"
        f"<extra>{name}</extra>",
    )


def _goal(run: Run, metric: str) -> str:
    return f"{metric} ({'less' if run.direction_of(metric) == 'minimize' else 'more'} is better)"
