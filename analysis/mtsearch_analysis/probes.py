"""What attention heads hold without being trained for it: which one tells a label best, and how training moves that.

Everything is computed from ``tables.PROBES``. A head is chosen on dev and judged on test, beside what chance reaches.
"""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mtsearch_analysis.style import INK, SERIES_COLOURS, empty_figure, label_places, lay_out

__all__ = ["best_heads", "best_layers_figure", "label_differences", "label_differences_figure"]

_MOST_LABELS = 30
_LONGEST, _SHORTEST = 34, 6


def best_heads(probes: pd.DataFrame) -> pd.DataFrame:
    """The attention head that tells each label best, for each model: chosen on dev, judged on test.

    Of heads that are equal on dev the lowest counts. Labels that test does not have are left out.

    Columns: ``model``, ``trained``, ``task``, ``label``, ``num_items`` on test, ``layer``, ``head``, ``dev_accuracy``,
    ``accuracy`` on test, ``chance`` (of the chance baselines the one that is best on dev, on test; null without one)
    and ``above_chance``.

    Args:
        probes: as ``tables.PROBES`` says.
    """
    key = ["model", "task", "label"]
    heads = probes[probes["chance"].isna()]
    dev = heads[heads["split"] == "dev"].sort_values(["layer", "head"], kind="stable")
    chosen = dev.loc[dev.groupby(key, sort=False)["accuracy"].idxmax(), [*key, "trained", "layer", "head", "accuracy"]]
    test = heads.loc[heads["split"] == "test", [*key, "layer", "head", "num_items", "accuracy"]]
    best = chosen.rename(columns={"accuracy": "dev_accuracy"}).merge(test, on=[*key, "layer", "head"])

    baselines = probes[probes["chance"].notna()]
    dev = baselines[baselines["split"] == "dev"]
    chosen = dev.loc[dev.groupby(key, sort=False)["accuracy"].idxmax(), [*key, "chance"]]
    test = baselines.loc[baselines["split"] == "test", [*key, "chance", "accuracy"]]
    chance = chosen.merge(test, on=[*key, "chance"])[[*key, "accuracy"]].rename(columns={"accuracy": "chance"})
    best = best.merge(chance, on=key, how="left")
    best["above_chance"] = best["accuracy"] - best["chance"]
    columns = ["model", "trained", "task", "label", "num_items", "layer", "head", "dev_accuracy", "accuracy"]
    return best[[*columns, "chance", "above_chance"]]


def best_layers_figure(heads: pd.DataFrame) -> go.Figure:
    """Each label at the layer of its best attention head and that head's accuracy, a panel for each task.

    A larger point is a more frequent label. Of a task the 30 most frequent labels are drawn.

    Args:
        heads: what :func:`best_heads` gives, of one model.

    Raises:
        ValueError: several models.

    Source: He and Choi 2021, The Stem Cell Hypothesis, Figure 3: there of pretrained BERT, for dependencies and roles.
    """
    if heads["model"].nunique() > 1:
        raise ValueError(
            f"one model at a time, but got {', '.join(heads['model'].unique())}; choose rows of best_heads"
        )
    labelled = heads[heads["label"] != ""]
    if labelled.empty:
        return empty_figure("No attention head was probed for a label.")
    tasks = list(dict.fromkeys(labelled["task"]))
    figure = make_subplots(
        rows=1, cols=len(tasks), shared_yaxes=True, subplot_titles=[escape(t) for t in tasks], horizontal_spacing=0.04
    )
    for place, task in enumerate(tasks, start=1):
        rows = labelled[labelled["task"] == task].nlargest(_MOST_LABELS, "num_items")
        share = np.sqrt(rows["num_items"].to_numpy("float64") / rows["num_items"].max())
        x, y = rows["layer"].to_numpy("float64") + _apart(rows), rows["accuracy"].to_numpy("float64")
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                text=[escape(label) for label in rows["label"]],
                customdata=rows[["layer", "head", "num_items", "chance"]].to_numpy("float64"),
                mode="markers+text",
                textposition=label_places(x, y),
                textfont={"size": 10},
                marker={"size": 5 + 13 * share, "color": SERIES_COLOURS[(place - 1) % len(SERIES_COLOURS)]},
                hovertemplate="<b>%{text}</b>: %{y:.3f} (chance %{customdata[3]:.3f})<br>layer %{customdata[0]}, "
                "attention head %{customdata[1]}<br>%{customdata[2]:,} items<extra></extra>",
            ),
            row=1,
            col=place,
        )
        last = int(heads["layer"].max())
        figure.update_xaxes(title={"text": "layer", "standoff": 6}, range=[0.5, last + 1.2], row=1, col=place)
    lay_out(figure, height_px=460, showlegend=False)
    figure.update_xaxes(dtick=1)
    return figure.update_yaxes(title={"text": "accuracy of the best attention head"}, row=1, col=1)


def _apart(rows: pd.DataFrame) -> np.ndarray:
    """A small shift to the side for points of a layer that would write over one another."""
    shift = np.zeros(len(rows))
    for _, group in rows.reset_index(drop=True).sort_values("accuracy").groupby("layer"):
        near = group["accuracy"].diff().fillna(1.0).lt(0.015)
        shift[group.index] = 0.38 * (near.groupby((~near).cumsum()).cumsum() % 2)
    return shift


def label_differences(heads: pd.DataFrame) -> pd.DataFrame:
    """How much better or worse than the single-task model each model's best attention head tells each label.

    A task's single-task model is the one that was trained on it alone. Columns: ``task``, ``label``, ``num_items``,
    ``frequency_rank`` (1 for the task's most frequent label), ``model``, ``accuracy``, that of the single-task model
    (``single``) and the ``difference``. Tasks without a single-task model are left out.

    Args:
        heads: what :func:`best_heads` gives.

    Raises:
        ValueError: a task has several single-task models.
    """
    labelled = heads[heads["label"] != ""]
    single = labelled[labelled["trained"] == labelled["task"]]
    several = single.groupby("task")["model"].unique()
    for task, models in several.items():
        if len(models) > 1:
            raise ValueError(f"{task} has several single-task models: {', '.join(models)}; leave out all but one")
    frame = labelled.merge(
        single[["task", "label", "accuracy"]].rename(columns={"accuracy": "single"}), on=["task", "label"]
    )
    frame = frame[frame["trained"].fillna("") != frame["task"]]
    ranks = labelled.drop_duplicates(["task", "label"])
    ranks = ranks.assign(frequency_rank=ranks.groupby("task")["num_items"].rank(ascending=False, method="first"))
    frame = frame.merge(ranks[["task", "label", "frequency_rank"]].astype({"frequency_rank": "int64"}))
    frame["difference"] = frame["accuracy"] - frame["single"]
    columns = ["task", "label", "num_items", "frequency_rank", "model", "accuracy", "single", "difference"]
    return frame[columns].reset_index(drop=True)


def label_differences_figure(frame: pd.DataFrame) -> go.Figure:
    """Each model's difference from single-task training, a dash for each label, a panel for each task.

    Longer dashes are more frequent labels; the line at 0 is the single-task model.

    Args:
        frame: what :func:`label_differences` gives.

    Source: He and Choi 2021, The Stem Cell Hypothesis, Figure 4.
    """
    if frame.empty:
        return empty_figure("There is no model that was trained on one task alone to compare with.")
    tasks, models = list(dict.fromkeys(frame["task"])), list(dict.fromkeys(frame["model"]))
    figure = make_subplots(
        rows=1, cols=len(tasks), shared_yaxes=True, subplot_titles=[escape(t) for t in tasks], horizontal_spacing=0.03
    )
    for place, task in enumerate(tasks, start=1):
        for i, model in enumerate(models):
            rows = frame[(frame["task"] == task) & (frame["model"] == model)]
            most = max(int(frame.loc[frame["task"] == task, "frequency_rank"].max()), 2)
            lengths = _LONGEST - (_LONGEST - _SHORTEST) * (rows["frequency_rank"] - 1) / (most - 1)
            colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
            figure.add_trace(
                go.Scatter(
                    x=[escape(str(model))] * len(rows),
                    y=rows["difference"].to_numpy("float64"),
                    customdata=rows[["label", "accuracy", "single", "num_items"]].to_numpy(),
                    mode="markers",
                    marker={
                        "symbol": "line-ew",
                        "size": lengths.to_numpy("float64"),
                        "line": {"width": 2.5, "color": colour},
                    },
                    hovertemplate="<b>%{customdata[0]}</b>: %{y:+.3f}<br>%{customdata[1]:.3f}, single task "
                    "%{customdata[2]:.3f}<br>%{customdata[3]:,} items<extra>%{x}</extra>",
                ),
                row=1,
                col=place,
            )
    figure.add_hline(y=0, line={"color": "#d1601f", "width": 2})
    lay_out(figure, height_px=440, showlegend=False)
    figure.update_xaxes(tickangle=-40, showgrid=False)
    figure.update_yaxes(tickformat="+.2f", zerolinecolor=INK)
    return figure.update_yaxes(title={"text": "accuracy less that of single-task training"}, row=1, col=1)
