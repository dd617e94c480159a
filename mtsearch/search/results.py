"""The run folder: its files, the tables derived from the events, and which weights stay on disk.

::

    space.yaml        the search space as it was given           resolved.yaml  with every default filled in
    environment.json  versions, hardware, seeds, data found      events.jsonl   the truth
    trials.parquet    one row per trial                          metrics.parquet  one row per number measured
    interference.parquet  one row per pair of tasks compared; where any were
    gates.parquet     one row per attention head and evaluation; where any may be pruned
    replications.parquet  one row per config and seed trained once more; where any was
    study.journal     Optuna's                                   trials/ID/     config.yaml, attempt-K/
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mtsearch.config.environment import escaped_tree
from mtsearch.config.plugins import load_tables
from mtsearch.config.search import Keep
from mtsearch.config.yaml12 import dump
from mtsearch.search.events import Event, Replicated, Reported
from mtsearch.search.state import RunState, TrialState
from mtsearch_analysis.tables import GATES, INTERFERENCE, METRICS, REPLICATIONS, TRIALS, Direction, Objective, Table

__all__ = [
    "Tables",
    "config_leaves",
    "kept",
    "retain",
    "retain_attempt",
    "trial_folder",
    "trial_row",
    "write_config",
    "write_json",
    "write_text",
    "write_trial_config",
]

_SHARE_OF_TIME = 0.03
_RESUMABLE = ("state.json", "state.safetensors")  # of a checkpoint, in this order: who sees the first goes on
_SECONDS_BETWEEN = 2.0


def trial_folder(folder: Path, trial_id: str) -> Path:
    """Where a trial's files are."""
    return folder / "trials" / trial_id


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole: whoever reads it sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # a crash may have left one, or a stranger a link
    with temporary.open("x", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file as a whole."""
    write_text(path, json.dumps(values, indent=1) + "\n")


def write_trial_config(folder: Path, trial_id: str, config: Mapping[str, Any]) -> None:
    """Write a trial's ``config.yaml``, which ``mtsearch train`` takes."""
    write_config(trial_folder(folder, trial_id), config)


def write_config(place: Path, config: Mapping[str, Any]) -> None:
    """Write a ``config.yaml`` that ``mtsearch train`` takes into a folder, which is made."""
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "config.yaml", dump(escaped_tree(dict(config))))


class Tables:
    """``trials.parquet`` and the long tables, kept up to date at a small share of the time.

    Args:
        folder: the run folder.
        objectives: what is searched for, with its direction; the first one says what is best.
        scored_tasks: the tasks in ``mean_score``; None for each trial's own.
        plugins: the modules that may have brought metrics.
    """

    def __init__(
        self,
        folder: Path,
        objectives: Mapping[str, Direction],
        scored_tasks: tuple[str, ...] | None = None,
        plugins: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder
        self._objectives = objectives
        self._scored_tasks = scored_tasks
        self._minimized = tuple(
            sorted(name for name, known in load_tables(plugins).metrics.items() if known.direction == "minimize")
        )
        self._metrics = _LongTable(METRICS)
        self._interference = _LongTable(INTERFERENCE)
        self._gates = _LongTable(GATES)
        self._due = time.monotonic()

    def add(self, event: Event) -> None:
        """Take in an event's numbers; they are written at the next refresh."""
        if isinstance(event, Reported):
            self._metrics.fresh_rows.extend(_metric_rows(event))
            self._interference.fresh_rows.extend(_interference_rows(event))
            self._gates.fresh_rows.extend(_gate_rows(event))

    def refresh(self, state: RunState, *, now: bool = False) -> None:
        """Replace the tables, if it is time to.

        Args:
            state: what is known of the search.
            now: whether or not it is time.
        """
        begun = time.monotonic()
        if begun < self._due and not now:
            return
        task_metrics = dict.fromkeys(name for trial in state.feasible for name in _task_metrics(trial.config))
        (metric, direction), *others = self._objectives.items()
        objective = Objective(metric, direction, tuple(task_metrics), dict(others), self._scored_tasks, self._minimized)
        rows = [trial_row(trial, self._folder) for trial in state.trials.values()]
        if others:
            front = {trial.trial_id for trial in state.front(self._objectives)}
            for row in rows:
                row["pareto"] = row["trial_id"] in front if row["status"] == "completed" else None
        for row, trial in zip(rows, state.trials.values(), strict=True):
            if state.constraints and trial.best_scores:
                row["is_admissible"] = state.is_admissible(trial)
        self._write(TRIALS, TRIALS.from_rows(rows, objective.metadata()))
        self._write(METRICS, self._metrics.values())
        for table, long in ((INTERFERENCE, self._interference), (GATES, self._gates)):
            values = long.values()
            if values.num_rows:
                self._write(table, values)
        if state.replications:
            rows = [_replication_row(replicated, state) for replicated in state.replications.values()]
            self._write(REPLICATIONS, REPLICATIONS.from_rows(rows))
        ended = time.monotonic()
        self._due = ended + max(_SECONDS_BETWEEN, (ended - begun) / _SHARE_OF_TIME)

    def _write(self, table: Table, values: pa.Table) -> None:
        path = self._folder / table.file
        temporary = path.with_name(f".{path.name}.tmp")
        pq.write_table(values, temporary)
        os.replace(temporary, path)


class _LongTable:
    """A table that only grows; rows become columns once."""

    def __init__(self, table: Table) -> None:
        self.fresh_rows: list[dict[str, Any]] = []
        self._table = table
        self._values = table.from_rows([])

    def values(self) -> pa.Table:
        """All rows so far."""
        if self.fresh_rows:
            self._values = pa.concat_tables([self._values, self._table.from_rows(self.fresh_rows)])
            self.fresh_rows = []
        return self._values


def _metric_rows(event: Reported) -> Iterator[dict[str, Any]]:
    report = event.report
    shared = {
        "trial_id": event.trial_id,
        **{name: report[name] for name in ("step", "evaluation", "epoch", "examples_seen", "seconds")},
    }
    for measurement in report["measurements"]:
        value = measurement["value"]
        yield {**shared, **measurement, "value": float("nan") if value is None else value}


def _interference_rows(event: Reported) -> Iterator[dict[str, Any]]:
    report = event.report
    shared = {"trial_id": event.trial_id, **{name: report[name] for name in ("step", "evaluation", "epoch")}}
    for pair in report.get("interference", ()):  # reports of before there was surgery have none
        yield {**shared, **pair}


def _gate_rows(event: Reported) -> Iterator[dict[str, Any]]:
    report = event.report
    shared = {"trial_id": event.trial_id, **{name: report[name] for name in ("step", "evaluation", "epoch")}}
    for task, gates_NH in report.get("gates", {}).items():  # reports of before there was pruning have none
        for layer, gates_H in enumerate(gates_NH, start=1):
            for head, gate in enumerate(gates_H, start=1):
                yield {**shared, "task": task, "layer": layer, "head": head, "gate": gate}


def _task_metrics(config: Mapping[str, Any]) -> list[str]:
    return [f"{name}.{task['metrics'][0]}" for name, task in config["tasks"].items()]


def trial_row(trial: TrialState, folder: Path) -> dict[str, Any]:
    """A trial's row of ``trials.parquet``."""
    checkpoint = trial.best_checkpoint
    facts = trial.facts
    return {
        "trial_id": trial.trial_id,
        "number": trial.number,
        "status": trial.status,
        "stop_reason": trial.stop_reason,
        "rung": trial.rung,
        "parent": trial.parent,
        "parent_evaluation": trial.parent_evaluation or None,
        "attempts": trial.attempts,
        "micro_batch_size": trial.micro_batch_size,
        "config_hash": trial.config_hash,
        "tasks": trial.tasks or None,
        "seed": trial.config["training"]["seed"] if trial.config else None,
        "evaluations": trial.evaluation if not trial.scores else max(trial.scores),
        "epoch": trial.epoch,
        "score": trial.best_score,
        "best/epoch": trial.best_epoch,
        "last/epoch": trial.last_epoch,
        "seconds": trial.seconds,
        "gpu_seconds": trial.gpu_seconds,
        "examples_seen": trial.examples_seen,
        "examples_per_second": facts.get("examples_per_second"),
        "parameters": _whole(facts.get("parameters")),
        "trainable_parameters": _whole(facts.get("trainable_parameters")),
        "peak_memory_bytes": _whole(facts.get("peak_memory_bytes")),
        "start_seconds": facts.get("start_seconds"),
        "checkpoint": checkpoint if checkpoint and (folder / checkpoint).is_dir() else None,
        "data_hash": trial.data_hash,
        "started_at": _moment(trial.started_at),
        "ended_at": _moment(trial.ended_at),
        "node": trial.node,
        "precision": trial.precision,
        **{f"best/{name}": value for name, value in trial.best_scores.items()},
        **{f"best_dev/{name}": value for name, value in trial.best_dev_scores.items()},
        **{f"last/{name}": value for name, value in trial.last_scores.items()},
        **{f"config/{path}": value for path, value in config_leaves(trial.config)},
    }


def _replication_row(event: Replicated, state: RunState) -> dict[str, Any]:
    ranks, start = ({}, None) if state.compared is None else (state.compared.ranks, state.compared.start)
    is_constrained = state.constraints and event.dev and event.alone is None
    return {
        "config_id": event.config_id,
        "trial_id": event.trial_id,
        "rank": ranks.get(event.config_id),
        "is_start": event.config_id == start,
        "alone": event.alone,
        "tasks": "+".join(event.config["tasks"]),
        "seed": event.seed,
        "status": event.status,
        "stop_reason": event.reason,
        "evaluations": event.evaluations,
        "is_admissible": state.meets_constraints(event.dev) if is_constrained else None,
        "best/epoch": event.best_epoch,
        "seconds": event.seconds,
        "gpu_seconds": event.seconds * event.gpus,
        "without_test": event.without_test or None,
        **{f"dev/{name}": value for name, value in event.dev.items()},
        **{f"test/{name}": value for name, value in event.test.items()},
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def config_leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A config's values by their dotted paths."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from config_leaves(value, f"{prefix}{key}.")
        elif not isinstance(value, Mapping):
            yield f"{prefix}{key}", value


def kept(
    trials: Iterable[TrialState], state: RunState, keep: Keep, objectives: Mapping[str, Direction]
) -> list[TrialState]:
    """The trials whose weights stay, of these that have stopped: the best, and the Pareto front.

    The best are as many of each ranking: where sets of tasks are not compared, of each set.
    """
    stopped = [trial for trial in trials if not trial.is_open]
    best = [trial for ranking in state.rankings(stopped) for trial in ranking[: keep.best]]
    return best + [trial for trial in state.front(objectives, stopped) if keep.front and trial not in best]


def retain(
    folder: Path, trials: Iterable[TrialState], state: RunState, keep: Keep, objectives: Mapping[str, Direction]
) -> list[TrialState]:
    """Delete the weights that need not stay.

    Of a trial that stopped among the best, or that no other beats on all objectives, the best and the last checkpoint
    stay, without what going on from them would need; of other stopped trials none; of those that run, all.

    Args:
        folder: the run folder.
        trials: which may have weights.
        state: what is known of the search.
        keep: what the search asks for.
        objectives: what is searched for, with its direction.

    Returns:
        The stopped trials that keep theirs. One that others have beaten stays beaten, so that whoever asks again need
        ask for these alone, and for those that have stopped since.
    """
    trials = [trial for trial in trials if not trial.is_open]
    staying = kept(trials, state, keep, objectives)
    names = {trial.trial_id for trial in staying}
    for trial in trials:
        best_and_last = {trial.best_checkpoint, trial.last_checkpoint} if trial.trial_id in names else set()
        for checkpoint in trial_folder(folder, trial.trial_id).glob("attempt-*/checkpoints/*"):
            if str(checkpoint.relative_to(folder)) not in best_and_last:
                shutil.rmtree(checkpoint, ignore_errors=True)
                continue
            for name in _RESUMABLE if keep.predictions else (*_RESUMABLE, "predictions.parquet"):
                (checkpoint / name).unlink(missing_ok=True)
    return staying


def retain_attempt(folder: Path, trial: TrialState) -> None:
    """Delete the checkpoints of a running trial's earlier attempts, but the best: its last is of the attempt that runs.

    Args:
        folder: the run folder.
        trial: whose last evaluation was told by its last attempt.
    """
    for checkpoint in trial_folder(folder, trial.trial_id).glob("attempt-*/checkpoints/*"):
        relative = checkpoint.relative_to(folder)
        is_earlier = int(relative.parts[2].split("-")[1]) < trial.attempts
        if is_earlier and relative.as_posix() not in (trial.best_checkpoint, trial.last_checkpoint):
            shutil.rmtree(checkpoint, ignore_errors=True)
