"""Whether trials that are good on one task are good on another, and which of them no other beats on every task."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from scipy.stats import kendalltau

from mtsearch_analysis.load import Run
from mtsearch_analysis.pareto import is_on_front
from mtsearch_analysis.style import GAIN_SCALE, STATUS_COLOURS, WINNER_COLOUR, empty_figure, lay_out
from mtsearch_analysis.wording import shortened

__all__ = ["task_scores", "trade_off_figure", "trade_off_table"]

_LONGEST_TITLE = 22  # characters along a panel


def task_scores(run: Run) -> pd.DataFrame:
    """What each completed trial reaches on each task, the best on the main metric first.

    Columns: ``trial_id``, ``score``, a column for each task's main metric (``sentiment.accuracy``), and
    ``is_on_front``: no other of these trials is as good on every task and better on one. A trial without one of the
    tasks is not on it.
    """
    trials = run.trials[run.trials["status"] == "completed"]
    trials = trials.sort_values("score", ascending=run.direction == "minimize", kind="stable")
    frame = trials[["trial_id", "score"]].assign(**{name: trials[f"best/{name}"] for name in run.task_metrics})
    values = frame[list(run.task_metrics)].to_numpy("float64")
    directions = [run.direction_of(name) for name in run.task_metrics]
    return frame.assign(is_on_front=is_on_front(values, directions)).reset_index(drop=True)


def trade_off_table(frame: pd.DataFrame) -> pd.DataFrame:
    """For each pair of tasks, whether the order of the trials is the same: a trade-off has a negative τ.

    Columns: ``task_a`` and ``task_b`` (as ``task.metric``), ``tau`` (Kendall's τ-b; 0 where either is the same for
    all), ``p`` (two-sided, of no association), and ``num_trials`` that have both.

    Args:
        frame: what :func:`task_scores` gives.
    """
    names = _task_columns(frame)
    rows = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = frame[[first, second]].dropna()
            found = kendalltau(both[first], both[second]) if len(both) > 1 else None
            tau, p = (np.nan, np.nan) if found is None else (np.nan_to_num(found.statistic), found.pvalue)
            rows.append((first, second, float(tau), float(p), len(both)))
    return pd.DataFrame(rows, columns=["task_a", "task_b", "tau", "p", "num_trials"])


def trade_off_figure(frame: pd.DataFrame) -> go.Figure:
    """Every task against every other: a point for each trial, those on the Pareto front in orange; τ beside it.

    Args:
        frame: what :func:`task_scores` gives.
    """
    names = _task_columns(frame)
    if len(names) < 2 or len(frame) < 2:
        return empty_figure("It takes two tasks, and two trials that completed.")
    size = len(names) - 1
    figure = make_subplots(
        rows=size, cols=size, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.03, vertical_spacing=0.03
    )
    table = trade_off_table(frame)
    taus = dict(zip(zip(table["task_a"], table["task_b"], strict=True), table["tau"], strict=True))
    for column, across in enumerate(names[:-1], start=1):
        for row, up in enumerate(names[1:], start=1):
            if row >= column:
                for is_on, (colour, name) in _KINDS.items():
                    trials = frame[frame["is_on_front"] == is_on]
                    figure.add_trace(
                        go.Scatter(
                            x=trials[across].to_numpy("float64"),
                            y=trials[up].to_numpy("float64"),
                            text=[escape(trial_id) for trial_id in trials["trial_id"]],
                            mode="markers",
                            marker={"color": colour, "size": 9 if is_on else 7},
                            name=name,
                            legendgroup=name,
                            showlegend=row == column == 1,
                            hovertemplate="<b>%{text}</b><br>%{x:.4f}, %{y:.4f}<extra>" + name + "</extra>",
                        ),
                        row=row,
                        col=column,
                    )
                if row == size:
                    title = escape(shortened(across, _LONGEST_TITLE))
                    figure.update_xaxes(title={"text": title, "standoff": 6}, row=row, col=column)
                if column == 1:
                    figure.update_yaxes(title={"text": escape(shortened(up, _LONGEST_TITLE))}, row=row, col=column)
                tau = taus[across, up]
                figure.add_annotation(
                    text="too few trials" if np.isnan(tau) else f"τ {tau:+.2f}",
                    x=0.02,
                    y=0.98,
                    xref="x domain",
                    yref="y domain",
                    showarrow=False,
                    font={"size": 12},
                    bgcolor=_tinted(tau),
                    row=row,
                    col=column,
                )
    return lay_out(figure, height_px=140 + 240 * size, margin={"l": 8, "r": 8, "t": 48, "b": 8}).update_layout(
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"}
    )


_KINDS = {
    False: (STATUS_COLOURS["completed"], "completed"),
    True: (WINNER_COLOUR, "on the Pareto front of the tasks"),
}


def _tinted(tau: float) -> str:
    """The scale's colour at a correlation, thin enough to read on; none where it is unknown."""
    if np.isnan(tau):
        return "rgba(0, 0, 0, 0)"
    colour = GAIN_SCALE[0][1] if tau < 0 else GAIN_SCALE[-1][1]
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({', '.join(map(str, channels))}, {0.35 * abs(tau):.2f})"


def _task_columns(frame: pd.DataFrame) -> list[str]:
    return [str(column) for column in frame.columns if column not in ("trial_id", "score", "is_on_front")]
