"""What training on another task first does for a task, whether that could be told before, and which tasks are alike.

Everything is computed from ``tables.TRANSFERS``, ``tables.TASK_EMBEDDINGS`` and ``tables.SOURCE_RANKINGS``; figures
follow Vu et al. 2020, Exploring and Predicting Transferability across NLP Tasks (arXiv 2005.00770).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mtsearch_analysis.significance import bootstrap_interval, t_interval
from mtsearch_analysis.style import INK, SERIES_COLOURS, WINNER_COLOUR, empty_figure, label_places, lay_out

__all__ = [
    "ranking_figure",
    "ranking_quality",
    "ranking_table",
    "task_map",
    "task_map_figure",
    "task_similarities",
    "transfer_figure",
    "transfer_table",
]


def transfer_table(transfers: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """What each source does for each target, a row for each of them and regime; the best source first.

    Columns: ``regime``, ``target``, ``target_kind``, ``source``, ``source_kind``, ``metric``, ``num_seeds``, the mean
    ``score``, the mean of ``direct`` training, the ``gain`` (over the seeds that both have; where they have none in
    common, of the means), the ``relative_gain`` (gain / direct), and from ``low`` to ``high`` the t interval of the
    gain over those seeds; null with less than two.

    Args:
        transfers: as ``tables.TRANSFERS`` says.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    key = ["regime", "target", "metric"]
    by_seed = transfers[transfers["source"].isna()].groupby([*key, "seed"])["score"].mean()
    directly: dict[Hashable, pd.Series] = {
        place: scores.droplevel([0, 1, 2]) for place, scores in by_seed.groupby(level=key)
    }
    identity = ["regime", "target", "target_kind", "source", "source_kind", "metric"]
    rows = []
    for values, group in transfers[transfers["source"].notna()].groupby(identity, sort=False):
        named = dict(zip(identity, values, strict=True))
        place = tuple(named[name] for name in key)
        scores = group.groupby("seed")["score"].mean()
        alone = directly.get(place, pd.Series(dtype="float64"))
        gains = (scores - alone).dropna()
        gain = gains.mean() if len(gains) else scores.mean() - alone.mean()
        low, high = t_interval(gains, confidence)
        row = {**named, "num_seeds": len(scores), "score": scores.mean(), "direct": alone.mean()}
        rows.append({**row, "gain": gain, "low": low, "high": high})
    frame = pd.DataFrame(rows, columns=[*identity, "num_seeds", "score", "direct", "gain", "low", "high"])
    frame.insert(10, "relative_gain", frame["gain"] / frame["direct"].abs())
    targets = {target: i for i, target in enumerate(dict.fromkeys(frame["target"]))}
    order = frame.assign(place=frame["target"].map(targets)).sort_values(
        ["regime", "place", "score"], ascending=[True, True, False], kind="stable"
    )
    return frame.loc[order.index].reset_index(drop=True)


def transfer_figure(table: pd.DataFrame) -> go.Figure:
    """A violin for each target of what it reaches after each source; the black line is direct training.

    A point is a source, coloured by its kind. A panel for each regime.

    Args:
        table: what :func:`transfer_table` gives.

    Source: Vu et al. 2020, Figure 2.
    """
    if table.empty:
        return empty_figure("Nothing was transferred yet.")
    regimes, targets = list(dict.fromkeys(table["regime"])), list(dict.fromkeys(table["target"]))
    kinds = list(dict.fromkeys(table["source_kind"]))
    figure = make_subplots(
        rows=len(regimes),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.08,
        subplot_titles=[escape(regime) for regime in regimes] if len(regimes) > 1 else None,
    )
    for row, regime in enumerate(regimes, start=1):
        of_regime = table[table["regime"] == regime]
        for place, target in enumerate(targets):
            rows = of_regime[of_regime["target"] == target]
            if rows.empty:
                continue
            violin = go.Violin(
                x0=place,
                y=rows["score"].to_numpy("float64"),
                points=False,
                width=0.8,
                spanmode="hard",
                line={"color": "#98a3b0", "width": 1},
                fillcolor="rgba(128, 140, 155, 0.2)",
                hoverinfo="skip",
                showlegend=False,
            )
            figure.add_trace(violin, row=row, col=1)
            direct = rows["direct"].iloc[0]
            if not math.isnan(direct):
                line = go.Scatter(
                    x=[place - 0.4, place + 0.4],
                    y=[direct, direct],
                    mode="lines",
                    line={"color": INK, "width": 3},
                    name="trained directly",
                    legendgroup="direct",
                    showlegend=row == 1 and place == 0,
                    hovertemplate="directly: %{y:.4f}<extra></extra>",
                )
                figure.add_trace(line, row=row, col=1)
        for i, kind in enumerate(kinds):
            rows = of_regime[of_regime["source_kind"] == kind]
            # Side by side in the order of the kinds, so that points of two kinds do not hide one another.
            aside = 0.5 * ((i + 1) / (len(kinds) + 1) - 0.5)
            points = go.Scatter(
                x=[targets.index(target) + aside for target in rows["target"]],
                y=rows["score"].to_numpy("float64"),
                customdata=rows[["source", "gain", "num_seeds"]].to_numpy(),
                mode="markers",
                marker={"size": 7, "color": SERIES_COLOURS[i % len(SERIES_COLOURS)], "opacity": 0.85},
                name=escape(str(kind)),
                legendgroup=str(kind),
                showlegend=row == 1,
                hovertemplate="<b>%{customdata[0]}</b>: %{y:.4f} (%{customdata[1]:+.4f} over %{customdata[2]} seeds)"
                "<extra>%{fullData.name}</extra>",
            )
            figure.add_trace(points, row=row, col=1)
    lay_out(figure, height_px=120 + 300 * len(regimes))
    figure.update_layout(legend={"y": 1.02, "yanchor": "bottom", "title": {"text": "source "}})
    figure.update_xaxes(tickvals=list(range(len(targets))), ticktext=[escape(t) for t in targets], showgrid=False)
    return figure.update_yaxes(title={"text": "score of the target"})


def task_similarities(embeddings: pd.DataFrame, method: str) -> pd.DataFrame:
    """How alike every two tasks are: the cosine of their embeddings, mean over the components that both have.

    Columns: ``task_a``, ``kind_a``, ``task_b``, ``kind_b``, ``cosine`` and ``num_components``; each pair once.

    Args:
        embeddings: as ``tables.TASK_EMBEDDINGS`` says.
        method: of the embeddings: ``textemb``, ``taskemb``.

    Raises:
        ValueError: no embedding was made by the method, or one component has vectors of different lengths.
    """
    chosen = embeddings[embeddings["method"] == method]
    if chosen.empty:
        known = ", ".join(sorted(embeddings["method"].unique())) or "none"
        raise ValueError(f"no task embeddings by {method!r}; there are those by {known}")
    kinds = dict(zip(chosen["task"], chosen["kind"], strict=True))
    tasks = list(kinds)
    total, number = (np.zeros((len(tasks), len(tasks))) for _ in range(2))
    for component, rows in chosen.groupby("component", sort=False):
        if rows["vector"].map(len).nunique() > 1:
            raise ValueError(
                f"component {component!r} of {method} has vectors of different lengths; one encoder at a time"
            )
        vectors = np.stack([np.asarray(vector, dtype="float64") for vector in rows["vector"]])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        units = vectors / np.where(lengths > 0, lengths, 1.0)
        places = np.ix_([tasks.index(task) for task in rows["task"]], [tasks.index(task) for task in rows["task"]])
        total[places] += units @ units.T
        number[places] += 1
    rows_of_pairs = [
        (tasks[i], kinds[tasks[i]], tasks[j], kinds[tasks[j]], total[i, j] / number[i, j], int(number[i, j]))
        for i in range(len(tasks))
        for j in range(i + 1, len(tasks))
        if number[i, j]
    ]
    return pd.DataFrame(rows_of_pairs, columns=["task_a", "kind_a", "task_b", "kind_b", "cosine", "num_components"])


def task_map(similarities: pd.DataFrame) -> pd.DataFrame:
    """A place in the plane for each task, such that tasks that are alike lie close together.

    Classical scaling of the distances √(2 - 2 cosine), which are Euclidean between embeddings of length 1. It has no
    chance in it: the same embeddings give the same map, up to turning and mirroring, which are fixed too.

    Columns: ``task``, ``kind``, ``x``, ``y``, ``nearest`` (the task that is most alike, by the cosine and not by the
    map), and ``kept``: the share of the distances' variance that two dimensions hold, the same in every row.

    Args:
        similarities: what :func:`task_similarities` gives, for all pairs of two tasks or more.

    Source: Torgerson 1952, Multidimensional scaling; Vu et al. 2020 place tasks by springs (Fruchterman and Reingold).
    """
    kinds = dict(zip(similarities["task_a"], similarities["kind_a"], strict=True))
    kinds |= dict(zip(similarities["task_b"], similarities["kind_b"], strict=True))
    tasks = list(kinds)
    cosines = np.eye(len(tasks))
    for first, second, cosine in similarities[["task_a", "task_b", "cosine"]].itertuples(index=False, name=None):
        i, j = tasks.index(first), tasks.index(second)
        cosines[i, j] = cosines[j, i] = cosine
    centring = np.eye(len(tasks)) - 1 / max(len(tasks), 1)
    values, vectors = np.linalg.eigh(centring @ cosines @ centring)
    values, vectors = np.clip(values[::-1], 0.0, None), vectors[:, ::-1]
    places = np.zeros((len(tasks), 2))
    places[:, : min(2, len(tasks))] = vectors[:, :2] * np.sqrt(values[:2])
    # Eigenvectors have no sign of their own: the largest coordinate of each is positive.
    for axis in places.T:
        if len(axis) and axis[np.argmax(np.abs(axis))] < 0:
            axis *= -1
    others = cosines - 3 * np.eye(len(tasks))
    return pd.DataFrame(
        {
            "task": tasks,
            "kind": list(kinds.values()),
            "x": places[:, 0],
            "y": places[:, 1],
            "nearest": [tasks[i] for i in others.argmax(axis=1)] if tasks else [],
            "kept": values[:2].sum() / values.sum() if values.sum() > 0 else np.nan,
        }
    )


def task_map_figure(frame: pd.DataFrame) -> go.Figure:
    """The tasks in the plane, coloured by their kind, each joined to the one that is most like it.

    Args:
        frame: what :func:`task_map` gives.

    Source: Vu et al. 2020, Figures 3a (TextEmb) and 3b (TaskEmb).
    """
    if frame.empty:
        return empty_figure("It takes two tasks with embeddings.")
    place = frame.set_index("task")[["x", "y"]]
    figure = go.Figure()
    ends = [
        (place.loc[task], place.loc[nearest]) for task, nearest in zip(frame["task"], frame["nearest"], strict=True)
    ]
    figure.add_trace(
        go.Scatter(
            x=[value for start, end in ends for value in (start["x"], end["x"], None)],
            y=[value for start, end in ends for value in (start["y"], end["y"], None)],
            mode="lines",
            line={"color": "#98a3b0", "width": 1},
            hoverinfo="skip",
            name="most alike",
        )
    )
    frame = frame.assign(label_place=label_places(frame["x"].to_numpy("float64"), frame["y"].to_numpy("float64")))
    for i, (kind, rows) in enumerate(frame.groupby("kind", sort=False)):
        figure.add_trace(
            go.Scatter(
                x=rows["x"].to_numpy("float64"),
                y=rows["y"].to_numpy("float64"),
                text=[escape(task) for task in rows["task"]],
                customdata=rows[["nearest"]].to_numpy(),
                mode="markers+text",
                textposition=rows["label_place"].tolist(),
                marker={"size": 12, "color": SERIES_COLOURS[i % len(SERIES_COLOURS)]},
                name=escape(str(kind)),
                hovertemplate="<b>%{text}</b><br>most like %{customdata[0]}<extra>%{fullData.name}</extra>",
            )
        )
    kept = frame["kept"].iloc[0]
    note = "" if math.isnan(kept) else f"two dimensions, with {kept:.0%} of the variance"
    hidden = {"showticklabels": False, "showgrid": False}
    return lay_out(
        figure,
        height_px=480,
        xaxis={**hidden, "title": {"text": note, "standoff": 6}},
        yaxis={**hidden, "scaleanchor": "x"},
    )


def ranking_quality(
    rankings: pd.DataFrame, table: pd.DataFrame, *, regime: str | None = None, ks: Sequence[int] = (1, 3)
) -> pd.DataFrame:
    """How well each method ranks the sources of each target, by what they came to do for it; chance beside them.

    Columns: ``method`` (``chance`` is what blind orders come to on average), ``target``, ``num_sources``,
    ``best_rank`` (of the source that came to be best; of several best ones the first), ``ndcg``, and for each k
    ``regret_at_k``: how much less than the best source the best one of the first k gives, as a share of the best score.

    Sources that were ranked but not transferred from, or the other way round, do not count; a target with less than
    two that count is left out.

    Args:
        rankings: as ``tables.SOURCE_RANKINGS`` says.
        table: what :func:`transfer_table` gives.
        regime: of the transfers; None where there is one.
        ks: of the regrets, at least 1 each.

    Raises:
        ValueError: there are several regimes, or a k is below 1.

    Source: Vu et al. 2020, section 4 (average rank, and NDCG with gains 2^score - 1); Poth et al. 2021, What to
    Pre-Train on? (Regret@k, arXiv 2104.08247).
    """
    if min(ks, default=1) < 1:
        raise ValueError(f"k >= 1 must hold, but got ks={tuple(ks)}")
    regimes = list(table["regime"].unique())
    if regime is None and len(regimes) > 1:
        raise ValueError(f"there are several regimes; choose {' or '.join(map(repr, regimes))}")
    transferred = table if regime is None else table[table["regime"] == regime]
    known = rankings.merge(transferred[["target", "source", "score"]], on=["target", "source"])
    rows = []
    for (method, target), group in known.groupby(["method", "target"], sort=False):
        if len(group) > 1:
            scores = group.sort_values("rank", kind="stable")["score"].to_numpy("float64")
            rows.append((method, target, len(scores), *_quality(scores, ks)))
    by_chance = known.drop_duplicates(["target", "source"]).groupby("target", sort=False)
    for target, group in by_chance:
        if len(group) > 1:
            rows.append(("chance", target, len(group), *_quality_by_chance(group["score"].to_numpy("float64"), ks)))
    return pd.DataFrame(
        rows, columns=["method", "target", "num_sources", "best_rank", "ndcg", *(f"regret_at_{k}" for k in ks)]
    )


def _quality(scores: npt.NDArray[np.float64], ks: Sequence[int]) -> tuple[float, ...]:
    """Of scores in the order of the ranking."""
    best = scores.max()
    regrets = [_share(best - scores[:k].max(), best) for k in ks]
    return (float(np.argmax(scores)) + 1, _ndcg(scores), *regrets)


def _quality_by_chance(scores: npt.NDArray[np.float64], ks: Sequence[int]) -> tuple[float, ...]:
    """Means over all orders of the scores: the best is anywhere, and so is every gain."""
    number, ordered = len(scores), np.sort(scores)[::-1]
    num_best = int(np.sum(scores == ordered[0]))
    gains, discounts = 2**ordered - 1, 1 / np.log2(np.arange(number) + 2)
    ndcg = _share(gains.mean() * discounts.sum(), float(gains @ discounts))
    regrets = []
    for k in ks:
        # The best of k drawn blindly is the i-th best one if it is drawn, and the others are among those behind it.
        chances = (
            [math.comb(number - 1 - i, k - 1) / math.comb(number, k) for i in range(number)] if k < number else [1]
        )
        expected = float(np.dot(chances, ordered[: len(chances)]))
        regrets.append(_share(ordered[0] - expected, ordered[0]))
    return ((number + 1) / (num_best + 1), ndcg, *regrets)


def _ndcg(scores: npt.NDArray[np.float64]) -> float:
    discounts = 1 / np.log2(np.arange(len(scores)) + 2)
    gains = 2**scores - 1
    return _share(float(gains @ discounts), float(np.sort(gains)[::-1] @ discounts))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def ranking_table(quality: pd.DataFrame) -> pd.DataFrame:
    """Each method's mean over targets, with intervals: a row for each method and measure.

    Columns: ``method``, ``measure`` (``best_rank``, ``ndcg``, ``regret_at_k``), ``num_targets``, ``mean``, and from
    ``low`` to ``high`` its 95% percentile bootstrap interval over targets.

    Args:
        quality: what :func:`ranking_quality` gives.
    """
    measures = [column for column in quality.columns if column not in ("method", "target", "num_sources")]
    rows = [
        (
            method,
            measure,
            int(group[measure].count()),
            group[measure].mean(),
            *bootstrap_interval(group[measure].dropna()),
        )
        for method, group in quality.groupby("method", sort=False)
        for measure in measures
    ]
    return pd.DataFrame(rows, columns=["method", "measure", "num_targets", "mean", "low", "high"])


def ranking_figure(table: pd.DataFrame) -> go.Figure:
    """How well each method ranks sources, a panel for each measure, with intervals over targets.

    ↓ marks the measures of which less is better.

    Args:
        table: what :func:`ranking_table` gives.
    """
    if table.empty:
        return empty_figure("No sources were ranked that were transferred from.")
    measures, methods = list(dict.fromkeys(table["measure"])), list(dict.fromkeys(table["method"]))
    figure = make_subplots(
        rows=1,
        cols=len(measures),
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=[_measure(name) for name in measures],
    )
    for place, measure in enumerate(measures, start=1):
        rows = table[table["measure"] == measure].set_index("method").reindex(methods)
        has_interval = rows["low"].notna()
        figure.add_trace(
            go.Scatter(
                x=rows["mean"].to_numpy("float64"),
                y=[escape(method) for method in methods],
                mode="markers",
                marker={"size": 10, "color": [INK if m == "chance" else WINNER_COLOUR for m in methods]},
                error_x={
                    "type": "data",
                    "array": (rows["high"] - rows["mean"]).where(has_interval, 0.0).to_numpy("float64"),
                    "arrayminus": (rows["mean"] - rows["low"]).where(has_interval, 0.0).to_numpy("float64"),
                    "thickness": 1.5,
                    "color": INK,
                },
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            ),
            row=1,
            col=place,
        )
    lay_out(figure, height_px=110 + 40 * len(methods), showlegend=False)
    figure.update_annotations(font={"size": 13})
    figure.update_xaxes(nticks=4, tickangle=0)
    return figure.update_yaxes(autorange="reversed")


def _measure(name: str) -> str:
    if name.startswith("regret_at_"):
        return f"Regret@{name.removeprefix('regret_at_')} ↓"
    return {"best_rank": "rank of the best source ↓", "ndcg": "NDCG ↑"}[name]
