"""Which settings went with which scores: parallel coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.load import Run
from mtsearch_analysis.settings import Setting, searched_settings
from mtsearch_analysis.style import INK, SCORE_SCALE, WINNER_COLOUR, empty_figure, lay_out, line_width
from mtsearch_analysis.wording import score, setting, shortened

__all__ = ["parallel_figure"]

_NOT_USED_HEIGHT = -0.14
_NUM_SHADES = 9
_MOST_EVENLY_SPACED = 6
_LONGEST_LABEL = 18  # characters between two axes
_TICK_HEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class _Axis:
    """A vertical axis: where each trial crosses it (0 bottom, 1 top, NaN if absent) and its labelled ticks."""

    title: str
    heights: np.ndarray
    ticks: tuple[tuple[float, str], ...]


def parallel_figure(run: Run) -> go.Figure:
    """Each trial that has a score as a line across the settings that varied, coloured by its score.

    A setting that a trial doesn't have (the other optimizer's) is drawn at "not used", below its axis. Up to six
    distinct values are spaced evenly; what was drawn on a logarithmic scale has a log axis. It is drawn in SVG, without
    WebGL, and a line can be pointed at.
    """
    trials = best_trials(run, n=None).iloc[::-1].reset_index(drop=True)
    varied = [one for one in searched_settings(run) if trials[one.column].nunique(dropna=False) > 1]
    if len(trials) < 2 or not varied:
        return empty_figure("It takes two trials with a score, and a setting in which they differ.")
    values = trials["score"].to_numpy("float64")
    axes = [_axis(one, trials[one.column]) for one in varied]
    axes.append(_linear_axis(run.main_metric, values))
    figure = go.Figure()
    _draw_axes(figure, axes)
    _draw_trials(figure, axes, trials["trial_id"], values, goodness=-values if run.direction == "minimize" else values)
    return lay_out(
        figure,
        height_px=460,
        showlegend=False,
        xaxis={"visible": False, "range": [-0.1, len(axes) - 0.3], "fixedrange": True},
        yaxis={"visible": False, "range": [_NOT_USED_HEIGHT - 0.06, 1.16], "fixedrange": True},
    )


def _axis(one: Setting, values: pd.Series) -> _Axis:
    present = values.dropna()
    if one.range is None or present.nunique() <= _MOST_EVENLY_SPACED:
        options = sorted(present.unique())
        spacing = np.linspace(0.0, 1.0, len(options)) if len(options) > 1 else np.array([0.5])
        height_of = dict(zip(options, spacing, strict=True))
        heights = np.array([np.nan if pd.isna(v) else height_of[v] for v in values], dtype="float64")
        # Labels of many options would overlap: name every k-th.
        every = -(-len(options) // 12)
        ticks = tuple((float(height_of[option]), setting(option)) for option in options[::every])
        return _Axis(one.name, heights, ticks)
    numbers = values.astype("float64").to_numpy()
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    if one.range.is_log and low > 0:
        logs = _linear_axis(one.name, np.log(numbers))
        ticks = tuple(
            (height, f"{value:.2g}") for height, value in zip(_TICK_HEIGHTS, np.geomspace(low, high, 5), strict=True)
        )
        return _Axis(f"{one.name} (log)", logs.heights, ticks)
    return _linear_axis(one.name, numbers)


def _linear_axis(title: str, numbers: np.ndarray) -> _Axis:
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    heights = (numbers - low) / (high - low) if high > low else np.where(np.isnan(numbers), np.nan, 0.5)
    ticks = tuple((h, f"{low + h * (high - low):.3g}") for h in _TICK_HEIGHTS) if high > low else ((0.5, f"{low:.3g}"),)
    return _Axis(title, heights, ticks)


def _draw_axes(figure: go.Figure, axes: list[_Axis]) -> None:
    shapes: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for position, axis in enumerate(axes):
        line = {"color": INK, "width": 1}
        shapes.append({"type": "line", "x0": position, "x1": position, "y0": 0, "y1": 1, "line": line, "opacity": 0.6})
        title = "<br>".join(escape(shortened(part, _LONGEST_LABEL)) for part in _parts(axis.title))
        annotations.append(
            {
                "x": position,
                "y": 1.05,
                "text": f"<b>{title}</b>",
                "hovertext": escape(axis.title),
                "showarrow": False,
                "xanchor": "left",
                "yanchor": "bottom",
                "align": "left",
                "font": {"size": 12},
            }
        )
        ticks = axis.ticks
        if np.isnan(axis.heights).any():
            ticks = (*ticks, (_NOT_USED_HEIGHT, "not used"))
        for height, label in ticks:
            annotations.append(
                {
                    "x": position,
                    "y": height,
                    "text": escape(shortened(label, _LONGEST_LABEL)),
                    "hovertext": escape(label),
                    "showarrow": False,
                    "xanchor": "left",
                    "xshift": 5,
                    "font": {"size": 11},
                }
            )
    # At once: one by one, plotly checks all of them each time.
    figure.update_layout(shapes=shapes, annotations=annotations)


def _parts(title: str) -> list[str]:
    """Of a dotted name, a line each."""
    return title.replace(".", ".\n").replace(" (log)", "\n(log)").split("\n")


def _draw_trials(
    figure: go.Figure, axes: list[_Axis], trial_ids: pd.Series, values: np.ndarray, goodness: np.ndarray
) -> None:
    """Draws trials as one trace per shade of score, the worst shade first; the last trial is the winner."""
    heights = np.stack([np.nan_to_num(axis.heights, nan=_NOT_USED_HEIGHT) for axis in axes], axis=1)
    span = np.ptp(goodness)
    shares = (goodness - goodness.min()) / span if span > 0 else np.ones_like(values)
    shades = np.minimum((shares * _NUM_SHADES).astype(int), _NUM_SHADES - 1)
    texts = [f"<b>{escape(str(t))}</b><br>{score(v)}" for t, v in zip(trial_ids, values, strict=True)]
    last = len(values) - 1
    width = line_width(len(values))
    for shade in range(_NUM_SHADES):
        rows = np.flatnonzero((shades == shade) & (np.arange(len(values)) != last))
        if len(rows):
            colour = _shade(shade / (_NUM_SHADES - 1))
            figure.add_trace(_lines(heights[rows], [texts[row] for row in rows], colour, width=width, opacity=0.7))
    figure.add_trace(_lines(heights[[last]], [texts[last]], WINNER_COLOUR, width=4.0, opacity=1.0))


def _lines(heights: np.ndarray, texts: list[str], colour: str, *, width: float, opacity: float) -> go.Scatter:
    """Several trials as one trace, with a gap after each. heights: [trials, axes]."""
    num_trials, num_axes = heights.shape
    positions = np.tile(np.append(np.arange(num_axes, dtype="float32"), np.float32("nan")), num_trials)
    gaps = np.full((num_trials, 1), np.nan)
    return go.Scatter(
        x=positions,
        y=np.concatenate([heights, gaps], axis=1).ravel().astype("float32"),
        text=np.repeat(texts, num_axes + 1).tolist(),
        mode="lines",
        line={"color": colour, "width": width},
        opacity=opacity,
        hovertemplate="%{text}<extra></extra>",
    )


def _shade(share: float) -> str:
    """The colour at a share in [0, 1] of the score scale."""
    stops = [position for position, _ in SCORE_SCALE]
    channels = [[int(colour[i : i + 2], 16) for _, colour in SCORE_SCALE] for i in (1, 3, 5)]
    return "#" + "".join(f"{round(float(np.interp(share, stops, channel))):02x}" for channel in channels)
