"""Which attention heads stay open when they may be pruned, and whether runs and tasks keep the same ones.

A set of gates is what one trial has for all tasks, or for one task where each has gates of its own. Figures follow He
and Choi 2021, The Stem Cell Hypothesis (EMNLP): a dark cell is an attention head that is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from scipy.stats import hypergeom

from mtsearch_analysis.load import Run, Runs, named_runs
from mtsearch_analysis.significance import tails
from mtsearch_analysis.style import SERIES_COLOURS, WINNER_COLOUR, empty_figure, lay_out

__all__ = [
    "OPEN_ABOVE",
    "gate_agreement",
    "gate_maps",
    "gate_pairs",
    "gate_pairs_figure",
    "head_costs",
    "head_costs_figure",
    "head_maps_figure",
    "jaccard",
    "jaccard_by_chance",
    "mean_map",
    "rgb_figure",
]

OPEN_ABOVE = 1e-3
"""A gate above this is open; one at most this counts as pruned (``tables.GATES``)."""

_IDENTITY = ["run", "trial_id", "gates_of"]
_MOST_ACROSS = 4
# Closed is white and open is black, on a light page and on a dark one.
_OPENNESS = ((0.0, "#ffffff"), (1.0, "#101418"))
_EDGE = "#98a3b0"
_BEHIND = "#c9cfd6"


def gate_maps(runs: Run | Runs, at: Literal["best", "last"] = "last") -> pd.DataFrame:
    """Every gate of every trial at one evaluation, a row for each attention head of each set of gates.

    Columns: ``run``, ``trial_id``, ``gates_of`` (the task whose gates they are; empty for those that all tasks share),
    ``trained`` (the trial's tasks: ``pos+ner``), ``seed``, ``evaluation``, ``epoch``, ``layer`` and ``head`` from 1,
    and ``gate`` in [0, 1]. Empty where no attention heads may be pruned.

    Args:
        runs: one or several.
        at: each trial's last evaluation, or its best one.
    """
    return pd.concat([_maps_of(name, run, at) for name, run in named_runs(runs).items()], ignore_index=True)


def _maps_of(name: str, run: Run, at: Literal["best", "last"]) -> pd.DataFrame:
    trials = run.trials[["trial_id", "number", "tasks", "seed", "best/epoch"]]
    gates = run.gates.merge(trials, on="trial_id").sort_values(["number", "task", "layer", "head"], kind="stable")
    if at == "best":
        gates = gates[gates["epoch"] == gates["best/epoch"]]
    is_chosen = gates["evaluation"] == gates.groupby("trial_id")["evaluation"].transform("max")
    named = gates[is_chosen].rename(columns={"task": "gates_of", "tasks": "trained"}).assign(run=name)
    return named[[*_IDENTITY, "trained", "seed", "evaluation", "epoch", "layer", "head", "gate"]]


def mean_map(maps: pd.DataFrame) -> pd.DataFrame:
    """The mean gate of each attention head over sets of gates, whichever they are: columns ``layer, head, gate``.

    Args:
        maps: what :func:`gate_maps` gives, or some of its rows.

    Raises:
        ValueError: encoders of different shapes.

    Source: He and Choi 2021, the grey map H of Figure 1g: there over five tasks and three runs.
    """
    vectors = _vectors(maps)
    return vectors.mean(axis=1).rename("gate").reset_index()


def head_maps_figure(maps: pd.DataFrame) -> go.Figure:
    """Layer × attention head, dark where the gate is open, one panel for each set of gates (16 at most).

    Args:
        maps: what :func:`gate_maps` or :func:`mean_map` gives, or some of its rows.

    Raises:
        ValueError: encoders of different shapes.
    """
    if maps.empty:
        return empty_figure("No attention heads may be pruned in this run.")
    panels = list(_panels(maps))[:16]
    across = min(len(panels), _MOST_ACROSS)
    down = -(-len(panels) // across)
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=[title for title, _ in panels],
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.02,
        vertical_spacing=0.2 / down,
    )
    for place, (title, grid) in enumerate(panels):
        figure.add_trace(
            go.Heatmap(
                z=grid.to_numpy("float64"),
                x=grid.columns,
                y=grid.index,
                zmin=0.0,
                zmax=1.0,
                colorscale=_OPENNESS,
                showscale=place == 0,
                colorbar={"title": {"text": "gate"}, "thickness": 12},
                xgap=1,
                ygap=1,
                hovertemplate="layer %{y}, attention head %{x}: %{z:.3f}<extra>" + title + "</extra>",
            ),
            row=place // across + 1,
            col=place % across + 1,
        )
    return _head_axes(figure, panels[0][1], across, down)


def rgb_figure(maps: pd.DataFrame) -> go.Figure:
    """Three sets of gates in one map, a colour channel each: ``255 · (1 - gate)``.

    Black is open in all three, white in none; cyan, magenta and yellow are open in the first, second or third alone;
    blue, green and red in two of them (all but the third, the second, the first).

    Args:
        maps: rows of :func:`gate_maps` for three sets of gates.

    Raises:
        ValueError: not three sets of gates, or encoders of different shapes.

    Source: He and Choi 2021, Figure 1a to 1f.
    """
    vectors = _vectors(maps)
    if vectors.shape[1] != 3:
        raise ValueError(
            f"an RGB map takes three sets of gates, but got {vectors.shape[1]}; choose rows of gate_maps, "
            "or draw mean_map with head_maps_figure"
        )
    names = list(_names(maps).values())
    shape = (len(vectors.index.unique("layer")), len(vectors.index.unique("head")))
    gates_NH3 = vectors.to_numpy("float64").reshape(*shape, 3)
    layers, heads = vectors.index.unique("layer"), vectors.index.unique("head")
    hover = "layer %{y}, attention head %{x}<br>" + "<br>".join(
        f"{escape(name)}: %{{customdata[{i}]:.3f}}" for i, name in enumerate(names)
    )
    figure = go.Figure(
        go.Image(
            z=np.rint(255 * (1 - gates_NH3)).astype("uint8"),
            x0=heads[0],
            y0=layers[0],
            customdata=gates_NH3,
            hovertemplate=hover + "<extra></extra>",
        )
    )
    legend = dict(zip(("#00ffff", "#ff00ff", "#ffff00"), (f"{escape(name)} alone" for name in names), strict=True))
    for colour, name in (legend | {"#000000": "all three", "#ffffff": "none"}).items():
        marker = {"size": 11, "color": colour, "symbol": "square", "line": {"color": _EDGE, "width": 1}}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=name))
    lay_out(figure, height_px=140 + 34 * shape[0])
    figure.update_xaxes(title={"text": "attention head", "standoff": 6}, dtick=1, showgrid=False, constrain="domain")
    return figure.update_yaxes(
        title={"text": "layer"}, dtick=1, autorange=True, showgrid=False, scaleanchor="x", constrain="domain"
    )


def gate_pairs(
    maps: pd.DataFrame,
    *,
    num_permutations: int = 2_000,
    num_resamples: int = 2_000,
    confidence: float = 0.95,
    within_layers: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """How much alike every two sets of gates are, and how much alike they would be by chance.

    Columns:
        ``a`` and ``b`` (names of the sets), ``relation`` ("same tasks", "joint and single": one trained all of the
        other's tasks and more; "different tasks": none in common; "overlapping tasks"; "same trial": gates of two
        tasks in one; "unknown tasks" in runs of before tables named them);
        ``correlation`` (Pearson's, over attention heads; NaN where one is constant), from ``low`` to ``high`` its
        percentile bootstrap interval over attention heads, ``p`` (share of permutations that correlate as much);
        ``jaccard`` of the open attention heads, its mean ``jaccard_chance``, and from ``chance_low`` to
        ``chance_high`` where it lies by chance with ``confidence``, for two sets of these sizes.

    Attention heads of one encoder are no independent draws, so p and the interval are too sure of themselves. With
    ``within_layers`` heads are permuted within their layers: what is beyond chance then is not that some layers are
    kept more than others.

    Args:
        maps: what :func:`gate_maps` gives, or some of its rows; two sets of gates or more.
        num_permutations: of the heads of one set, at least 1; p is at least 1 / (this + 1).
        num_resamples: of the bootstrap, at least 1.
        confidence: of both intervals, between 0 and 1.
        within_layers: permute within layers; the Jaccard index' chance does not know of layers.
        seed: of permutations and bootstrap.

    Raises:
        ValueError: an argument is out of its range, or encoders have different shapes.
    """
    for name, number in (("num_permutations", num_permutations), ("num_resamples", num_resamples)):
        if number < 1:
            raise ValueError(f"{name} >= 1 must hold, but got {name}={number}")
    quantiles = tails(confidence)
    columns = ["a", "b", "relation", "correlation", "low", "high", "p"]
    columns += ["jaccard", "jaccard_chance", "chance_low", "chance_high"]
    if maps.empty:
        return pd.DataFrame(columns=columns)
    vectors = _vectors(maps)
    names, trained = _names(maps), maps.groupby(_IDENTITY, sort=False)["trained"].first()
    rng = np.random.default_rng(seed)
    layers = vectors.index.get_level_values("layer").to_numpy()
    rows = []
    for first, second in combinations(names, 2):
        left, right = vectors[first].to_numpy("float64"), vectors[second].to_numpy("float64")
        found = float(_correlations(left, right[None])[0])
        by_chance = _correlations(left, right[_permutations(rng, layers, num_permutations, within_layers)])
        drawn = rng.integers(len(left), size=(num_resamples, len(left)))
        resampled = _correlations(left[drawn], right[drawn])
        resampled = resampled[~np.isnan(resampled)]
        low, high = np.quantile(resampled, quantiles) if len(resampled) else (np.nan, np.nan)
        as_much = np.sum(np.abs(by_chance) >= abs(found) - 1e-12)
        p = np.nan if np.isnan(found) else (as_much + 1) / (num_permutations + 1)
        opened = left > OPEN_ABOVE, right > OPEN_ABOVE
        chance = jaccard_by_chance(len(left), int(opened[0].sum()), int(opened[1].sum()), confidence)
        relation = _relation(first, second, trained[first], trained[second])
        rows.append((names[first], names[second], relation, found, low, high, p, jaccard(*opened), *chance))
    return pd.DataFrame(rows, columns=columns)


def gate_agreement(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs by what they have in common: a row for each relation, the most alike first.

    Columns: ``relation``, ``num_pairs``, the mean ``correlation`` with its least and most (``correlation_low``,
    ``correlation_high``), the same of ``jaccard``, and ``jaccard_chance``. The same statistic for all relations, so
    that seeds, tasks, and joint against single training can be set side by side.

    Args:
        pairs: what :func:`gate_pairs` gives.
    """
    grouped = pairs.groupby("relation", sort=False)
    frame = grouped.agg(
        num_pairs=("jaccard", "size"),
        correlation=("correlation", "mean"),
        correlation_low=("correlation", "min"),
        correlation_high=("correlation", "max"),
        jaccard=("jaccard", "mean"),
        jaccard_low=("jaccard", "min"),
        jaccard_high=("jaccard", "max"),
        jaccard_chance=("jaccard_chance", "mean"),
    )
    return frame.reset_index().sort_values("jaccard", ascending=False, kind="stable", ignore_index=True)


def gate_pairs_figure(pairs: pd.DataFrame) -> go.Figure:
    """The Jaccard index of each pair, in a row for each relation, over the range that chance would give.

    Args:
        pairs: what :func:`gate_pairs` gives.
    """
    if pairs.empty:
        return empty_figure("It takes two sets of gates.")
    relations = list(gate_agreement(pairs)["relation"])
    figure = go.Figure()
    for i, relation in enumerate(relations):
        rows = pairs[pairs["relation"] == relation]
        low, high = rows["chance_low"].min(), rows["chance_high"].max()
        figure.add_shape(
            type="rect",
            x0=low,
            x1=high,
            y0=-i - 0.36,
            y1=-i + 0.36,
            fillcolor="rgba(128, 140, 155, 0.22)",
            line={"width": 0},
            layer="below",
        )
        # Spread in the order of the table: points would lie on one another.
        spread = np.linspace(0.24, -0.24, len(rows)) if len(rows) > 1 else np.zeros(1)
        figure.add_trace(
            go.Scatter(
                x=rows["jaccard"].to_numpy("float64"),
                y=spread - i,
                mode="markers",
                marker={"size": 9, "color": SERIES_COLOURS[0]},
                customdata=rows[["a", "b", "correlation", "p"]].to_numpy(),
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>Jaccard %{x:.3f}<br>correlation "
                "%{customdata[2]:.3f} (p = %{customdata[3]:.2g})<extra></extra>",
                name="a pair",
                showlegend=i == 0,
                legendgroup="pair",
            )
        )
        mean = {"size": 22, "color": WINNER_COLOUR, "symbol": "line-ns", "line": {"width": 3, "color": WINNER_COLOUR}}
        figure.add_trace(
            go.Scatter(
                x=[rows["jaccard"].mean()],
                y=[-i],
                mode="markers",
                marker=mean,
                name="mean",
                showlegend=i == 0,
                legendgroup="mean",
                hovertemplate="mean %{x:.3f}<extra></extra>",
            )
        )
    band = {"size": 14, "symbol": "square", "color": "rgba(128, 140, 155, 0.35)"}
    figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=band, name="by chance, 95%"))
    return lay_out(
        figure,
        height_px=130 + 70 * len(relations),
        xaxis={
            "title": {"text": "Jaccard index of the open attention heads", "standoff": 6},
            "range": _padded(pairs[["jaccard", "chance_low", "chance_high"]].to_numpy("float64")),
        },
        yaxis={
            "tickvals": [-i for i in range(len(relations))],
            "ticktext": [escape(relation) for relation in relations],
            "range": [0.5 - len(relations), 0.5],
            "showgrid": False,
        },
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
    )


def _padded(values: npt.NDArray[np.float64]) -> list[float]:
    """From the least to the most, and a little on both sides."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.04 * (high - low) or 0.02
    return [low - margin, high + margin]


def jaccard(left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> float:
    """What two sets have in common by what either has; NaN where both are empty.

    Args:
        left: whether each element is in the one.
        right: whether each element is in the other.
    """
    either = int(np.sum(left | right))
    return float(np.sum(left & right)) / either if either else float("nan")


def jaccard_by_chance(
    num_elements: int, num_left: int, num_right: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """The Jaccard index of two sets of given sizes, drawn blindly: its mean, and an interval that it lies in.

    Exact: how many they have in common is hypergeometric. NaN where both are empty.

    Args:
        num_elements: how many there are to draw from.
        num_left: how many are in the one.
        num_right: how many are in the other.
        confidence: of the interval, which holds at least this share.
    """
    if not num_left + num_right:
        return float("nan"), float("nan"), float("nan")
    common = hypergeom(num_elements, num_left, num_right)
    overlaps = np.arange(min(num_left, num_right) + 1)
    indices = overlaps / (num_left + num_right - overlaps)
    limits = common.ppf(tails(confidence)).astype(int)
    return float(np.sum(common.pmf(overlaps) * indices)), float(indices[limits[0]]), float(indices[limits[1]])


def head_costs(runs: Run | Runs) -> pd.DataFrame:
    """What each completed trial reaches with how many attention heads and at what cost, fewest heads first.

    Columns: ``run``, ``trial_id``, ``score``, ``open_heads`` and ``latency_ratio`` (the measured time of a
    forward pass without the closed attention heads by that of the whole encoder), each at its best epoch; ratios.
    Empty where no attention heads may be pruned.

    Args:
        runs: one or several.
    """
    costs = ["best/open_heads", "best/latency_ratio"]
    trials = pd.concat([run.trials.assign(run=name) for name, run in named_runs(runs).items()], ignore_index=True)
    trials = trials[trials["status"] == "completed"].reindex(columns=["run", "trial_id", "score", *costs])
    return (
        trials.rename(columns=lambda name: name.removeprefix("best/"))
        .dropna(subset=["score", "open_heads"])
        .sort_values("open_heads", kind="stable", ignore_index=True)
    )


def head_costs_figure(frame: pd.DataFrame, score_name: str = "score") -> go.Figure:
    """The score over open attention heads and over latency, each by the whole encoder's; a point for each trial.

    Args:
        frame: what :func:`head_costs` gives.
        score_name: the axis title.
    """
    if frame.empty:
        return empty_figure("No attention heads may be pruned in this run.")
    costs = {"open_heads": "open attention heads", "latency_ratio": "latency"}
    shown = [name for name in costs if frame[name].notna().any()]
    figure = make_subplots(rows=1, cols=len(shown), shared_yaxes=True, horizontal_spacing=0.05)
    for place, name in enumerate(shown, start=1):
        figure.add_trace(
            go.Scatter(
                x=frame[name].to_numpy("float64"),
                y=frame["score"].to_numpy("float64"),
                text=[escape(f"{run}/{trial}") for run, trial in zip(frame["run"], frame["trial_id"], strict=True)],
                mode="markers",
                marker={"size": 10, "color": SERIES_COLOURS[0]},
                hovertemplate="<b>%{text}</b><br>%{x:.3f}: %{y:.4f}<extra></extra>",
            ),
            row=1,
            col=place,
        )
        figure.update_xaxes(title={"text": costs[name], "standoff": 6}, tickformat=".0%", row=1, col=place)
    figure.update_yaxes(title={"text": escape(score_name)}, row=1, col=1)
    return lay_out(figure, height_px=340, showlegend=False)


def _vectors(maps: pd.DataFrame) -> pd.DataFrame:
    """Gates by (layer, head), a column for each set of them in the order of the maps.

    Raises:
        ValueError: they are of encoders of different shapes.
    """
    names = list(dict.fromkeys(maps[_IDENTITY].itertuples(index=False, name=None)))
    vectors = maps.pivot(index=["layer", "head"], columns=_IDENTITY, values="gate").sort_index()[names]
    if vectors.isna().any(axis=None):
        raise ValueError("sets of gates of different shapes cannot be compared; choose runs with the same encoder")
    return vectors


def _panels(maps: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(title, layer × head) of each set of gates; a mean map is one without a title."""
    if "run" not in maps:
        yield "", maps.pivot(index="layer", columns="head", values="gate")
        return
    vectors = _vectors(maps)
    for identity, name in _names(maps).items():
        yield escape(name), vectors[identity].unstack("head")


def _head_axes(figure: go.Figure, grid: pd.DataFrame, across: int, down: int) -> go.Figure:
    lay_out(figure, height_px=60 + down * (60 + (20 if across > 1 else 34) * len(grid)))
    behind = {"x0": 0.5, "x1": grid.shape[1] + 0.5, "y0": 0.5, "y1": len(grid) + 0.5, "layer": "below"}
    figure.add_shape(type="rect", fillcolor=_BEHIND, line={"width": 0}, row="all", col="all", **behind)
    figure.update_annotations(font={"size": 13})
    every = 1 if across == 1 and max(grid.shape) <= 16 else 2 if max(grid.shape) <= 16 else 4
    figure.update_xaxes(tickvals=list(grid.columns)[every - 1 :: every], tickangle=0, showgrid=False)
    figure.update_yaxes(tickvals=list(grid.index)[every - 1 :: every], showgrid=False)
    for column in range(1, across + 1):
        figure.update_xaxes(title={"text": "attention head", "standoff": 4}, row=down, col=column)
    for row in range(1, down + 1):
        figure.update_yaxes(title={"text": "layer"}, row=row, col=1)
    return figure


def _names(maps: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """A name for each set of gates, no longer than it takes to tell them apart."""
    sets = maps[_IDENTITY].drop_duplicates()
    has_one_run, has_one_trial = sets["run"].nunique() == 1, not sets.duplicated(["run", "gates_of"]).any()
    names = {}
    for run, trial_id, gates_of in sets.itertuples(index=False, name=None):
        place = run if has_one_trial and not has_one_run else trial_id if has_one_run else f"{run}/{trial_id}"
        names[run, trial_id, gates_of] = place + (f" ({gates_of})" if gates_of else "")
    return names


def _relation(first: tuple[str, str, str], second: tuple[str, str, str], left: Any, right: Any) -> str:
    """What the tasks of two sets of gates have in common; ``left`` and ``right`` are all those that were trained."""
    if first[:2] == second[:2]:
        return "same trial"
    # With gates of its own a task stands for itself.
    names = [identity[2] or trained for identity, trained in ((first, left), (second, right))]
    if any(pd.isna(name) for name in names):
        return "unknown tasks"
    one, other = (set(str(name).split("+")) for name in names)
    if one == other:
        return "same tasks"
    if not one & other:
        return "different tasks"
    return "joint and single" if one < other or other < one else "overlapping tasks"


def _correlations(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pearson's correlation of each row of the one with that of the other; NaN where one is constant."""
    centred = [values - values.mean(axis=-1, keepdims=True) for values in (left, right)]
    covariance = np.sum(centred[0] * centred[1], axis=-1)
    scale = np.sqrt(np.prod([np.sum(np.square(values), axis=-1) + 0 * covariance for values in centred], axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-12, covariance / scale, np.nan)


def _permutations(
    rng: np.random.Generator, layers: npt.NDArray[np.int_], number: int, within_layers: bool
) -> npt.NDArray[np.int_]:
    """Orders of the attention heads, [number, heads]."""
    keys = rng.random((number, len(layers)))
    if within_layers:
        keys += layers  # sorted by layer first; layers are sorted already
    return np.argsort(keys, axis=1)
