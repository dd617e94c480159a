"""What a person sees in the terminal: tables with rich, plain lines where there is no terminal."""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mtsearch.config.domains import scalar_text
from mtsearch.terminal import Terminal

if TYPE_CHECKING:
    from mtsearch.config.space import SearchSpace
    from mtsearch.doctor import Finding
    from mtsearch.search.events import Event, RunStarted
    from mtsearch.search.planning import Plan
    from mtsearch.search.simulation import Outlook
    from mtsearch.search.state import RunState
    from mtsearch.search.tuner import Outcome
    from mtsearch.training.export import Exported
    from mtsearch.training.scoring import Scores

__all__ = [
    "Watch",
    "dashboard_text",
    "dimension_table",
    "duration",
    "export_lines",
    "grid_text",
    "measured",
    "number",
    "objective_text",
    "outlook_table",
    "plan_lines",
    "print_finding",
    "print_outcome",
    "print_pairs",
    "print_replication",
    "score_lines",
    "search_lines",
    "size",
]

_MOST_SETS = 64  # rows of the table of tasks and sets of tasks
_SHARE_OF_TIME, _FREE_SECONDS = 0.03, 1.0  # for the live table; what comes in one burst is all shown
_ROWS = 16  # of the live table; what does not fit a terminal scrolls it
_LOOPBACK = re.compile(r"http://(?P<host>127\.0\.0\.1|localhost):(?P<port>\d+)")
_MACHINE = re.compile(r"\w[\w.:-]*", re.ASCII)
_COLOURS = {"running": "cyan", "completed": "green", "pruned": "yellow", "diverged": "red", "failed": "red"}


def duration(seconds: float) -> str:
    """``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(num_bytes: float) -> str:
    """``91 MB``, ``1.2 GB``."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def measured(value: float) -> str:
    """A metric's value: ``0.8249``; of a cost such as ``parameters``: ``22,863,366``."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def number(value: Any) -> str:
    """A config's value as people write it: ``8.1e-05``, ``64``, ``plateau``, ``null``."""
    if value is None or isinstance(value, bool):
        return scalar_text(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def print_pairs(console: Terminal, pairs: Iterable[tuple[str, str]]) -> None:
    """Lines of a name and what is to be said of it; not wrapped, so that commands in them can be copied."""
    lines = list(pairs)
    width = max([11, *(len(name) for name, _ in lines)])
    for name, text in lines:
        console.print(Text.assemble((f"{name:<{width}} ", "bold"), text), soft_wrap=True)


def print_finding(console: Terminal, finding: Finding) -> None:
    """A line of ``mtsearch doctor``: the verdict, what was looked at, what was found, and what to do about it."""
    style = {"ok": "green", "warning": "yellow", "failure": "red"}[finding.verdict]
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    subject = (f" {finding.subject:<15} ", "bold")
    line = Text.assemble((f"{finding.verdict:<7}", style), subject, f"{finding.found}{remedy}")
    console.print(line, soft_wrap=True)


def dimension_table(space: SearchSpace) -> Table:
    """Every dimension of a space with its domain and the condition under which it exists."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("dimension", "domain", "exists where"):
        table.add_column(column, overflow="fold")
    for dimension in space.dimensions():
        table.add_row(Text(dimension.path), Text(str(dimension.domain)), Text(dimension.condition or "always"))
    return table


def grid_text(num_points: int, num_trials: int) -> str:
    """How much of a grid is tried, of so many points."""
    how_many = f"{num_points:,} point{'s' if num_points != 1 else ''}"
    if num_trials < num_points:
        return f"the first {num_trials:,} of {how_many}"
    return f"all {how_many}" if num_points > 1 else how_many


class Watch:
    """Follows a search: a live table in a terminal, else one line for each thing that happens.

    Args:
        console: where to.
        params: how many of a trial's parameters the table has room for.
    """

    def __init__(self, console: Terminal, params: int = 4) -> None:
        self._console = console
        self._params = params
        self._begun = time.monotonic()
        self._done_before: int | None = None
        self._spent_before = 0.0
        self._warned: set[str] = set()
        self._drawing_seconds = 0.0
        self._undrawn: RunState | None = None
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Watch:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            if self._undrawn is not None:
                self._drawing_seconds = 0.0
                self._draw(self._live, self._undrawn)
            self._live.stop()

    def catch_up(self, state: RunState) -> None:
        """Show what was before the first event that it is told of."""
        from mtsearch.search.events import RunStarted

        self._spent_before = state.seconds
        if isinstance(state.driver, RunStarted):
            self._say_dashboard(state.driver)
        if self._live is not None:
            self._draw(self._live, state)
        else:
            self._console.print(self._headline(state), soft_wrap=True)

    def say(self, line: str) -> None:
        """Print a line, above the table."""
        self._console.print(Text(line), soft_wrap=True)

    def on_event(self, event: Event, state: RunState) -> None:
        """Show what happened."""
        from mtsearch.search.events import Imported, Replicated, Reported, RunStarted, Warned

        if isinstance(event, Imported):
            for note in event.notes:
                self.say(note)
        if isinstance(event, Warned):
            self.say(f"warning: {event.text}")
        if isinstance(event, Replicated) and self._live is not None:
            self.say(_line(event, state))
        if isinstance(event, RunStarted):
            self._say_dashboard(event)
        if isinstance(event, Reported):
            for warning in event.report.get("warnings", ()):
                if warning not in self._warned:  # all trials on a node see the same disk
                    self._warned.add(warning)
                    self.say(f"warning: {event.trial_id}: {warning}")
        if self._live is not None:
            self._draw(self._live, state)
        elif line := _line(event, state):
            spent = self._spent_before + time.monotonic() - self._begun
            self._console.print(Text(f"[{duration(spent):>12}] {line}"), soft_wrap=True)

    def _draw(self, live: Live, state: RunState) -> None:
        """Show the table, unless drawing it this often would take more than a small share of the driver's time."""
        begun = time.monotonic()
        is_too_often = self._drawing_seconds > _FREE_SECONDS + _SHARE_OF_TIME * (begun - self._begun)
        self._undrawn = state if is_too_often else None
        if is_too_often:
            return
        live.update(Group(self._headline(state), _trial_table(state, self._params, self._console.width)))
        self._drawing_seconds += time.monotonic() - begun

    def _say_dashboard(self, event: RunStarted) -> None:
        if event.dashboard:
            self.say(f"Ray's dashboard, while this runs: {dashboard_text(event.dashboard, event.head or event.host)}")

    def _headline(self, state: RunState) -> _Headline:
        feasible = state.feasible
        done = sum(not trial.is_open for trial in feasible)
        self._done_before = done if self._done_before is None else self._done_before
        parts = [f"{done} of {state.target} trials done", f"{len(state.open)} open"]
        if self._done_before < done < state.target:
            each = (time.monotonic() - self._begun) / (done - self._done_before)
            parts.append(f"about {duration(each * (state.target - done))} to go")
        rankings = state.rankings()
        if len(rankings) > 1:
            parts.append(f"the best of each of {len(rankings)} sets of tasks")
        elif rankings:
            parts.append(f"best {rankings[0][0].best_score:.4f} ({rankings[0][0].trial_id})")
        if state.rungs:
            passed = Counter(
                rung for trial in feasible for rung in range(trial.bracket, trial.bracket + (trial.rung or 0))
            )
            shown = state.rungs[: max(passed, default=0) + 2]  # counted in examples, there is no last one
            survivors = ", ".join(f"{passed[i]} at {rung:,}" for i, rung in enumerate(shown))
            parts.append(f"past the rungs: {survivors}")
        return _Headline(" · ".join(parts), self._begun - self._spent_before)


@dataclass(frozen=True)
class _Headline:
    """The line over the live table; its clock goes on between events."""

    text: str
    begun: float

    def __rich__(self) -> Text:
        return Text(f"{duration(time.monotonic() - self.begun)} · {self.text}", style="bold")


def fitted_table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], width: int, num_whole: int) -> Table:
    """A table of trials with as many of its columns as there is room for.

    Args:
        columns: what they are called.
        rows: their cells.
        width: how many characters a line has.
        num_whole: so many columns, the first ones, are there in any case.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    room = width + 2  # the last column needs no gap
    for i, name in enumerate(columns):
        room -= max(len(name), *(len(row[i]) for row in rows), 0) + 2
        if room >= 0 or i < num_whole:
            table.add_column(name, no_wrap=True, justify="left" if name in ("trial", "status") else "right")
    for row in rows:
        table.add_row(*row[: len(table.columns)])
    return table


def _trial_table(state: RunState, num_params: int, width: int) -> Table:
    names = _varied(state)[:num_params]
    tasks = _task_metrics(state)
    columns = ["trial", "status", "epoch", "best", *tasks, *(name.rsplit(".", 1)[-1] for name in names)]
    rows: list[list[str | Text]] = []
    rankings = state.rankings()
    ranked = rankings[0] if len(rankings) == 1 else [ranking[0] for ranking in rankings]
    others = [trial for trial in state.open if trial.best_score is None]
    for trial in [*ranked[: _ROWS - len(others)], *others]:
        score = "" if trial.best_score is None else f"{trial.best_score:.4f}"
        rows.append(
            [
                trial.trial_id,
                Text(trial.status, style=_COLOURS.get(trial.status, "")),
                "" if trial.epoch is None else f"{trial.epoch:g}",
                score,
                *(f"{trial.best_scores[name]:.3f}" if name in trial.best_scores else "" for name in tasks),
                *(number(trial.params[name]) if name in trial.params else "" for name in names),
            ]
        )
    return fitted_table(columns, rows, width, num_whole=4)


def _varied(state: RunState) -> list[str]:
    """The parameters, those that the most trials have first."""
    counts = Counter(name for trial in state.trials.values() for name in trial.params)
    return [name for name, _ in counts.most_common()]


def _task_metrics(state: RunState) -> list[str]:
    names = (
        f"{task}.{settings['metrics'][0]}"
        for trial in state.feasible
        for task, settings in trial.config.get("tasks", {}).items()
    )
    return list(dict.fromkeys(names))


def _line(event: Event, state: RunState) -> str:
    from mtsearch.search.events import (
        Infeasible,
        Replicated,
        ReplicationStarted,
        Reported,
        Retried,
        Stopped,
        Suggested,
    )

    match event:
        case Suggested():
            beginning = "suggested" if event.parent is None else f"goes on from {event.parent}"
            return f"{event.trial_id} {beginning}: {_params(event.params)}"
        case Infeasible():
            return f"{event.trial_id} infeasible: {event.reason}"
        case Reported() if event.report["scores"]:
            report, trial, best = event.report, state.trials[event.trial_id], state.leader
            is_ranked_apart = state.scores_own_tasks and "tasks" in trial.params
            if is_ranked_apart:
                ((best, *_),) = state.rankings(one for one in state.trials.values() if one.tasks == trial.tasks)
            assert best is not None  # it is the trial itself, if no other
            of = best.tasks if is_ranked_apart else "the search"
            where = " on the holdout" if report.get("held_out") else ""
            return (
                f"{event.trial_id} evaluation {report['evaluation']} (epoch {report['epoch']:g}): score "
                f"{report['score']:.4f}; best of {of}{where} {best.best_score:.4f} ({best.trial_id})"
            )
        case Retried():
            return f"{event.trial_id} tried again: {event.reason}"
        case Stopped():
            done = sum(not trial.is_open for trial in state.feasible)
            return f"{event.trial_id} {event.status}: {event.reason} [{done} of {state.target} trials done]"
        case ReplicationStarted():
            start = f", and the start point ({event.start})" if event.start not in (None, *event.ranks) else ""
            return f"training with other seeds: {', '.join(event.ranks)}{start}"
        case Replicated():
            parts = ((split, scores.get("mean_score")) for split, scores in (("dev", event.dev), ("test", event.test)))
            told = ", ".join(f"{split} {score:.4f}" for split, score in parts if score is not None)
            return f"{event.config_id} seed {event.seed} {event.status}: {told or event.reason}"
    return ""


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={number(value)}" for name, value in params.items()) or "nothing is searched"


def dashboard_text(dashboard: str, host: str) -> str:
    """The address of a dashboard, and how to see one that listens on the loopback device from another machine.

    Args:
        dashboard: its address.
        host: where it listens.
    """
    at = _LOOPBACK.fullmatch(dashboard)
    if at is None or not _MACHINE.fullmatch(host):  # whoever copies the command runs what is in it
        return dashboard
    return f"{dashboard} (from elsewhere: ssh -N -L {at['port']}:{at['host']}:{at['port']} {host})"


def search_lines(space: SearchSpace, folder: Path) -> list[tuple[str, str]]:
    """What is about to be searched, how, and where it is written."""
    from mtsearch.config.words import algorithm_in_words, scheduler_in_words

    search = space.search
    grid_size, num_trials = space.grid_size, space.num_trials()
    budget = [f"{num_trials} trials" if grid_size is None else grid_text(grid_size, num_trials)]
    budget += [f"at most {duration(search.time)}"] if search.time else []
    budget += [f"at most {search.gpu_hours:g} GPU hours"] if search.gpu_hours else []
    budget += [f"at most {search.examples:,} examples"] if search.examples else []
    budget += [f"until {search.patience} in a row are no better"] if search.patience else []
    budget += [f"until {search.primary} >= {search.goal:g}"] if search.goal is not None else []
    where = [("where", ", ".join(search.constraints))] if search.constraints else []
    how = [("proposing", algorithm_in_words(space)), ("stopping", scheduler_in_words(space))]
    how += [("plugins", f"{', '.join(space.plugins)}: code of the space's, run here and by every worker")] * bool(
        space.plugins
    )
    line = f"{space.name}: {dimensions_text(space)}; {', '.join(budget)}"
    if len(search.metrics) == 1:
        return [("search", f"{line}, for {search.primary}"), *where, *how, ("run", str(folder))]
    return [("search", line), ("objectives", objective_text(space.objectives)), *where, *how, ("run", str(folder))]


def dimensions_text(space: SearchSpace) -> str:
    """How many dimensions a space has: ``9 dimensions``."""
    number_of = len(space.dimensions())
    return f"{number_of} dimension{'s' * (number_of != 1)}"


def objective_text(objectives: Mapping[str, str]) -> str:
    """Which way each objective is better, from its direction, and what the first of several is for."""
    words = {"maximize": "more is better", "minimize": "less is better"}
    text = ", ".join(f"{name} ({words[direction]})" for name, direction in objectives.items())
    if len(objectives) == 1:
        return text
    return f"{text}; the first chooses checkpoints, stops trials and says which is best"


def plan_lines(plan: Plan) -> list[tuple[str, str]]:
    """What a search would do."""
    footprint = plan.footprint
    gpus = f" and {footprint.gpus:g} GPUs" if footprint.gpus else ""
    workers = f" for {footprint.workers} workers" if footprint.workers > 1 else ""
    shared = ", if its workers share the work evenly" if footprint.workers > 1 else ""
    stopping = plan.stopping
    if plan.evaluations < plan.most_evaluations:
        stopping += f"; {plan.evaluations:.1f} evaluations a trial if the rungs stop as many as they can"
    front = f", and {size(plan.front_bytes)} of each other trial on the Pareto front" if plan.front_bytes else ""
    grid = "" if plan.grid_size is None else f"; {grid_text(plan.grid_size, plan.trials)} of the grid"
    limit = f", which stops at {duration(plan.time_limit)}" if plan.time_limit is not None else ""
    return [
        *(("found", line) for line in plan.found),
        ("objectives" if len(plan.objectives) > 1 else "objective", objective_text(plan.objectives)),
        ("trials", f"{plan.trials}, of at most {plan.most_evaluations} evaluations each{grid}"),
        (
            "placed",
            f"{footprint.concurrency} at a time with {footprint.cpus} core{'s' * (footprint.cpus != 1)}{gpus}{workers} "
            f"each, of {plan.cores:g} cores",
        ),
        ("stopping", stopping),
        (
            "disk",
            f"at most {size(plan.kept_bytes)} of weights kept{front}; {size(plan.running_bytes)} more while trials run",
        ),
        (
            "time",
            f"about {duration(plan.trial_seconds)} for a whole default trial{shared}, "
            "by a short probe of this machine; "
            f"{duration(plan.least_seconds)} to {duration(plan.most_seconds)} for the search{limit}",
        ),
    ]


def score_lines(scores: Scores) -> list[tuple[str, str]]:
    """Each task's metrics, the mean of the main ones, and which data it was."""
    lines = [
        (task, ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        for task, metrics in scores.metrics.items()
    ]
    lines.append(("mean_score", f"{scores.mean_score:.4f} over {', '.join(scores.metrics)}"))
    return [*lines, *(("data", f"{task}: {text}") for task, text in scores.data.items())]


def print_replication(console: Terminal, rows: Sequence[Mapping[Any, Any]], verdict: Sequence[str], path: Path) -> None:
    """What the best configs reach with other seeds.

    Args:
        console: where to.
        rows: of :func:`mtsearch_analysis.replication_table`.
        verdict: of :func:`mtsearch_analysis.replication_verdict`.
        path: the table of every training.
    """
    print_pairs(console, [("replicated", "mean over new seeds ± half of its 95% interval")])
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("  config", "metric", "seeds", "dev", "test"):
        table.add_column(column, no_wrap=True, justify="left" if column in ("  config", "metric") else "right")
    shown: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        half = f" ± {row['high'] - row['mean']:.4f}" if row["num_seeds"] > 1 else ""
        values = shown.setdefault((row["config_id"], row["metric"]), {})
        values |= {row["split"]: f"{row['mean']:.4f}{half}", "seeds": str(row["num_seeds"])}
    before = None
    for (config_id, metric), values in shown.items():
        name, before = "" if config_id == before else f"  {config_id}", config_id
        table.add_row(name, metric, *(values.get(column, "") for column in ("seeds", "dev", "test")))
    console.print(table)
    print_pairs(console, [*(("", line) for line in verdict), ("each", f"{path} (pandas.read_parquet)")])


def _print_front(console: Terminal, outcome: Outcome) -> None:
    """The Pareto front, a row for each trial."""
    num_completed = outcome.counts.get("completed", 0)
    text = f"{len(outcome.front)} of {num_completed} completed trials; the column pareto of the table marks them"
    print_pairs(console, [("front", text)])
    if not outcome.front:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("  trial", no_wrap=True)
    for name, direction in outcome.objectives.items():
        table.add_column(f"{name} {'↑' if direction == 'maximize' else '↓'}", justify="right")
    table.add_column("parameters", overflow="fold")
    for trial in outcome.front[:_ROWS]:
        values = map(measured, trial.values)
        table.add_row(f"  {trial.trial_id}", *values, Text(_params(trial.params)))
    if len(outcome.front) > _ROWS:
        table.add_row("  ..")
    console.print(table)


def _print_task_sets(console: Terminal, rows: Sequence[Mapping[Any, Any]]) -> None:
    """What each task gains or loses by the tasks beside it, a row for each task and set of tasks."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("  task", "score", "alone", "difference"):
        table.add_column(column, no_wrap=True, justify="left" if column == "  task" else "right")
    table.add_column("best trial", no_wrap=True)
    table.add_column("trained with", overflow="fold")
    before = None
    for row in rows[:_MOST_SETS]:
        others = [task for task in row["tasks"].split("+") if task != row["task"]]
        is_first, before = row["task"] != before, row["task"]
        table.add_row(
            f"  {row['task']}.{row['metric']}" if is_first else "",
            f"{row['score']:.4f}",
            f"{row['alone']:.4f}" if row["num_pairs"] else "",
            _difference(row) if row["num_pairs"] else "",
            row["best_trial"],
            ", ".join(others) or "nothing else",
        )
    if len(rows) > _MOST_SETS:
        table.add_row("  ..")
    console.print(table)


def _difference(row: Mapping[Any, Any]) -> str:
    """``+0.0123``, or with its interval ``+0.0123 ± 0.0045 (3)`` of so many pairs."""
    if row["num_pairs"] == 1:
        return f"{row['difference']:+.4f}"
    return f"{row['difference']:+.4f} ± {row['high'] - row['difference']:.4f} ({row['num_pairs']})"


def outlook_table(outlooks: Sequence[Outlook]) -> Table:
    """How simulated searches compare: the best score, with its 95% interval, at shares of the budget."""
    by_arm: dict[str, list[Outlook]] = {}
    for outlook in outlooks:
        by_arm.setdefault(outlook.arm, []).append(outlook)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    for outlook in next(iter(by_arm.values())):
        table.add_column(f"at {outlook.share:.0%}", justify="right", no_wrap=True)
    for column in ("trials", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    for arm, of_it in by_arm.items():
        bests = [f"{o.best:.4f}" if math.isnan(o.high) else f"{o.best:.4f} ± {(o.high - o.low) / 2:.3f}" for o in of_it]
        table.add_row(arm, *bests, f"{of_it[-1].trials:.0f}", duration(of_it[-1].seconds))
    return table


def export_lines(exported: Exported) -> list[tuple[str, str]]:
    """What was written, what it has less than what was trained, and how to use it."""
    folder, cut = os.path.relpath(exported.folder), exported.cut
    before, after = exported.parameters
    lines = [("exported", f"{folder} ({after:,} parameters)")]
    if cut is not None:
        total = len(cut.kept) * cut.num_heads
        less = "" if cut.is_whole else f", with {before - after:,} parameters less"
        lines += [
            ("heads", f"{cut.num_kept} of {total} attention heads are left{less}"),
            ("latency", f"a forward pass takes {cut.latency['ratio']:.2f} of the whole encoder's time"),
        ]
    scores = ", ".join(f"{name} {score.value:.4f}" for name, score in exported.scores.items())
    task = next(iter(exported.scores)).split(".")[0] if exported.scores else "TASK"
    return [
        *lines,
        ("on dev", scores or "not known"),
        ("card", os.path.join(folder, "README.md")),
        ("use it", f'mtsearch predict {folder} --task {task} < lines.txt; mtsearch.load("{folder}")'),
    ]


def print_outcome(
    console: Terminal,
    outcome: Outcome,
    page: Path | None,
    command: str,
    task_sets: Sequence[Mapping[Any, Any]] = (),
) -> None:
    """What a run came to: counts, the best trial with its scores and parameters, and where to look next.

    Args:
        console: where to.
        outcome: of the run.
        page: its report; None if there is none.
        command: which takes it up again.
        task_sets: rows of :func:`mtsearch_analysis.task_set_table`; shown if there is more than one set.
    """
    folder = Path(os.path.relpath(outcome.folder))
    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.counts.items()))
    pairs = [("ended", f"{outcome.reason}; {counts}; {duration(outcome.seconds)}")]
    if outcome.best_of_tasks:
        trial = next(iter(outcome.best_of_tasks.values()))
        pairs += [
            ("best", "no one trial: their scores are means over different tasks, which are compared one by one"),
            ("score it", f"mtsearch evaluate {folder} --trial {trial}"),
        ]
    elif outcome.nearest is not None:
        pairs += [
            ("best", f"no trial meets {', '.join(outcome.constraints)}; the best score has {outcome.nearest}"),
            ("score it", f"mtsearch evaluate {folder} --trial {outcome.nearest}"),
        ]
    elif outcome.best is None:
        pairs.append(("best", f"no trial has a score; the column stop_reason of {folder / 'trials.parquet'} says why"))
    else:
        scores = ", ".join(f"{name} {measured(x)}" for name, x in outcome.scores.items() if name != "mean_score")
        pairs += [
            ("best", f"{outcome.best} with {outcome.score:.4f}: {scores}"),
            ("parameters", _params(outcome.params)),
            ("config", str(folder / "trials" / outcome.best / "config.yaml")),
            ("score it", f"mtsearch evaluate {folder}"),
        ]
    if len(outcome.objectives) > 1:
        print_pairs(console, pairs)
        _print_front(console, outcome)
        pairs = []
    if len({row["tasks"] for row in task_sets}) > 1:
        differences = "each task's main metric, and the difference to the task alone with the same settings"
        print_pairs(console, [*pairs, ("by task", differences)])
        _print_task_sets(console, task_sets)
        pairs = []
    if outcome.retrained is not None:
        pairs.append(("retrained", f"{os.path.relpath(outcome.retrained)} (on train and dev)"))
    pairs.append(("table", f"{folder / 'trials.parquet'} (pandas.read_parquet)"))
    pairs.append(("curves", f"tensorboard --logdir {folder / 'trials'}"))
    if page is not None:
        pairs.append(("report", os.path.relpath(page)))
    if not outcome.is_finished:
        pairs.append(("go on", f"{command} with the same arguments takes it up where it stopped"))
    print_pairs(console, pairs)
