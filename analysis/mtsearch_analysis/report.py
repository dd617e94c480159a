"""The report: one HTML file that holds everything and fetches nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mtsearch_analysis import wording
from mtsearch_analysis.best import best_trials, task_table
from mtsearch_analysis.curves import anytime, anytime_figure, curve_figure, learning_curves
from mtsearch_analysis.load import Run
from mtsearch_analysis.parallel import parallel_figure
from mtsearch_analysis.pareto import pareto_figure, pareto_front
from mtsearch_analysis.replication import replication_table, replication_verdict
from mtsearch_analysis.summary import summarise
from mtsearch_analysis.tables import STATUSES, split_metric

__all__ = ["write_report"]

# More lines than these can't be told apart, and make the page slow: the best trials' are drawn.
_MOST_CURVES = 1_000
_MOST_TASK_CURVES = 100


@dataclass(frozen=True)
class _Figure:
    """A drawn figure: its id in the page, what it shows in words, and plotly's JSON."""

    id: str
    caption: str
    plot: dict[str, Any]
    min_width_px: int = 0


@dataclass(frozen=True)
class _Cell:
    """A table cell: its text, and what it is sorted by (None sorts last)."""

    text: str
    key: float | str | None


def write_report(run: Run, out: str | Path | None = None) -> Path:
    """Writes the run's report as one HTML file and returns its path.

    The page holds its figures and the code that draws them, works offline, reads without JavaScript up to the
    figures, and is replaced in one step, so that a browser never sees half of it.

    Args:
        run: the run, finished or not.
        out: the file to write; None for ``report/index.html`` in the run folder.
    """
    target = Path(out) if out is not None else run.path / "report" / "index.html"
    environment = Environment(
        loader=PackageLoader("mtsearch_analysis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["breakable"] = _breakable
    page = environment.get_template("report.html.j2").render(
        run=run,
        written_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summarise(run),
        key_figures=_key_figures(run),
        winner=_winner(run),
        front=_front(run),
        replication=_replication(run),
        trial_columns=_trial_columns(run),
        trial_rows=_trial_rows(run),
        figures=_figures(run),
        environment=list(_leaves(run.environment or {})),
        data_hashes=sorted(run.trials["data_hash"].dropna().unique()),
        space=_yaml(run.space) if run.space else None,
        plotly=Markup(get_plotlyjs()),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(target)
    return target


def _key_figures(run: Run) -> list[tuple[str, str, str]]:
    """(what, value, note) of the few numbers at the top."""
    best = best_trials(run, n=1)
    counts = run.trials["status"].value_counts()
    became = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    on = " on the holdout" if run.score_split == "holdout" else ""
    figures = [
        (f"Best {run.main_metric}{on}", wording.score(best["score"].iloc[0]), str(best["trial_id"].iloc[0]))
        if len(best) == 1
        else (f"Best {run.main_metric}{on}", "–", "one for each set of tasks" if len(best) else "no score yet"),
        ("Trials", f"{len(run.trials):,}", became),
        ("Training time", wording.duration(run.trials["seconds"].sum()), "summed over trials"),
        ("Examples", wording.large(float(run.trials["examples_seen"].sum())), "summed over trials"),
    ]
    gpu_seconds = run.trials["gpu_seconds"].sum()
    if gpu_seconds > 0:
        figures.append(("GPU time", wording.duration(gpu_seconds), "summed over GPUs"))
    return figures


def _winner(run: Run) -> dict[str, Any] | None:
    best = best_trials(run, n=1)
    if len(best) != 1:
        return None
    row = best.iloc[0]
    tasks = [
        {
            "name": f"{task['task']}.{task['metric']}",
            "score": wording.score(task["score"]),
            "median": wording.score(task["median"]),
            "best": f"{wording.score(task['best_score'])} ({task['best_trial']})" if task["gap"] > 0 else "this trial",
            "gap": f"−{wording.score(task['gap'])}" if task["gap"] > 0 else "–",
        }
        for task in task_table(run).to_dict("records")
    ]
    return {
        "trial_id": row["trial_id"],
        "config": _config_text(run, row),
        "tasks": tasks,
        "facts": [
            ("Status", f"{row['status']}: {row['stop_reason']}" if pd.notna(row["stop_reason"]) else row["status"]),
            ("Best epoch", wording.setting(row["best/epoch"])),
            ("Training time", wording.duration(row["seconds"])),
            ("Examples per second", wording.setting(row["examples_per_second"])),
            ("Parameters", _counted(row["trainable_parameters"], row["parameters"])),
            ("Checkpoint", wording.setting(row["checkpoint"])),
        ],
        "command": f"mtsearch train {run.path} --trial {row['trial_id']}",
    }


def _front(run: Run) -> dict[str, Any] | None:
    """The Pareto front's table; None where the search has one objective."""
    if not run.objective.others:
        return None
    objectives = {
        f"best/{name}": f"{name} {'↓' if direction == 'minimize' else '↑'}"
        for name, direction in run.objective.metrics.items()
        if f"best/{name}" in run.trials  # until the first report it is not
    }
    headings = objectives | {column: column.removeprefix("config/") for column in run.varied_columns}
    return {
        "headings": [(text, pd.api.types.is_numeric_dtype(run.trials[column])) for column, text in headings.items()],
        "rows": [
            (
                row["trial_id"],
                [(wording.score if column in objectives else wording.setting)(row[column]) for column in headings],
            )
            for row in pareto_front(run).to_dict("records")
        ],
    }


def _replication(run: Run) -> dict[str, Any] | None:
    """What the best configs reach with other seeds, a row for each config and metric; None if they were not tried."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in replication_table(run).to_dict("records"):
        half = "" if pd.isna(row["high"]) else f" ± {wording.score(row['high'] - row['mean'])}"
        values = cells.setdefault((row["config_id"], row["metric"]), {"dev": "–", "test": "–"})
        values |= {row["split"]: f"{wording.score(row['mean'])}{half}", "seeds": f"{row['num_seeds']}"}
    if not cells:
        return None
    rows = [
        (config_id, metric, *(values[key] for key in ("seeds", "dev", "test")))
        for (config_id, metric), values in cells.items()
    ]
    return {"rows": rows, "verdict": replication_verdict(run)}


def _counted(trainable: Any, total: Any) -> str:
    if pd.isna(total):
        return "–"
    return wording.large(float(total)) + (
        f", {wording.large(float(trainable))} trained" if pd.notna(trainable) and trainable != total else ""
    )


def _config_text(run: Run, row: pd.Series) -> str:
    """The trial's own config file if it is there; else the tree rebuilt from the table's columns."""
    written = run.path / "trials" / str(row["trial_id"]) / "config.yaml"
    if written.is_file():
        return written.read_text(encoding="utf-8")
    tree: dict[str, Any] = {}
    for column in run.config_columns:
        if pd.notna(row[column]):
            *parents, leaf = column.removeprefix("config/").split(".")
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            value = row[column]
            branch[leaf] = value.item() if hasattr(value, "item") else value
    return _yaml(tree)


def _yaml(tree: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, width=100)


def _trial_columns(run: Run) -> list[tuple[str, bool]]:
    """(heading, whether it holds numbers) of the trials table."""
    settings = [
        (column.removeprefix("config/"), pd.api.types.is_numeric_dtype(run.trials[column]))
        for column in run.varied_columns
    ]
    tasks = [(name, True) for name in _shown_metrics(run)]
    front = [("on the front", False)] if run.objective.others else []
    cost = [("best epoch", True), ("examples", True), ("time", True)]
    return [
        ("trial", False),
        ("status", False),
        (run.main_metric, True),
        *tasks,
        *front,
        *settings,
        *cost,
        ("why it stopped", False),
    ]


def _shown_metrics(run: Run) -> list[str]:
    """What the trials table shows beside the main metric: the tasks', and what else the search is for."""
    names = dict.fromkeys([*run.task_metrics, *run.objective.others])
    return [name for name in names if name != run.main_metric and f"best/{name}" in run.trials]


def _trial_rows(run: Run) -> Iterator[tuple[str, list[_Cell]]]:
    """(status, cells) of each trial: the best first, then those without a score in their order."""
    ranked = best_trials(run, n=None)
    order = pd.concat([ranked, run.trials[run.trials["score"].isna()].sort_values("number")])
    task_columns = [f"best/{name}" for name in _shown_metrics(run)]
    front_columns = ["pareto"] if run.objective.others else []
    for row in order.to_dict("records"):
        yield (
            row["status"],
            [
                _Cell(row["trial_id"], float(row["number"])),
                _Cell(row["status"], row["status"]),
                *(_Cell(wording.score(row[column]), _key(row[column])) for column in ["score", *task_columns]),
                *(_Cell(_yes_or_no(row[column]), _key(row[column])) for column in front_columns),
                *(_Cell(wording.setting(row[column]), _key(row[column])) for column in run.varied_columns),
                _Cell(wording.setting(row["best/epoch"]), _key(row["best/epoch"])),
                _Cell(
                    "–" if pd.isna(row["examples_seen"]) else f"{row['examples_seen']:,}", _key(row["examples_seen"])
                ),
                _Cell(wording.duration(row["seconds"]), _key(row["seconds"])),
                _Cell(wording.setting(row["stop_reason"]), _key(row["stop_reason"])),
            ],
        )


def _yes_or_no(value: Any) -> str:
    return "–" if pd.isna(value) else "yes" if value else "no"


def _key(value: Any) -> float | str | None:
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


def _figures(run: Run) -> dict[str, list[_Figure]]:
    main_task, main_metric = split_metric(run.main_metric)
    curves = learning_curves(run, metric=main_metric, task=main_task)
    best_so_far = anytime(run)
    num_axes = max(len(run.varied_columns) + 1, 3)
    return {
        "curves": [
            _figure(
                "curves",
                f"{run.main_metric} on the dev split over epochs{_of_the_best(curves, _MOST_CURVES)}. "
                "A line is a trial, coloured by what became of it.",
                curve_figure(_best_ranked(curves, _MOST_CURVES)),
            )
        ],
        "pareto": [
            _figure(
                f"pareto-{position}",
                f"{run.main_metric} against {name}, each completed trial at its best epoch. Orange trials are on the "
                "Pareto front" + (", which no trial lies beyond." if len(run.objective.others) == 1 else "."),
                pareto_figure(run, against=name),
            )
            for position, name in enumerate(run.objective.others)
        ],
        "tasks": [
            _figure(
                f"task-{position}",
                f"{name}{_of_the_best(curves, _MOST_TASK_CURVES)}; colours as above.",
                curve_figure(_best_ranked(_task_curves(run, name), _MOST_TASK_CURVES)).update_layout(
                    height=320, showlegend=False
                ),
            )
            for position, name in enumerate(run.task_metrics)
            if name != run.main_metric
        ],
        "anytime": []
        if run.ranks_apart()
        else [
            _figure(
                "anytime-seconds",
                f"Best {run.main_metric} so far over the time since the first trial started.",
                anytime_figure(best_so_far, against="seconds"),
            ),
            _figure(
                "anytime-examples",
                f"Best {run.main_metric} so far over the examples that all trials had seen by then.",
                anytime_figure(best_so_far, against="examples_seen"),
            ),
        ],
        "parallel": []
        if run.ranks_apart()
        else [
            _figure(
                "parallel",
                "A line is a trial that has a score; it crosses each axis at its value of that setting. "
                f"Grey lines have the worst {run.main_metric}, blue ones are between, orange ones are near the best; "
                "the thick one is the best trial.",
                parallel_figure(run),
                min_width_px=125 * num_axes,
            )
        ],
    }


def _figure(figure_id: str, caption: str, figure: go.Figure, min_width_px: int = 0) -> _Figure:
    return _Figure(figure_id, caption, json.loads(figure.to_json()), min_width_px)


def _task_curves(run: Run, name: str) -> pd.DataFrame:
    task, metric = split_metric(name)
    return learning_curves(run, metric=metric, task=task)


def _best_ranked(curves: pd.DataFrame, most: int) -> pd.DataFrame:
    if curves["trial_id"].nunique() <= most:
        return curves
    return curves[(curves["rank"] <= most).fillna(False)]


def _of_the_best(curves: pd.DataFrame, most: int) -> str:
    return f", of the {most:,} best trials" if curves["trial_id"].nunique() > most else ""


def _breakable(name: str) -> Markup:
    """A dotted name that a browser may break after each dot."""
    return Markup(".<wbr>").join(name.split("."))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted path, text) of every leaf of a nested mapping."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{key}", "–" if value is None else str(value)
