"""Which trials no other beats: the Pareto front of a search with several objectives, and how much it covers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.load import Run
from mtsearch_analysis.style import STATUS_COLOURS, WINNER_COLOUR, empty_figure, integer_ticks, lay_out
from mtsearch_analysis.tables import Direction

__all__ = [
    "hypervolume",
    "hypervolume_curve",
    "hypervolume_figure",
    "is_on_front",
    "pareto_figure",
    "pareto_front",
]


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


def hypervolume(values: np.ndarray, directions: Sequence[Direction], reference: npt.ArrayLike) -> float:
    """The volume between a reference point and the front: what is no better than some row, and better than that point.

    It is exact. Rows with NaN, and rows that are not better than the reference in every column, add nothing.

    Args:
        values: [rows, columns].
        directions: of each column.
        reference: a point that is worse than what counts, [columns].

    Source: Zitzler and Thiele 1998; While, Bradstreet and Barone 2012 (WFG): the sum of what each point adds to those
    after it. That takes exponential time in the number of objectives, of which searches have two or three.
    """
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    gains = (np.asarray(reference, dtype=np.float64) - values) * signs
    gains = gains[(gains > 0).all(axis=1)]
    return _volume(gains)


def _volume(gains_RC: np.ndarray) -> float:
    """Of the union of the boxes from 0 to each row."""
    gains_RC = np.unique(gains_RC[is_on_front(gains_RC, ["maximize"] * gains_RC.shape[1])], axis=0)
    if gains_RC.shape[1] == 2:  # the first column grows, so the second one falls: slices
        widths = np.diff(gains_RC[:, 0], prepend=0.0)
        return float((widths * gains_RC[:, 1]).sum())
    return float(
        sum(row.prod() - _volume(np.minimum(gains_RC[i + 1 :], row)) for i, row in enumerate(gains_RC) if row.all())
    )


def hypervolume_curve(run: Run, reference: npt.ArrayLike | None = None) -> pd.DataFrame:
    """The hypervolume that the completed trials cover, after each of them.

    Columns: ``trial_id``, ``num_trials`` completed by then, ``seconds`` since the first trial started, ``hypervolume``,
    and ``share`` of the last one. Empty while no trial has completed with all objectives measured.

    Args:
        run: of a search with several objectives.
        reference: the value of each objective from which on it counts; None for the worst one of any completed trial
            and a tenth of their span beyond, which lets a run be compared with itself alone.

    Raises:
        ValueError: the search has one objective.
    """
    if not run.objective.others:
        raise ValueError(f"{run.path}: a hypervolume needs several objectives, but this search has {run.main_metric}")
    columns = ["score", *(f"best/{name}" for name in run.objective.others)]
    directions = list(run.objective.metrics.values())
    completed = run.trials[run.trials["status"] == "completed"].reindex(columns=[*run.trials.columns, *columns])
    completed = completed.loc[:, ~completed.columns.duplicated()].dropna(subset=columns)
    completed = completed.sort_values(["ended_at", "number"])
    if completed.empty:
        return pd.DataFrame(columns=["trial_id", "num_trials", "seconds", "hypervolume", "share"])
    values = completed[columns].to_numpy("float64")
    if reference is None:
        signs = [1.0 if direction == "minimize" else -1.0 for direction in directions]
        reference = np.max(values * signs + 0.1 * np.ptp(values, axis=0), axis=0) * signs
    volumes = [hypervolume(values[: i + 1], directions, reference) for i in range(len(values))]
    since_start = (completed["ended_at"] - run.trials["started_at"].min()).dt.total_seconds()
    frame = pd.DataFrame(
        {
            "trial_id": completed["trial_id"].to_numpy(),
            "num_trials": np.arange(1, len(values) + 1),
            "seconds": since_start.to_numpy("float64"),
            "hypervolume": volumes,
        }
    )
    return frame.assign(share=frame["hypervolume"] / volumes[-1] if volumes[-1] else 0.0)


def hypervolume_figure(frame: pd.DataFrame) -> go.Figure:
    """The hypervolume after each completed trial, as a step line.

    Args:
        frame: what :func:`hypervolume_curve` gives.
    """
    if frame.empty:
        return empty_figure("No trial has completed yet.")
    figure = go.Figure(
        go.Scatter(
            x=frame["num_trials"].to_numpy("int64"),
            y=frame["hypervolume"].to_numpy("float64"),
            text=[escape(str(trial_id)) for trial_id in frame["trial_id"]],
            mode="lines+markers",
            line={"shape": "hv", "color": STATUS_COLOURS["completed"], "width": 2.5},
            hovertemplate="<b>%{text}</b>, completed as number %{x}<br>hypervolume %{y:.4~g}<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=320,
        showlegend=False,
        xaxis={"title": {"text": "completed trials", "standoff": 6}, "rangemode": "tozero"} | integer_ticks(len(frame)),
        yaxis={"title": {"text": "hypervolume"}, "rangemode": "tozero", "exponentformat": "e"},
    )


def pareto_front(run: Run) -> pd.DataFrame:
    """The completed trials on the Pareto front, the best on the first objective first; columns as ``best_trials``.

    ``rank`` is that among all trials with a score. Empty while no trial has completed with all objectives measured.

    Raises:
        ValueError: the search has one objective; its front would be its best trial.
    """
    if not run.objective.others:
        raise ValueError(
            f"{run.path}: a Pareto front needs several objectives, but this search has one, {run.main_metric}; "
            "best_trials says which trial is best, and task_scores which no other beats on every task"
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
