"""What each setting did to the score on average: alone, and in pairs."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.load import Run
from mtsearch_analysis.settings import Setting, searched_settings
from mtsearch_analysis.significance import bootstrap_interval
from mtsearch_analysis.style import INK, SCORE_SCALE, STATUS_COLOURS, empty_figure, lay_out
from mtsearch_analysis.wording import count, setting, shortened

__all__ = ["effect_figure", "interaction_figure", "interactions", "marginal_effects"]

_EFFECTS = ["parameter", "metric", "bin", "at", "from", "to", "is_log", "num_trials", "mean", "low", "high"]
_ABSENT = "not used"
_LONGEST_OPTION = 20  # characters beside one another below an axis
_ROUNDING = 1e-9  # of a range: by so much a value may lie beyond its ends


def marginal_effects(
    run: Run, *, num_bins: int = 5, num_resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The mean score of the completed trials in each part of each setting's range, or with each option.

    It is an average over whatever the other settings were, which a search algorithm did not draw evenly: an effect
    may be another setting's.

    Columns: ``parameter``; ``metric`` (the main one); ``bin`` (the option, or the part's number from 0; ``not used``
    for trials that do not have the setting); ``at`` (the middle of the part on the range's scale), ``from`` and ``to``
    (its ends), null for options, among them numbers beside the range, such as a weight decay of 0; ``is_log``;
    ``num_trials``; their ``mean``, and from ``low`` to ``high`` its percentile interval over resampled trials, null for
    one trial. Parts without trials are left out. Empty if trials with different tasks are ranked apart.

    Args:
        run: the run.
        num_bins: parts of equal width of a range, on its own scale; at least 2.
        num_resamples: of each part's trials, with replacement.
        confidence: of the interval.
        seed: of the resamples.

    Raises:
        ValueError: ``num_bins`` < 2, or the confidence is not between 0 and 1.
    """
    trials = _scored(run)
    rows: list[dict[str, Any]] = []
    for one in searched_settings(run):
        bins = _binned(one, trials, num_bins)
        for part in _parts(one, trials, bins, num_bins):
            scores = trials.loc[bins == part, "score"].to_numpy("float64")
            low, high = bootstrap_interval(scores, confidence, num_resamples, seed)
            rows.append(
                {
                    "parameter": one.name,
                    "metric": run.main_metric,
                    "bin": part,
                    **_place(one, part, num_bins),
                    "num_trials": len(scores),
                    "mean": scores.mean(),
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows, columns=_EFFECTS)


def interactions(run: Run, first: str, second: str, *, num_bins: int = 4) -> pd.DataFrame:
    """The mean score of the completed trials in each part of two settings' ranges at once.

    Columns: ``first`` and ``second`` (the settings' names), ``first_bin`` and ``second_bin`` (as texts, in order:
    the option, or the part's ends), ``metric``, ``num_trials``, ``mean``, and ``beyond_sum``: how much more that is
    than the two settings' effects added up (the mean of the first's part, plus the second's, less that of all).
    Cells without trials are left out; trials that lack one of the settings too.

    Args:
        run: the run.
        first: a setting, such as ``optimizer.lr``.
        second: another one.
        num_bins: as in :func:`marginal_effects`.

    Raises:
        ValueError: no such setting varied, both are the same, or ``num_bins`` < 2.
    """
    by_name = {one.name: one for one in searched_settings(run)}
    for name in (first, second):
        if name not in by_name:
            raise ValueError(f"{run.path}: {name!r} did not vary; choose of {', '.join(by_name) or 'none'}")
    if first == second:
        raise ValueError(f"two settings interact, but got {first!r} twice")
    trials = _scored(run)
    cells = pd.DataFrame({"score": trials["score"]})
    for name in (first, second):
        cells[name] = _binned(by_name[name], trials, num_bins)
        cells = cells[cells[name] != _ABSENT]
    means = cells.groupby([first, second], sort=False)["score"].agg(["size", "mean"]).reset_index()
    alone = [means[name].map(cells.groupby(name)["score"].mean()) for name in (first, second)]
    frame = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "first_bin": means[first],
            "second_bin": means[second],
            "metric": run.main_metric,
            "num_trials": means["size"],
            "mean": means["mean"],
            "beyond_sum": means["mean"] - alone[0] - alone[1] + cells["score"].mean(),
        }
    )
    for column, name in (("first_bin", first), ("second_bin", second)):
        one = by_name[name]
        parts = [part for part in _parts(one, trials, frame[column], num_bins) if part != _ABSENT]
        texts = {part: _text(one, part, num_bins) for part in parts}
        frame[column] = pd.Categorical(frame[column].map(texts), categories=list(texts.values()), ordered=True)
    return frame.sort_values(["first_bin", "second_bin"]).reset_index(drop=True)


def effect_figure(frame: pd.DataFrame) -> go.Figure:
    """One setting's effect: the mean score over its range, or of each option, with the intervals.

    Args:
        frame: the rows of :func:`marginal_effects` of one setting.
    """
    if frame.empty:
        return empty_figure("It takes completed trials, and a setting in which they differ.")
    on_axis, apart = frame[frame["at"].notna()], frame[frame["at"].isna()]
    figure = go.Figure()
    axis: dict[str, Any] = {"title": {"text": escape(str(frame["parameter"].iloc[0])), "standoff": 6}}
    is_range = not on_axis.empty
    if is_range:
        figure.add_trace(_means(on_axis, on_axis["at"].to_numpy("float64"), "lines+markers"))
    else:
        figure.add_trace(_means(apart, [escape(str(option)) for option in apart["bin"]], "markers"))
        axis |= _option_ticks(apart["bin"])
    for option, mean, trials in apart[["bin", "mean", "num_trials"]].itertuples(index=False) if is_range else ():
        figure.add_hline(
            y=mean,
            line={"dash": "dot", "color": INK, "width": 1},
            annotation_text=f"{escape(str(option))} ({count(int(trials), 'trial')})",
        )
    kind = "category" if not is_range else "log" if frame["is_log"].any() else "linear"
    axis |= {"type": kind, "exponentformat": "e"}  # 1e-5 rather than 10µ
    return lay_out(
        figure,
        height_px=280,
        showlegend=False,
        xaxis=axis,
        yaxis={"title": {"text": escape(str(frame["metric"].iloc[0]) + ", mean")}},
    )


def interaction_figure(frame: pd.DataFrame) -> go.Figure:
    """Two settings at once, as a heat map of the mean score with the number of trials in each cell.

    Args:
        frame: what :func:`interactions` gives.
    """
    if frame.empty:
        return empty_figure("No completed trial has both settings.")
    grid = {
        column: frame.pivot(index="second_bin", columns="first_bin", values=column)
        for column in ("mean", "num_trials", "beyond_sum")
    }
    figure = go.Figure(
        go.Heatmap(
            x=[escape(str(part)) for part in grid["mean"].columns],
            y=[escape(str(part)) for part in grid["mean"].index],
            z=grid["mean"].to_numpy("float64"),
            text=[["" if pd.isna(n) else f"{n:.0f}" for n in row] for row in grid["num_trials"].to_numpy("float64")],
            texttemplate="%{text}",
            customdata=grid["beyond_sum"].to_numpy("float64"),
            colorscale=[list(stop) for stop in SCORE_SCALE],
            colorbar={"title": {"text": escape(str(frame["metric"].iloc[0]))}, "thickness": 12},
            hoverongaps=False,
            hovertemplate="%{x}, %{y}<br>mean %{z:.4f} of %{text}<br>%{customdata:+.4f} beyond the sum<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=360,
        xaxis={
            "title": {"text": escape(str(frame["first"].iloc[0])), "standoff": 6},
            "type": "category",
            **_option_ticks(grid["mean"].columns),
        },
        yaxis={
            "title": {"text": escape(str(frame["second"].iloc[0]))},
            "type": "category",
            **_option_ticks(grid["mean"].index),
        },
    )


def _option_ticks(options: Iterable[Any]) -> dict[str, Any]:
    """The options on an axis, in words short enough to stand beside one another."""
    names = [str(option) for option in options]
    return {
        "tickvals": [escape(name) for name in names],
        "ticktext": [escape(shortened(name, _LONGEST_OPTION)) for name in names],
    }


def _scored(run: Run) -> pd.DataFrame:
    trials = run.trials[(run.trials["status"] == "completed") & run.trials["score"].notna()]
    return trials.iloc[:0] if run.ranks_apart() else trials


def _binned(one: Setting, trials: pd.DataFrame, num_bins: int) -> pd.Series:
    """Each trial's option, or the number of the part of the range that it lies in; numbers beside it are options."""
    if num_bins < 2:
        raise ValueError(f"num_bins >= 2 must hold, but got num_bins={num_bins}")
    values = one.values(trials)
    if one.range is None:
        return values.where(values.notna(), _ABSENT)
    shares = one.range.share(values)
    is_inside = shares.between(-_ROUNDING, 1 + _ROUNDING)
    parts = np.floor(shares * num_bins).clip(0, num_bins - 1)
    return pd.Series(
        [
            int(part) if inside else _ABSENT if np.isnan(value) else setting(value)
            for value, part, inside in zip(values, parts, is_inside, strict=True)
        ],
        index=values.index,
        dtype=object,
    )


def _parts(one: Setting, trials: pd.DataFrame, bins: pd.Series, num_bins: int) -> list[Any]:
    """The parts or options that have trials, in their order."""
    taken = set(bins)
    if one.range is None:
        order: list[Any] = one.options(trials)
    else:
        beside = [part for part in taken if isinstance(part, str) and part != _ABSENT]
        order = [*range(num_bins), *sorted(beside, key=float)]
    return [part for part in [*order, _ABSENT] if part in taken]


def _place(one: Setting, part: Any, num_bins: int) -> dict[str, Any]:
    if one.range is None or isinstance(part, str):
        return {"at": np.nan, "from": np.nan, "to": np.nan, "is_log": one.range is not None and one.range.is_log}
    shares = {"at": (part + 0.5) / num_bins, "from": part / num_bins, "to": (part + 1) / num_bins}
    return {name: one.range.at(share) for name, share in shares.items()} | {"is_log": one.range.is_log}


def _text(one: Setting, part: Any, num_bins: int) -> str:
    if one.range is None or isinstance(part, str):
        return str(part)
    return f"{one.range.at(part / num_bins):.2g} to {one.range.at((part + 1) / num_bins):.2g}"


def _means(frame: pd.DataFrame, places: Any, mode: str) -> go.Scatter:
    return go.Scatter(
        x=places,
        y=frame["mean"].to_numpy("float64"),
        mode=mode,
        line={"color": STATUS_COLOURS["completed"], "width": 2},
        marker={"color": STATUS_COLOURS["completed"], "size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (frame["high"] - frame["mean"]).fillna(0).to_numpy("float64"),
            "arrayminus": (frame["mean"] - frame["low"]).fillna(0).to_numpy("float64"),
            "thickness": 1.5,
        },
        customdata=frame["num_trials"].to_numpy("int64"),
        hovertemplate="%{x}<br>%{y:.4f}, of %{customdata} trials<extra></extra>",
    )
