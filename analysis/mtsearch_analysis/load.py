"""Run folders as pandas frames, finished or not: one, or several with their rows under one another."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mtsearch_analysis.tables import (
    LESS_IS_BETTER,
    METRICS,
    STATUSES,
    TABLES,
    TRIALS,
    Direction,
    Objective,
    Table,
    split_metric,
)

__all__ = ["Run", "Runs", "load_run", "load_runs", "load_table", "named_runs"]


@dataclass(frozen=True)
class Run:
    """What a search has written so far.

    Args:
        path: the run folder.
        trials: one row per trial, columns as :data:`mtsearch_analysis.tables.TRIALS` says.
        metrics: one row per trial, evaluation, task, split and metric, as ``tables.METRICS`` says.
        interference: one row per trial, evaluation and pair of tasks, as ``tables.INTERFERENCE`` says; empty if the
            tasks' gradients were not compared.
        gates: one row per trial, evaluation, set of gates and attention head, as ``tables.GATES`` says; empty if no
            attention heads were pruned.
        replications: one row per config and seed that was trained once more, as ``tables.REPLICATIONS`` says; empty if
            none was.
        objective: what the search optimises.
        space: ``resolved.yaml``: the search space with every default filled in; None if it isn't there.
        environment: ``environment.json``: versions, hardware, seeds; None if it isn't there.
    """

    path: Path
    trials: pd.DataFrame
    metrics: pd.DataFrame
    interference: pd.DataFrame
    gates: pd.DataFrame
    replications: pd.DataFrame
    objective: Objective
    space: dict[str, Any] | None
    environment: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.resolve().name

    @property
    def main_metric(self) -> str:
        """What ``score`` measures: ``mean_score`` or a task's ``task.metric``; the first of several objectives."""
        return self.objective.metric

    @property
    def direction(self) -> Direction:
        """Whether more or less of the main metric is better."""
        return self.objective.direction

    @property
    def score_split(self) -> Literal["dev", "holdout"]:
        """The split that ``score`` and the columns ``best/*`` are measured on."""
        return "holdout" if bool((self.metrics["split"] == "holdout").any()) else "dev"

    @property
    def scored_tasks(self) -> frozenset[str]:
        """The tasks that the main metric is over."""
        task, _ = split_metric(self.main_metric)
        if task:
            return frozenset({task})
        known = self.task_metrics or self.objective.task_metrics  # which trials have no columns of before they report
        return frozenset(self.objective.scored_tasks or (split_metric(name)[0] for name in known))

    @property
    def is_running(self) -> bool:
        """Whether a trial was under way when the tables were written."""
        return bool((self.trials["status"] == "running").any())

    @property
    def task_metrics(self) -> tuple[str, ...]:
        """Each task's main metric as ``task.metric``: as recorded, or else each task's first one in the table."""
        recorded = [name for name in self.objective.task_metrics if f"best/{name}" in self.trials]
        if recorded:
            return tuple(recorded)
        first_of_task: dict[str, str] = {}
        for column in self.trials.columns:
            name = str(column).removeprefix("best/")
            if name != column and "." in name:
                first_of_task.setdefault(split_metric(name)[0], name)
        return tuple(first_of_task.values())

    @property
    def config_columns(self) -> tuple[str, ...]:
        """The columns ``config/*``."""
        return tuple(column for column in self.trials.columns if column.startswith("config/"))

    @property
    def varied_columns(self) -> tuple[str, ...]:
        """``tasks`` if trials differ in it, and those of ``config/*`` that differ between trials.

        Present in some and absent in others counts, but for a task's settings only among the trials that have the
        task. Infeasible trials have no config, and do not count.
        """
        trials = self.trials[self.trials["status"] != "infeasible"]
        tasks = trials["tasks"].dropna()
        varied = ["tasks"] if tasks.nunique() > 1 else []
        sets = tasks.str.split("+")
        for column in self.config_columns:
            values = trials[column]
            if varied and column.startswith("config/tasks."):
                task = column.split(".")[1]
                values = values[sets.index[[task in tasks for tasks in sets]]]
            if values.nunique(dropna=False) > 1:
                varied.append(column)
        return tuple(varied)

    def ranks_apart(self, metric: str | None = None) -> bool:
        """Whether trials with different tasks cannot be ranked together: by a mean over each trial's own tasks.

        Args:
            metric: None for the main metric.
        """
        if (metric or self.main_metric) != "mean_score" or self.objective.scored_tasks is not None:
            return False
        return bool(self.trials.loc[self.trials["score"].notna(), "tasks"].nunique() > 1)

    def direction_of(self, metric: str) -> Direction:
        """Whether more or less of a metric is better: losses, errors and costs are minimised, the rest maximised."""
        if metric in self.objective.metrics:
            return self.objective.metrics[metric]
        return "minimize" if split_metric(metric)[1] in {*self.objective.minimized, *LESS_IS_BETTER} else "maximize"

    @property
    def is_population(self) -> bool:
        """Whether trials went on from others' weights, under pbt: their scores are not their own settings' alone."""
        return bool(self.trials["parent"].notna().any())

    def taken_over(self, column: Literal["seconds", "examples_seen"]) -> pd.Series:
        """What each trial's clock showed, or what its model had seen, before its own first step; by ``trial_id``.

        0, but under pbt: there a trial may go on from a parent's checkpoint.
        """
        children = self.trials.loc[self.trials["parent"].notna(), ["trial_id", "parent", "parent_evaluation"]]
        reports = self.metrics[self.metrics["trial_id"].isin(children["parent"])]
        begun = reports[["trial_id", "evaluation", column]].drop_duplicates(["trial_id", "evaluation"])
        begun = begun.rename(columns={"trial_id": "parent", "evaluation": "parent_evaluation"})
        values = children.merge(begun, on=["parent", "parent_evaluation"]).set_index("trial_id")[column]
        return values.reindex(self.trials["trial_id"]).fillna(0)

    @property
    def num_examples(self) -> int:
        """How many examples all trials were trained on."""
        seen = self.trials.set_index("trial_id")["examples_seen"] - self.taken_over("examples_seen")
        return int(seen.sum())


@dataclass(frozen=True)
class Runs:
    """Several runs, and their tables with a first column ``run`` that says whose row it is.

    Iterating gives each :class:`Run`. A column that only some runs have is null in the others' rows; where runs
    disagree on the type of a setting, it is text in all of them.

    Args:
        by_name: the runs in the order in which they were given. A name is the folder's, with as much of the path
            before it as tells runs of the same name apart: ``seed13/baseline``.
        trials: as in :class:`Run`, and likewise the other tables.
    """

    by_name: Mapping[str, Run]
    trials: pd.DataFrame
    metrics: pd.DataFrame
    interference: pd.DataFrame
    gates: pd.DataFrame
    replications: pd.DataFrame

    def __iter__(self) -> Iterator[Run]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def only(self, names: Collection[str]) -> Runs:
        """Those of these names, in their order."""
        tables = {table.name: getattr(self, table.name) for table in TABLES}
        kept = {name: frame[frame["run"].isin(names)].reset_index(drop=True) for name, frame in tables.items()}
        return Runs(by_name={name: run for name, run in self.by_name.items() if name in names}, **kept)


def load_run(path: str | Path) -> Run:
    """Reads a run folder; a search that is still writing to it is not disturbed.

    Integer and boolean columns have pandas' nullable types, so that a missing value turns no integer into a
    float.

    Args:
        path: the run folder, such as ``runs/baseline``.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no tables yet.
        ValueError: a file in it can't be read, or a table is newer than this code or lacks a column.
    """
    folder = Path(path)
    return _run(folder, _read_tables(folder))


def load_runs(paths: Iterable[str | Path]) -> Runs:
    """Reads several run folders, each as :func:`load_run` does.

    Args:
        paths: the run folders, each once.

    Raises:
        FileNotFoundError: as for one run.
        ValueError: as for one run; there is no path, or two are of the same folder.
    """
    folders = [Path(path) for path in paths]
    if not folders:
        raise ValueError("it takes at least one run folder")
    names = _names(folders)
    read = [_read_tables(folder) for folder in folders]
    return Runs(
        by_name={name: _run(folder, tables) for name, folder, tables in zip(names, folders, read, strict=True)},
        **{
            table.name: _to_pandas(
                _concatenated([(name, tables[table.name]) for name, tables in zip(names, read, strict=True)])
            )
            for table in TABLES
        },
    )


def load_table(table: Table, folder: str | Path) -> pd.DataFrame:
    """Reads one table of a folder, such as ``tables.PROBES``.

    Raises:
        FileNotFoundError: the folder has no such table.
        ValueError: it can't be read, is newer than this code or lacks a column.
    """
    path = Path(folder)
    if not (path / table.file).exists():
        raise FileNotFoundError(f"{path / table.file}: no {table.name} table; pass the folder that holds {table.file}")
    return _to_pandas(_read_table(table, path))


def named_runs(runs: Run | Runs) -> Mapping[str, Run]:
    """One run or several, by name."""
    return runs.by_name if isinstance(runs, Runs) else {runs.name: runs}


def _read_tables(folder: Path) -> dict[str, pa.Table]:
    """Every table by its name; those that a run need not have are empty where it has none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such run folder; pass the folder that holds {TRIALS.file}")
    # Each search's refresh replaces the trials table first. Read last, it has every trial that another table has.
    return {
        table.name: (_read_table if table in (TRIALS, METRICS) else _read_if_there)(table, folder)
        for table in reversed(TABLES)
    }


def _run(folder: Path, tables: Mapping[str, pa.Table]) -> Run:
    return Run(
        path=folder,
        **{name: _to_pandas(values) for name, values in tables.items()},
        objective=_objective(tables[TRIALS.name], folder / TRIALS.file),
        space=_read_space(folder / "resolved.yaml"),
        environment=_read_json(folder / "environment.json"),
    )


def _objective(trials: pa.Table, path: Path) -> Objective:
    try:
        return Objective.from_schema(trials.schema)
    except ValueError as error:
        raise ValueError(f"{path}: its metadata does not say what the search optimises: {error}") from error


def _check_trials(trials: pa.Table, path: Path) -> None:
    """Refuses trials of the same name, and such as came to no end that there is."""
    names = trials["trial_id"].value_counts()
    twice = next((name.as_py() for name, times in zip(*names.flatten(), strict=True) if times.as_py() > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: each trial has one row, but {twice!r} has several; restore the file")
    unknown = [status for status in trials["status"].unique().to_pylist() if status not in STATUSES]
    if unknown:
        raise ValueError(f"{path}: a trial's status is one of {', '.join(STATUSES)}, but there is {unknown[0]!r:.40}")


def _names(folders: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell the folders apart."""
    resolved = [folder.resolve() for folder in folders]
    twice = next((folder for folder in resolved if resolved.count(folder) > 1), None)
    if twice is not None:
        raise ValueError(f"{folders[resolved.index(twice)]}: given more than once; leave one out")
    names = [folder.name for folder in resolved]
    depth = 1
    while len(set(names)) < len(names):
        depth += 1
        longer = ["/".join(folder.parts[-depth:]) for folder in resolved]
        names = [long if names.count(name) > 1 else name for name, long in zip(names, longer, strict=True)]
    return names


def _concatenated(tables: list[tuple[str, pa.Table]]) -> pa.Table:
    declared, of_values = defaultdict[str, set[pa.DataType]](set), defaultdict[str, set[pa.DataType]](set)
    for _, table in tables:
        for column, values in zip(table.schema, table.columns, strict=True):
            declared[column.name].add(column.type)
            if values.null_count < len(values):
                of_values[column.name].add(column.type)
    pieces = []
    for name, table in tables:
        for position, column in enumerate(table.schema):
            dtype = _common_type(of_values[column.name] or declared[column.name])
            table = table.set_column(position, column.name, table.column(position).cast(dtype))
        pieces.append(table.add_column(0, "run", pa.array([name] * table.num_rows, pa.string())))
    return pa.concat_tables(pieces, promote_options="default")


def _common_type(types: Set[pa.DataType]) -> pa.DataType:
    """The type of a column in which runs have these: text where they do not agree on more than how wide numbers are."""
    if len(types) == 1:
        return next(iter(types))
    return pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()


def _read_if_there(table: Table, folder: Path) -> pa.Table:
    return _read_table(table, folder) if (folder / table.file).exists() else table.from_rows([])


def _read_table(table: Table, folder: Path) -> pa.Table:
    path = folder / table.file
    parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not path.exists() or not parts:
        raise FileNotFoundError(
            f"{path}: no {table.name} table; either {folder} is not a run folder, or its first trial "
            "has not started yet"
        )
    try:
        pieces = [_read_piece(part) for part in parts]
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: not a readable Parquet file ({reason}); let mtsearch rebuild it from events.jsonl"
        ) from error
    for part, piece in zip(parts, pieces, strict=True):
        table.check(piece.schema, part)
    try:
        values = pa.concat_tables(pieces, promote_options="permissive")
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: its part files disagree on a column's type ({reason})") from error
    values = table.conforming(values, path)
    if table is TRIALS:
        _check_trials(values, path)
    for position, column in enumerate(table.columns):
        if column.name not in values.column_names:  # an earlier version did not have it
            nulls = pa.nulls(values.num_rows, column.dtype)
            values = values.add_column(position, pa.field(column.name, column.dtype), nulls)
    return values


_MOST_BYTES = 10_000_000  # of resolved.yaml, and of environment.json

_NULLABLE_TYPES = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
}


def _read_piece(path: Path) -> pa.Table:
    # By a path pyarrow opens a file twice, between which a search may replace it.
    with path.open("rb") as file:
        return pq.read_table(file)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE_TYPES.get)
    return frame


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases: mtsearch writes none, and a few lines of them can stand for more than memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"it has an alias: *{event.anchor}")
        return super().compose_node(parent, index)


def _read_text(path: Path) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: is larger than {_MOST_BYTES // 1_000_000} MB; mtsearch did not write it")
    return path.read_text(encoding="utf-8")


def _read_yaml(path: Path) -> dict[str, Any] | None:
    try:
        return _mapping(yaml.load(_read_text(path), Loader=_PlainLoader), path)
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error


def _read_space(path: Path) -> dict[str, Any] | None:
    space = _read_yaml(path)
    constraints = _mapping((space or {}).get("search", {}), path, "under search").get("constraints", [])
    if not isinstance(constraints, list) or not all(isinstance(one, str) for one in constraints):
        raise ValueError(f"{path}: search.constraints: expected a list of texts, but found {constraints!r:.60}")
    return space


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return _mapping(json.loads(_read_text(path)), path)
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error


def _mapping(content: Any, path: Path, where: str = "at the top") -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping {where}, but found {type(content).__name__}")
    return content
