"""The look that every figure shares: few colours, told apart by colour-blind readers, on light and on dark."""

from __future__ import annotations

import math
from html import escape, unescape
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from mtsearch_analysis.tables import Status
from mtsearch_analysis.wording import shortened

__all__ = [
    "GAIN_SCALE",
    "INK",
    "SCORE_SCALE",
    "SERIES_COLOURS",
    "STATUS_COLOURS",
    "STATUS_DASHES",
    "WINNER_COLOUR",
    "empty_figure",
    "integer_ticks",
    "label_places",
    "lay_out",
    "line_width",
    "series_line",
]

# After Okabe and Ito (https://jfly.uni-koeln.de/color/), in mid tones so that each reads on white and on near-black.
STATUS_COLOURS: dict[Status, str] = {
    "completed": "#3487c9",
    "running": "#1b9e77",
    "pruned": "#98a3b0",
    "diverged": "#d1601f",
    "failed": "#c7609b",
    "infeasible": "#a58a3c",
    "interrupted": "#9048f0",
}
STATUS_DASHES: dict[Status, str] = {
    "completed": "solid",
    "running": "dash",
    "pruned": "solid",
    "diverged": "dot",
    "failed": "dashdot",
    "infeasible": "dot",
    "interrupted": "longdash",
}
WINNER_COLOUR = "#e08a00"
SCORE_SCALE: tuple[tuple[float, str], ...] = ((0.0, "#8b98a8"), (0.5, "#5b8fc0"), (1.0, WINNER_COLOUR))

SERIES_COLOURS = ("#3487c9", "#e08a00", "#1b9e77", "#c7609b", "#9048f0", "#d1601f", "#a58a3c")
_SERIES_DASHES = ("solid", "dash", "dot", "dashdot")
GAIN_SCALE: tuple[tuple[float, str], ...] = ((0.0, "#c4511a"), (0.5, "#e4e7ea"), (1.0, "#2f7fc0"))
"""From a loss over nothing to a gain, for values around 0."""

INK = "#4a5360"
_GRID = "rgba(128, 140, 155, 0.25)"
_LONGEST_X_TITLE = 44  # characters; more is cut off on a phone
_LONGEST_Y_TITLE = 34  # more is cut off along a low figure


def lay_out(figure: go.Figure, *, height_px: int, **layout: Any) -> go.Figure:
    """Gives a figure the shared look and returns it; ``layout`` is plotly's and wins over the shared one."""
    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "automargin": True, "title": {"standoff": 8}}
    figure.update_layout(
        template=None,
        height=height_px,
        margin={"l": 8, "r": 8, "t": 32, "b": 8},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)"},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"},
        hovermode="closest",
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(**layout)
    figure.for_each_xaxis(lambda axis: _shorten_title(axis, _LONGEST_X_TITLE))
    figure.for_each_yaxis(lambda axis: _shorten_title(axis, _LONGEST_Y_TITLE))
    return figure


def _shorten_title(axis: Any, most: int) -> None:
    if axis.title.text:
        axis.title.text = escape(shortened(unescape(axis.title.text), most), quote=False)


def empty_figure(message: str) -> go.Figure:
    """A figure that says in words why there is nothing to draw yet."""
    figure = go.Figure()
    figure.add_annotation(text=message, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    hidden = {"visible": False}
    return lay_out(figure, height_px=160, xaxis=hidden, yaxis=hidden)


def integer_ticks(most: float) -> dict[str, int]:
    """For an axis of integers: plotly sets ticks between them where they are few."""
    return {"dtick": 1} if most <= 10 else {}


def label_places(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> list[str]:
    """Above or below each point: on the side that its nearest neighbour does not lie on.

    Args:
        x: of each point.
        y: of each point.
    """
    points = np.stack([x, y], axis=1)
    span = np.ptp(points, axis=0)
    points = points / np.where(span > 0, span, 1.0)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(len(points), np.inf))
    nearest = distances.argmin(axis=1)
    # Of two that lie equally high, the later one's is below.
    heights = [(height, -place) for place, height in enumerate(points[:, 1])]
    is_below = [heights[near] > heights[place] for place, near in enumerate(nearest)]
    return ["bottom center" if below else "top center" for below in is_below]


def line_width(num_lines: int) -> float:
    """The width in pixels of each of many lines: 1.4 up to a hundred, thinner the more there are."""
    return max(0.4, 1.4 * min(1.0, math.sqrt(100 / num_lines)))


def series_line(position: int, width: float) -> dict[str, Any]:
    """The line of one of several of a kind, such as runs: the dash tells them apart once colours come round again.

    Args:
        position: of it among them, from 0.
        width: in pixels.
    """
    turn, colour = divmod(position, len(SERIES_COLOURS))
    return {"color": SERIES_COLOURS[colour], "dash": _SERIES_DASHES[turn % len(_SERIES_DASHES)], "width": width}
