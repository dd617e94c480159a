"""What is said of a run folder by ``mtsearch status`` and ``mtsearch top``."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from mtsearch.console import dashboard_text, duration, fitted_table, measured, number, print_pairs
from mtsearch.terminal import Terminal

if TYPE_CHECKING:
    from mtsearch.search.status import BestTrial, Budget, OpenTrial, RunStatus

__all__ = ["print_status", "print_top"]

_MOST_SETS = 8  # of tasks whose best trials are told


def print_status(console: Terminal, status: RunStatus, data_root: str | None) -> None:
    """What a look at a run shows: its driver, how far it is, its best trial, what runs, and how to go on.

    Args:
        console: where to.
        status: what the look shows.
        data_root: the folder of data sets that the run was given.
    """
    print_pairs(console, _lines(status))
    if status.open_trials:
        console.print(_open_table(status))
    print_pairs(console, [("go on", text) for text in _go_on(status, data_root)])


def _lines(status: RunStatus) -> Iterator[tuple[str, str]]:
    yield "run", str(status.folder)
    yield "driver", _driver(status)
    if status.dashboard and status.host:
        yield "dashboard", dashboard_text(status.dashboard, status.head or status.host)
    if status.ended:
        yield "ended", status.ended
    if status.last_event_at is None:
        yield "events", "none yet: no trial has been suggested"
        return
    yield "last event", _ago(status, status.last_event_at)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(status.counts.items())) or "none suggested yet"
    yield "trials", f"{status.num_done} of {status.target} done; {counts}"
    for name, budget in status.budgets.items():
        if name != "trials":
            yield name, _budget(name, budget)
    if not status.best:
        yield "best", "no trial has a score yet"
    for best in status.best[:_MOST_SETS]:
        yield "best", _best(status, best)
    if len(status.best) > _MOST_SETS:
        yield "best", f".. and {len(status.best) - _MOST_SETS} more sets of tasks"


def _driver(status: RunStatus) -> str:
    if status.host is None or status.since is None:
        is_there = status.presence == "running"
        return "starting: it has not told anything yet" if is_there else "none; nothing was ever told"
    who = f"process {status.pid} on {status.host}, since {_moment(status.since)}"
    match status.presence:
        case "running":
            return f"running: {who}"
        case "unknown":
            return f"not seen: {who}; it has not said that it left, and whether it runs is not seen from this machine"
        case "gone" if status.ended:
            return f"has left: {who}"
    return f"gone without a word, killed or crashed: {who}"


def _budget(name: str, budget: Budget) -> str:
    if name == "goal":
        so_far = "no score yet" if budget.used is None else f"the best score is {budget.used:.4f}"
        return f"{budget.limit:g}; {so_far}"
    used = budget.used or 0.0
    left = max(0.0, budget.limit - used)
    match name:
        case "time":
            return f"{duration(used)} of {duration(budget.limit)} used, {duration(left)} left"
        case "patience":
            return f"{used:.0f} of {budget.limit:.0f} trials in a row without a better score"
        case "gpu_hours":
            return f"{used:.2f} of {budget.limit:g} used, {left:.2f} left"
    return f"{used:,.0f} of {budget.limit:,.0f} used, {left:,.0f} left"


def _best(status: RunStatus, best: BestTrial) -> str:
    scores = ", ".join(f"{name} {measured(value)}" for name, value in best.scores.items() if name != status.metric)
    when = "" if best.epoch is None else f" after epoch {best.epoch:g}"
    of = f" of {best.tasks}" if len(status.best) > 1 else ""
    broken = "" if best.is_admissible else "; it does not meet the constraints, but none does"
    return f"{best.trial_id}{of} with {status.metric} {best.score:.4f}{when}: {scores}{broken}"


def _open_table(status: RunStatus) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("  trial", "status", "epoch", "score", "best", "heard of", "on"):
        is_number = column in ("epoch", "score", "best")
        table.add_column(column, no_wrap=True, justify="right" if is_number else "left")
    for trial in status.open_trials:
        table.add_row(
            f"  {trial.trial_id}",
            _open_status(status, trial),
            "" if trial.epoch is None else f"{trial.epoch:g}",
            "" if trial.score is None else f"{trial.score:.4f}",
            "" if trial.best_score is None else f"{trial.best_score:.4f}",
            "" if trial.heard_at is None else _ago(status, trial.heard_at),
            trial.node or "",
        )
    return table


def _open_status(status: RunStatus, trial: OpenTrial) -> str:
    if trial.status == "running" and status.presence == "gone":
        return "left running"
    return "waiting" if trial.attempts == 0 else trial.status


def _go_on(status: RunStatus, data_root: str | None) -> Iterator[str]:
    if status.presence != "gone" or status.last_event_at is None:
        return
    folder = Path(os.path.relpath(status.folder))
    words = ["mtsearch", status.command, str(folder / "resolved.yaml"), "--name", status.folder.resolve().name]
    words += ["--runs", str(folder.parent)] if folder.parent != Path("runs") else []
    words += ["--data", data_root] if data_root else []
    words += ["--set", f"plugins={json.dumps(status.plugins)}"] if status.plugins else []
    if not status.is_finished:
        yield f"{shlex.join(words)} takes it up where it stopped"
    elif status.command == "run":
        yield f"{shlex.join(words)} --trials +N adds trials"


def _ago(status: RunStatus, then: float) -> str:
    return f"{duration(max(0.0, status.looked_at - then))} ago"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_top(
    console: Terminal, rows: Sequence[Mapping[Any, Any]], metric: str, shown: Sequence[str], varied: Sequence[str]
) -> None:
    """A table of trials, best first; in a terminal with as many of its columns as there is room for.

    Args:
        console: where to.
        rows: of :func:`mtsearch_analysis.best_trials`.
        metric: that they are ranked by.
        shown: further metrics, ``task.metric``.
        varied: columns of the table in which trials differ.
    """
    further = [name for name in shown if name != metric]
    columns = ["#", "trial", "status", "epoch", metric, *further, *(name.removeprefix("config/") for name in varied)]
    cells = [
        [
            str(row["rank"]),
            row["trial_id"],
            row["status"],
            _cell(row["best/epoch"], "g"),
            _cell(row.get(f"best/{metric}", row["score"]), ".4f"),
            *(_cell(row.get(f"best/{name}"), ".4f") for name in further),
            *(_cell(row[name]) for name in varied),
        ]
        for row in rows
    ]
    lines = [[Text(cell) for cell in line] for line in cells]
    if not console.is_terminal:
        Terminal(file=console.file, width=10_000).print(fitted_table(columns, lines, 10_000, len(columns)))
        return
    table = fitted_table(columns, lines, console.width, num_whole=5)
    console.print(table)
    if num_left_out := len(columns) - len(table.columns):
        columns_of = f"{num_left_out} more column{'s' * (num_left_out != 1)}"
        print_pairs(console, [("left out", f"{columns_of}; a wider terminal, or a file, has them")])


def _cell(value: Any, form: str = "") -> str:
    if value is None or value != value:  # NaN is not itself; a setting of another branch is null
        return ""
    return f"{value:{form}}" if form else number(value)
