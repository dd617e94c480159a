"""The report as one HTML page that holds everything and fetches nothing."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mtsearch_analysis import wording
from mtsearch_analysis.best import best_trials, task_table
from mtsearch_analysis.comparison import run_table
from mtsearch_analysis.curves import learning_curves, trial_figure
from mtsearch_analysis.findings import Findings
from mtsearch_analysis.load import Run, Runs
from mtsearch_analysis.pareto import pareto_front
from mtsearch_analysis.replication import replication_table, replication_verdict
from mtsearch_analysis.report_figures import ReportFigure
from mtsearch_analysis.settings import searched_columns
from mtsearch_analysis.summary import summarise, summarise_runs
from mtsearch_analysis.tables import STATUSES

__all__ = ["comparison_page", "run_page"]

_MOST_TRIALS_WITH_CURVES = 1_000  # in the page, for whoever clicks on a trial
_MOST_OF_EACH_RUN = 20
_NO_CURVES: dict[str, Any] = {"metrics": [], "lines": [], "layout": {}, "trials": {}}
_FLAGS = {"pareto": "on the front", "is_admissible": "meets the constraints"}


@dataclass(frozen=True)
class _Plot:
    """A drawn figure: its id in the page, what it shows in words, plotly's JSON, packed, and its size."""

    id: str
    caption: str
    plot: str
    height_px: int
    min_width_px: int


@dataclass(frozen=True)
class _Cell:
    """A table cell: its text, and what it is sorted by (None sorts last)."""

    text: str
    key: float | str | None


@dataclass(frozen=True)
class _Grid:
    """A table as it is shown: (heading, whether it holds numbers) of its columns, and each row's cells."""

    label: str
    headings: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]


def run_page(
    findings: Findings, figures: Mapping[str, Sequence[ReportFigure]], *, live_version: str | None = None
) -> str:
    """The page of one run.

    Args:
        findings: what there is to say.
        figures: the figures of its sections.
        live_version: what the page's address with ``version`` behind it answers as long as there is no newer page;
            None for a page that stays as it is.
    """
    run = findings.run
    return _rendered(
        "run.html.j2",
        title=run.name,
        live_version=live_version,
        trial_curves=_packed(json.dumps(_trial_curves(run))),
        run=run,
        summary=findings.summary,
        advice=findings.advice,
        key_figures=_key_figures(run),
        winner=_winner(run),
        front=_front(run),
        replication=_replication(run),
        early_order=_early_order(findings),
        importance_note=findings.importance_note,
        trial_columns=_trial_columns(run),
        trial_rows=_trial_rows(run),
        figures={section: [_plot(figure) for figure in drawn] for section, drawn in figures.items()},
        environment=list(_leaves(run.environment or {})),
        data_hashes=sorted(run.trials["data_hash"].dropna().unique()),
        space=_yaml(run.space) if run.space else None,
    )


def comparison_page(runs: Runs, figures: Mapping[str, Sequence[ReportFigure]]) -> str:
    """The page of several runs side by side.

    Args:
        runs: the runs, for the same metric.
        figures: the figures of its sections.
    """
    return _rendered(
        "comparison.html.j2",
        title=wording.listing(list(runs.by_name)),
        live_version=None,
        trial_curves=_packed(json.dumps(_NO_CURVES)),
        runs=runs,
        summary=summarise_runs(runs),
        table=_run_grid(runs),
        differences=_difference_grid(runs),
        each=[(name, summarise(run), _top_grid(name, run)) for name, run in runs.by_name.items()],
        figures={section: [_plot(figure) for figure in drawn] for section, drawn in figures.items()},
    )


def _rendered(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("mtsearch_analysis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["breakable"] = _breakable
    written_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template(template).render(written_at=written_at, plotly=_plotly(), **values)


@cache
def _plotly() -> str:
    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    """A large text for the page to unpack: numbers, and plotly's code, become a third of their size."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _plot(figure: ReportFigure) -> _Plot:
    plot = figure.figure
    return _Plot(figure.id, figure.caption, _packed(plot.to_json()), plot.layout.height, figure.min_width_px)


def _trial_curves(run: Run) -> dict[str, Any]:
    """Each trial's scores over epochs on dev, of the best trials and those under way, for whoever clicks on one."""
    ranked = best_trials(run, n=None)["trial_id"].head(_MOST_TRIALS_WITH_CURVES)
    wanted = {*ranked, *run.trials.loc[run.trials["status"] == "running", "trial_id"]}
    metrics = list(dict.fromkeys([run.main_metric, *run.task_metrics]))
    frames = []
    for name in metrics:
        curves = learning_curves(run, name)
        frames.append(curves[curves["trial_id"].isin(wanted)])
    long = pd.concat(frames)
    if long.empty:
        return _NO_CURVES
    wide = long.pivot_table(index=["trial_id", "epoch"], columns="metric", values="value", dropna=False)
    wide = wide.reindex(columns=metrics).round(5).astype(object)
    wide = wide.where(wide.notna(), None)
    trials = {
        str(trial_id): {
            "epochs": [round(float(epoch), 4) for epoch in of_trial.index.get_level_values("epoch")],
            "values": [of_trial[name].tolist() for name in metrics],
        }
        for trial_id, of_trial in wide.groupby(level="trial_id")
    }
    without_values = pd.DataFrame({"metric": metrics, "epoch": np.nan, "value": np.nan})
    figure = json.loads(trial_figure(without_values).to_json())
    lines = [trace["line"] for trace in figure["data"]]
    return {"metrics": metrics, "lines": lines, "layout": figure["layout"], "trials": trials}


def _early_order(findings: Findings) -> dict[str, Any] | None:
    if findings.early_order.empty:
        return None
    headings = ("after evaluation", "stopped there", "completed, compared", "τ", "pairs in order", "the winner's rank")
    rows = [
        (
            f"{row['evaluation']}",
            f"{row['stopped']}",
            f"{row['trials']}",
            f"{row['tau']:.2f}" + ("" if row["is_beyond_chance"] else " (within chance)"),
            f"{row['in_order']:.0%}",
            f"{row['winner_rank']}",
        )
        for row in findings.early_order.to_dict("records")
    ]
    grid = _Grid("Early and final order", [(heading, i > 0) for i, heading in enumerate(headings)], rows)
    return {"verdict": findings.early_verdict, "table": grid}


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
        ("Examples", wording.large(run.num_examples), "summed over trials"),
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
    constraints = [(_FLAGS["is_admissible"].capitalize(), wording.yes_or_no(row["is_admissible"]))]
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
            *(constraints if pd.notna(row["is_admissible"]) else []),
            ("Best epoch", wording.setting(row["best/epoch"])),
            ("Training time", _training_time(run, row)),
            ("Examples per second", wording.setting(row["examples_per_second"])),
            ("Parameters", _counted(row["trainable_parameters"], row["parameters"])),
            ("Checkpoint", wording.setting(row["checkpoint"])),
        ],
        "command": f"mtsearch train {run.path} --trial {row['trial_id']}",
        "went_on": pd.notna(row["parent"]),
    }


def _training_time(run: Run, row: pd.Series) -> str:
    own = wording.duration(row["seconds"])
    before = float(run.taken_over("seconds")[row["trial_id"]])
    return f"{own}, after {wording.duration(before)} of those that it went on from" if before else own


def _front(run: Run) -> dict[str, Any] | None:
    """The Pareto front's table; None where the search has one objective."""
    if not run.objective.others:
        return None
    objectives = {
        f"best/{name}": f"{name} {'↓' if direction == 'minimize' else '↑'}"
        for name, direction in run.objective.metrics.items()
        if f"best/{name}" in run.trials  # until the first report it is not
    }
    headings = objectives | {column: column.removeprefix("config/") for column in searched_columns(run)}
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
    is_inside = written.resolve().is_relative_to(run.path.resolve())  # whatever it is called, and linked to
    if is_inside and written.is_file():
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
        for column in searched_columns(run)
    ]
    tasks = [(name, True) for name in _shown_metrics(run)]
    flags = [(_FLAGS[column], False) for column in _flags(run)]
    lineage = [("went on from", False)] if run.is_population else []
    cost = [("best epoch", True), ("examples", True), ("time", True)]
    return [
        ("trial", False),
        ("status", False),
        (run.main_metric, True),
        *tasks,
        *flags,
        *lineage,
        *settings,
        *cost,
        ("why it stopped", False),
    ]


def _shown_metrics(run: Run) -> list[str]:
    """What the trials table shows beside the main metric: the tasks', and what else the search is for."""
    names = dict.fromkeys([*run.task_metrics, *run.objective.others])
    return [name for name in names if name != run.main_metric and f"best/{name}" in run.trials]


def _flags(run: Run) -> list[str]:
    """The columns that say yes or no of some trial."""
    return [column for column in _FLAGS if run.trials[column].notna().any()]


def _trial_rows(run: Run) -> Iterator[tuple[str, list[_Cell]]]:
    """(status, cells) of each trial: the best first, then those without a score in their order."""
    ranked = best_trials(run, n=None)
    order = pd.concat([ranked, run.trials[run.trials["score"].isna()].sort_values("number")])
    task_columns = [f"best/{name}" for name in _shown_metrics(run)]
    flags = _flags(run)
    lineage = ["parent"] if run.is_population else []
    taken_over = run.taken_over("examples_seen")
    settings = [*lineage, *searched_columns(run)]
    for row in order.to_dict("records"):
        seen = row["examples_seen"]
        examples = None if pd.isna(seen) else seen - taken_over[row["trial_id"]]
        yield (
            row["status"],
            [
                _Cell(row["trial_id"], float(row["number"])),
                _Cell(row["status"], row["status"]),
                *(_Cell(wording.score(row[column]), _key(row[column])) for column in ["score", *task_columns]),
                *(_Cell(wording.yes_or_no(row[column]), _key(row[column])) for column in flags),
                *(_Cell(wording.setting(row[column]), _key(row[column])) for column in settings),
                _Cell(wording.setting(row["best/epoch"]), _key(row["best/epoch"])),
                _Cell("–" if examples is None else f"{examples:,.0f}", _key(examples)),
                _Cell(wording.duration(row["seconds"]), _key(row["seconds"])),
                _Cell(wording.setting(row["stop_reason"]), _key(row["stop_reason"])),
            ],
        )


def _key(value: Any) -> float | str | None:
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


def _run_grid(runs: Runs) -> _Grid:
    texts = ["run", "best trial"]
    headings = ["run", f"best {next(iter(runs)).main_metric}", "best trial", "trials", "completed", "time", "GPU time"]
    rows = [
        (
            row["run"],
            wording.score(row["score"]),
            wording.setting(row["best_trial"]),
            f"{row['trials']:,}",
            f"{row['completed']:,}",
            wording.duration(row["seconds"]),
            wording.duration(row["gpu_seconds"]),
            wording.large(float(row["examples_seen"])),
        )
        for row in run_table(runs).to_dict("records")
    ]
    return _Grid("Table of runs", [(heading, heading not in texts) for heading in [*headings, "examples"]], rows)


def _difference_grid(runs: Runs) -> _Grid:
    """The settings in which the runs' best trials differ, a column for each run."""
    best = {name: best_trials(run, n=1) for name, run in runs.by_name.items()}
    winners = {name: rows.iloc[0] for name, rows in best.items() if len(rows) == 1}
    columns = dict.fromkeys(column for name in winners for column in runs.by_name[name].config_columns)
    columns.pop("config/name", None)  # the run's
    rows = []
    for column in columns:
        texts = [wording.setting(winner.get(column, np.nan)) for winner in winners.values()]
        if len(set(texts)) > 1:
            rows.append((column.removeprefix("config/"), *texts))
    return _Grid("Settings of the best trials", [("setting", False), *((name, False) for name in winners)], rows)


def _top_grid(name: str, run: Run) -> _Grid:
    varied = searched_columns(run)
    headings = [("trial", False), ("status", False), (run.main_metric, True)]
    headings += [
        (column.removeprefix("config/"), pd.api.types.is_numeric_dtype(run.trials[column])) for column in varied
    ]
    rows = [
        (
            row["trial_id"],
            row["status"],
            wording.score(row["score"]),
            *(wording.setting(row[column]) for column in varied),
        )
        for row in best_trials(run, n=_MOST_OF_EACH_RUN).to_dict("records")
    ]
    return _Grid(f"Best trials of {name}", headings, rows)


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
