"""How much the seed alone moves a score, and how many seeds it takes to see a difference beyond that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.significance import pairs_needed
from mtsearch_analysis.style import empty_figure, lay_out, series_line

__all__ = ["seed_spread", "seeds_figure", "seeds_needed"]


def seed_spread(scores: pd.DataFrame) -> pd.DataFrame:
    """The standard deviation that seeds make, a row for each split and metric.

    Columns: ``split``, ``metric``, ``num_configs`` with two seeds or more, ``num_scores`` of these, ``sd`` (of one
    config's scores over seeds, pooled over configs), and ``sd_difference`` (of the difference of two configs over the
    seeds that both have, pooled over all pairs of configs: what a paired test has to do with; √2 · ``sd`` where a seed
    moves configs independently, less where it moves them alike).

    Args:
        scores: what :func:`~mtsearch_analysis.results.config_scores` gives.
    """
    rows = []
    for (split, metric), group in scores.groupby(["split", "metric"], sort=False):
        several = group[group.groupby("config")["seed"].transform("nunique") > 1]
        values = several.pivot_table(index="seed", columns="config", values="value", aggfunc="mean", sort=False)
        num_scores = int(values.count().sum())
        rows.append((split, metric, values.shape[1], num_scores, _pooled_sd(values), _pooled_sd_of_differences(values)))
    return pd.DataFrame(rows, columns=["split", "metric", "num_configs", "num_scores", "sd", "sd_difference"])


def _pooled_sd(values: pd.DataFrame) -> float:
    """Of the columns, each around its own mean; NaN where none has two values."""
    if values.empty:
        return math.nan
    freedom = float((values.count() - 1).clip(lower=0).sum())
    if not freedom:
        return math.nan
    return math.sqrt(float(((values - values.mean()) ** 2).sum().sum()) / freedom)


def _pooled_sd_of_differences(values: pd.DataFrame) -> float:
    """Of each two columns' difference over the rows that both have; NaN where no two have two rows in common.

    Columns with the same rows are taken together, since there are many pairs of columns. Let a be those of one group
    and b those of another, each around its own mean over the rows that both groups have. In each of these rows the
    squares of all differences a - b come to ``num_b * sum((a - mean(a))**2) + num_a * sum((b - mean(b))**2) +
    num_a * num_b * (mean(a) - mean(b))**2``; within a group every pair is in this twice.
    """
    if values.shape[1] < 2:
        return math.nan
    drawn_SC = values.to_numpy("float64")
    groups_SG, group_of_C = np.unique(np.isfinite(drawn_SC), axis=1, return_inverse=True)
    squares = freedom = 0.0
    for one, other in combinations_with_replacement(range(groups_SG.shape[1]), 2):
        common = groups_SG[:, one] & groups_SG[:, other]
        if common.sum() < 2:
            continue
        a, b = (drawn_SC[np.ix_(common, group_of_C == group)] for group in (one, other))
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        mean_a, mean_b = a.mean(axis=1, keepdims=True), b.mean(axis=1, keepdims=True)
        num_a, num_b = a.shape[1], b.shape[1]
        of_pairs = num_b * ((a - mean_a) ** 2).sum() + num_a * ((b - mean_b) ** 2).sum()
        of_pairs += num_a * num_b * ((mean_a - mean_b) ** 2).sum()
        num_pairs = num_a * num_b
        if one == other:
            of_pairs, num_pairs = of_pairs / 2, num_a * (num_a - 1) // 2
        squares += float(of_pairs)
        freedom += num_pairs * (int(common.sum()) - 1)
    return math.sqrt(squares / freedom) if freedom else math.nan


def seeds_needed(
    spread: pd.DataFrame,
    differences: Sequence[float] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    num_comparisons: int = 1,
) -> pd.DataFrame:
    """How many seeds a paired t test needs to find differences of given sizes.

    Columns: ``split``, ``metric``, ``difference`` and ``num_seeds``; null where a million would not do, or where the
    spread is not known.

    Args:
        spread: what :func:`seed_spread` gives. It is an estimate itself: of three configs with three seeds each, the
            standard deviation is known to about 30%, and the seeds needed to about 60%.
        differences: of the true means, in the metric's unit.
        power: the chance to find it, between 0 and 1.
        confidence: of the test, between 0 and 1.
        num_comparisons: as many configs are compared; Holm's correction holds the smallest p to a part of alpha.

    Raises:
        ValueError: power or confidence is not between 0 and 1, or there is no comparison.
    """
    if num_comparisons < 1:
        raise ValueError(f"num_comparisons >= 1 must hold, but got num_comparisons={num_comparisons}")
    rows = []
    for split, metric, sd in spread[["split", "metric", "sd_difference"]].itertuples(index=False, name=None):
        for difference in differences:
            needed = None
            if sd > 0:
                needed = pairs_needed(difference / sd, power, (1 - confidence) / num_comparisons)
            rows.append((split, metric, difference, needed))
    frame = pd.DataFrame(rows, columns=["split", "metric", "difference", "num_seeds"])
    return frame.astype({"num_seeds": "Int64"})


def seeds_figure(frame: pd.DataFrame) -> go.Figure:
    """Seeds over the difference that they find, both in powers of ten: a line for each split and metric.

    Args:
        frame: what :func:`seeds_needed` gives.
    """
    known = frame.dropna(subset="num_seeds")
    if known.empty:
        return empty_figure("It takes two configs with two seeds each to know how much seeds matter.")
    figure = go.Figure()
    for i, ((split, metric), group) in enumerate(known.groupby(["split", "metric"], sort=False)):
        group = group.sort_values("difference")
        figure.add_trace(
            go.Scatter(
                x=group["difference"].to_numpy("float64"),
                y=group["num_seeds"].to_numpy("int64"),
                mode="lines+markers",
                line=series_line(i, width=2.0),
                name=escape(f"{metric} on {split}"),
                hovertemplate="a difference of %{x:.4~g}: %{y:,} seeds<extra>%{fullData.name}</extra>",
            )
        )
    return lay_out(
        figure,
        height_px=360,
        xaxis={
            "title": {"text": "true difference", "standoff": 6},
            "type": "log",
            "tickvals": sorted(known["difference"].unique()),
        },
        yaxis={"title": {"text": "seeds needed"}, "type": "log"},
    )
