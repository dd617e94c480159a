"""The contract between mtsearch, which writes a run folder's tables, and whoever reads them.

Every table states its columns with types, units and meaning, and carries its name and version in the Parquet
file's metadata. The columns that depend on the run (its tasks, its configs) are declared as groups by prefix.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

__all__ = [
    "GATES",
    "INTERFERENCE",
    "LESS_IS_BETTER",
    "METRICS",
    "PROBES",
    "REPLICATIONS",
    "SOURCE_RANKINGS",
    "STATUSES",
    "STUDIES",
    "TABLES",
    "TASK_EMBEDDINGS",
    "TRANSFERS",
    "TRIALS",
    "Column",
    "ColumnGroup",
    "Direction",
    "Objective",
    "Status",
    "Table",
    "split_metric",
]

Direction = Literal["maximize", "minimize"]
Status = Literal["running", "completed", "pruned", "diverged", "infeasible", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = get_args(Status)


_RESTORE = "it was changed after mtsearch wrote it: restore it, or let mtsearch rebuild it from events.jsonl"


@dataclass(frozen=True)
class Column:
    """One column that a table always has.

    Args:
        name: the column's name in the file.
        dtype: its Arrow type.
        unit: what one step of its values is ("seconds", "examples", "ratio"); empty for names and words.
        doc: what it says, in one line.
        nullable: whether a row may leave it empty.
        since: the version of the table that first had it; null in a file of an earlier one.
    """

    name: str
    dtype: pa.DataType
    unit: str
    doc: str
    nullable: bool = True
    since: int = 1


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that share a prefix and whose names are known only once a run is.

    Args:
        prefix: what their names start with, with the slash.
        dtype: their Arrow type; None for that of the values, see :meth:`Table.from_rows`.
        unit: as in :class:`Column`.
        doc: what one of them says, in one line.
    """

    prefix: str
    dtype: pa.DataType | None
    unit: str
    doc: str


@dataclass(frozen=True)
class Table:
    """One table of a run folder.

    Args:
        name: its name, recorded in the file.
        file: where it lies in the run folder: a Parquet file, or a folder of part files under the same name.
        version: counts up when the meaning or presence of a column changes.
        columns: those that it always has.
        groups: those that depend on the run; they follow the others.
    """

    name: str
    file: str
    version: int
    columns: tuple[Column, ...]
    groups: tuple[ColumnGroup, ...] = ()

    def schema(self, extra_fields: Iterable[pa.Field] = (), metadata: Mapping[str, str] | None = None) -> pa.Schema:
        """The Arrow schema, with the table's name and version in its metadata.

        Args:
            extra_fields: the run's own columns, each of one of the groups.
            metadata: further entries, such as :meth:`Objective.metadata`.

        Raises:
            ValueError: an extra field belongs to none of the groups.
        """
        fields = [pa.field(column.name, column.dtype, column.nullable) for column in self.columns]
        for extra in extra_fields:
            self._group(extra.name)
            fields.append(extra)
        return pa.schema(
            fields,
            metadata={
                **(metadata or {}),
                "mtsearch_table": self.name,
                "mtsearch_version": str(self.version),
            },
        )

    def from_rows(self, rows: Sequence[Mapping[str, Any]], metadata: Mapping[str, str] | None = None) -> pa.Table:
        """An Arrow table of rows given as mappings from column names to plain values; absent means null.

        A column of a group without a type of its own takes the type of its values: bool, int64, float64 (also
        for integers mixed with floats) or string. Where values mix types otherwise, are lists, or integers that
        int64 cannot hold, the column is written as strings: text as it is, the rest as JSON.

        Raises:
            ValueError: a column is not in the contract, or a row lacks one that may not be empty.
        """
        fixed = {column.name for column in self.columns}
        extra_names = list(dict.fromkeys(name for row in rows for name in row if name not in fixed))
        prefixes = [group.prefix for group in self.groups]
        extra_names.sort(key=lambda name: prefixes.index(self._group(name).prefix))

        arrays = []
        for column in self.columns:
            values = [row.get(column.name) for row in rows]
            if not column.nullable and None in values:
                raise ValueError(
                    f"{self.name}: row {values.index(None)} has no {column.name!r}, which may not be empty"
                )
            arrays.append(pa.array(values, column.dtype))
        extra_fields = []
        for name in extra_names:
            values = [row.get(name) for row in rows]
            dtype = self._group(name).dtype or _common_type(values)
            if pa.types.is_string(dtype):
                values = [_as_text(value) for value in values]
            arrays.append(pa.array(values, dtype))
            extra_fields.append(pa.field(name, dtype))
        return pa.Table.from_arrays(arrays, schema=self.schema(extra_fields, metadata))

    def check(self, schema: pa.Schema, path: Path) -> None:
        """Refuses a file that is not this table, is newer than this code, or lacks a column.

        Raises:
            ValueError: in one line: the path, what is wrong, and the remedy.
        """
        metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        if metadata.get("mtsearch_table") != self.name:
            found = metadata.get("mtsearch_table", "no name")
            raise ValueError(
                f"{path}: expected mtsearch's {self.name} table, but its metadata says {found!r}; "
                "pass a run folder that mtsearch wrote"
            )
        version = int(metadata.get("mtsearch_version", "0"))
        if version > self.version:
            raise ValueError(
                f"{path}: written as version {version} of the {self.name} table, and this mtsearch-analysis "
                f"reads up to version {self.version}; install a newer one"
            )
        missing = [c.name for c in self.columns if c.since <= version and c.name not in schema.names]
        if missing:
            raise ValueError(f"{path}: the {self.name} table lacks {', '.join(map(repr, missing))}; {_RESTORE}")

    def conforming(self, values: pa.Table, path: Path) -> pa.Table:
        """The table with each column in its type, where a file that another program wrote holds it in a like one.

        Raises:
            ValueError: in one line: a column's values are of another type, or a row lacks one that may not be empty.
        """
        types = {column.name: column.dtype for column in self.columns}
        for position, found in enumerate(values.schema):
            dtype = types.get(found.name) or self._type_in_group(found)
            if dtype == found.type:
                continue
            try:
                column = values.column(position).cast(dtype, safe=not pa.types.is_timestamp(dtype))
            except pa.ArrowException as error:
                raise ValueError(
                    f"{path}: {found.name!r} must be of type {dtype}, but is {found.type} here; {_RESTORE}"
                ) from error
            values = values.set_column(position, pa.field(found.name, dtype, found.nullable), column)
        for one in self.columns:
            if not one.nullable and one.name in values.column_names and values[one.name].null_count:
                raise ValueError(f"{path}: {one.name!r} may not be empty, but is in some rows; {_RESTORE}")
        return values

    def _type_in_group(self, found: pa.Field) -> pa.DataType:
        """The type of a column of a group; where it has none, and for a stranger, the one nearest to theirs."""
        declared = next((group.dtype for group in self.groups if found.name.startswith(group.prefix)), None)
        if declared is not None:
            return declared
        if pa.types.is_boolean(found.type) or pa.types.is_timestamp(found.type):
            return found.type
        if pa.types.is_integer(found.type):
            return pa.int64()
        return pa.float64() if pa.types.is_floating(found.type) else pa.string()

    def _group(self, name: str) -> ColumnGroup:
        for group in self.groups:
            if name.startswith(group.prefix):
                return group
        prefixes = ", ".join(group.prefix + "*" for group in self.groups) or "none"
        raise ValueError(f"{self.name}: column {name!r} is not in the contract (groups: {prefixes})")


def _common_type(values: Iterable[Any]) -> pa.DataType:
    values = [value for value in values if value is not None]
    kinds = {type(value) for value in values}
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


LESS_IS_BETTER = frozenset(
    {"loss", "mean_squared_error", "open_heads", "latency_ratio", "parameters", "peak_memory_bytes"}
)
"""The metrics of mtsearch, by their name without the task, that are minimised: losses, errors, what a model costs."""


def split_metric(name: str) -> tuple[str, str]:
    """The task and the metric in a name: ``sentiment.accuracy`` -> ("sentiment", "accuracy").

    A metric over all tasks has no task: ``mean_score`` -> ("", "mean_score"). Task names have no dots.
    """
    task, dot, metric = name.partition(".")
    return (task, metric) if dot else ("", name)


@dataclass(frozen=True)
class Objective:
    """What a search optimises; recorded in the metadata of ``trials.parquet``.

    Args:
        metric: ``mean_score``, or one task's as ``task.metric``; of several the first, which says what is best.
        direction: whether more or less of it is better.
        task_metrics: each task's main metric as ``task.metric``, in the order of the tasks.
        others: what else the search is for, with its direction; empty for a search with one objective.
        scored_tasks: the tasks that ``mean_score`` is the mean of; None for each trial's own.
        minimized: metrics of tasks, by their name without the task, of which less is better; empty in tables of
            before they were recorded.
    """

    metric: str = "mean_score"
    direction: Direction = "maximize"
    task_metrics: tuple[str, ...] = field(default=())
    others: Mapping[str, Direction] = field(default_factory=dict)
    scored_tasks: tuple[str, ...] | None = None
    minimized: tuple[str, ...] = ()

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """All that the search is for, with its direction; the first says what is best."""
        return {self.metric: self.direction, **self.others}

    def metadata(self) -> dict[str, str]:
        """The entries for the file's metadata."""
        return {
            "mtsearch_metric": self.metric,
            "mtsearch_direction": self.direction,
            "mtsearch_task_metrics": json.dumps(self.task_metrics),
            "mtsearch_other_metrics": json.dumps(dict(self.others)),
            "mtsearch_scored_tasks": json.dumps(self.scored_tasks),
            "mtsearch_minimized_metrics": json.dumps(self.minimized),
        }

    @classmethod
    def from_schema(cls, schema: pa.Schema) -> Objective:
        """The objective that a file's metadata records.

        Raises:
            ValueError: what it records is none.
        """
        metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        others = json.loads(metadata.get("mtsearch_other_metrics", "{}"))
        if not isinstance(others, dict) or not all(way in get_args(Direction) for way in others.values()):
            raise ValueError(f"mtsearch_other_metrics must map metrics to their directions, but is {others!r}")
        return cls(
            metric=metadata.get("mtsearch_metric", cls.metric),
            direction="minimize" if metadata.get("mtsearch_direction") == "minimize" else "maximize",
            task_metrics=_recorded_names(metadata, "mtsearch_task_metrics") or (),
            others=others,
            scored_tasks=_recorded_names(metadata, "mtsearch_scored_tasks"),
            minimized=_recorded_names(metadata, "mtsearch_minimized_metrics") or (),
        )


def _recorded_names(metadata: Mapping[str, str], key: str) -> tuple[str, ...] | None:
    names = json.loads(metadata.get(key, "null"))
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{key} must be a list of names, but is {names!r}")
    return tuple(names)


_TIME = pa.timestamp("ms", tz="UTC")

TRIALS = Table(
    name="trials",
    file="trials.parquet",
    version=6,
    columns=(
        Column("trial_id", pa.string(), "", "the trial's name, such as t0003", nullable=False),
        Column("number", pa.int32(), "trials", "order of suggestion, from 0", nullable=False),
        Column("status", pa.string(), "", "one of " + ", ".join(STATUSES), nullable=False),
        Column("stop_reason", pa.string(), "", "why it stopped, in words, and why earlier attempts ended before that"),
        Column("rung", pa.int32(), "rungs", "rungs of its bracket passed; null where the trial scheduler has none"),
        Column("parent", pa.string(), "", "the trial whose checkpoint it began from, under pbt; null else", since=5),
        Column("parent_evaluation", pa.int32(), "evaluations", "the parent's at that checkpoint; null else", since=5),
        Column("attempts", pa.int32(), "attempts", "how often it was started", nullable=False),
        Column(
            "micro_batch_size",
            pa.int32(),
            "examples",
            "in one forward pass, since it ran out of memory with whole batches; null if it did not",
            since=4,
        ),
        Column("config_hash", pa.string(), "", "the same for equal configs", nullable=False),
        Column("tasks", pa.string(), "", "its tasks in the order of its config: pos+ner", since=3),
        Column("seed", pa.int64(), "", "training.seed of its config"),
        Column("evaluations", pa.int32(), "evaluations", "how often it reported", nullable=False),
        Column("epoch", pa.float64(), "epochs", "how far it trained"),
        Column(
            "score",
            pa.float64(),
            "ratio",
            "the main metric at its best epoch so far; on the holdout if the search has one (search.holdout_ratio), "
            "else on dev; null if it never reported one",
        ),
        Column(
            "pareto",
            pa.bool_(),
            "",
            "whether a completed trial is on the Pareto front: no other is as good on every objective and better on "
            "one, at their best epochs; null for other trials, and in a search with one objective",
            since=2,
        ),
        Column(
            "is_admissible",
            pa.bool_(),
            "",
            "whether it meets the constraints at its best epoch; null without constraints, or a score",
            since=4,
        ),
        Column("best/epoch", pa.float64(), "epochs", "epoch of the best main metric on dev"),
        Column("best/mean_score", pa.float64(), "ratio", "mean_score at that epoch, on score's split"),
        Column("last/epoch", pa.float64(), "epochs", "epoch of the last evaluation"),
        Column("last/mean_score", pa.float64(), "ratio", "mean_score at that epoch, on score's split"),
        Column("seconds", pa.float64(), "seconds", "time on a worker, summed over attempts"),
        Column("gpu_seconds", pa.float64(), "seconds", "the same times the GPUs it held (fractions count)"),
        Column(
            "examples_seen", pa.int64(), "examples", "examples that its model was trained on, its parent's included"
        ),
        Column("examples_per_second", pa.float64(), "examples/second", "while training, without evaluation"),
        Column("parameters", pa.int64(), "parameters", "size of the model"),
        Column("trainable_parameters", pa.int64(), "parameters", "of which were trained"),
        Column(
            "peak_memory_bytes",
            pa.int64(),
            "bytes",
            "most memory in use: the GPU's, or the process's on CPU; of several workers the one's that used most",
        ),
        Column("start_seconds", pa.float64(), "seconds", "from assignment to the first training step"),
        Column("checkpoint", pa.string(), "", "the kept checkpoint, relative to the run folder; null if none"),
        Column("data_hash", pa.string(), "", "content hash of the data it saw"),
        Column("started_at", _TIME, "UTC", "when its first attempt was assigned"),
        Column("ended_at", _TIME, "UTC", "when it ended; null while it runs"),
        Column("node", pa.string(), "", "the machine of its last attempt"),
        Column("precision", pa.string(), "", "fp32, bf16 or fp16, as it was resolved"),
    ),
    groups=(
        ColumnGroup(
            "best/", pa.float64(), "ratio", "best/TASK.METRIC at the epoch of the best main metric, on score's split"
        ),
        ColumnGroup("last/", pa.float64(), "ratio", "last/TASK.METRIC at the last evaluation, on score's split"),
        ColumnGroup(
            "best_dev/", pa.float64(), "ratio", "best_dev/TASK.METRIC at the same epoch on dev; only with a holdout"
        ),
        ColumnGroup("config/", None, "", "config/DOTTED.PATH: one leaf of its config; null where it has none"),
    ),
)

_WHEN = (
    Column("trial_id", pa.string(), "", "the trial", nullable=False),
    Column("step", pa.int64(), "updates", "optimizer updates so far", nullable=False),
    Column("evaluation", pa.int32(), "evaluations", "which report of the trial, from 1", nullable=False),
    Column("epoch", pa.float64(), "epochs", "epochs so far", nullable=False),
)

METRICS = Table(
    name="metrics",
    file="metrics.parquet",
    version=1,
    columns=(
        *_WHEN,
        Column("examples_seen", pa.int64(), "examples", "examples trained on so far", nullable=False),
        Column(
            "seconds",
            pa.float64(),
            "seconds",
            "the trial's own clock, over attempts; under pbt it goes on from the parent's",
            nullable=False,
        ),
        Column("task", pa.string(), "", "the task; empty for what is over all tasks", nullable=False),
        Column("split", pa.string(), "", "train, dev, holdout or test", nullable=False),
        Column("metric", pa.string(), "", "its name, such as accuracy, loss, mean_score or lr", nullable=False),
        Column("value", pa.float64(), "", "its value; NaN where a trial diverged"),
    ),
)

INTERFERENCE = Table(
    name="interference",
    file="interference.parquet",
    version=1,
    columns=(
        *_WHEN,
        Column("task_a", pa.string(), "", "one task of the pair: the earlier one in the config", nullable=False),
        Column("task_b", pa.string(), "", "the other; every pair is there once", nullable=False),
        Column(
            "cosine",
            pa.float64(),
            "ratio",
            "between their gradients over shared parameters, in [-1, 1]: the mean since the last report",
            nullable=False,
        ),
        Column("num_measurements", pa.int32(), "updates", "over how many updates it is the mean", nullable=False),
    ),
)

GATES = Table(
    name="gates",
    file="gates.parquet",
    version=1,
    columns=(
        *_WHEN,
        Column("task", pa.string(), "", "the task; empty for gates that all tasks share", nullable=False),
        Column("layer", pa.int32(), "layers", "the encoder's layer, from 1 for the lowest", nullable=False),
        Column("head", pa.int32(), "attention heads", "the attention head in its layer, from 1", nullable=False),
        Column(
            "gate",
            pa.float64(),
            "ratio",
            "what evaluations multiply it with, in [0, 1], to 6 digits; at most 0.001 counts as pruned",
            nullable=False,
        ),
    ),
)

REPLICATIONS = Table(
    name="replications",
    file="replications.parquet",
    version=2,
    columns=(
        Column("config_id", pa.string(), "", "the config: t0003, start, or t0003/pos for one task", nullable=False),
        Column("trial_id", pa.string(), "", "the trial whose config it is; null for a start point that is none's"),
        Column("rank", pa.int32(), "ranks", "of its trial in the search, from 1; null if it is not among the best"),
        Column("is_start", pa.bool_(), "", "whether it is the point that the search started from", nullable=False),
        Column("alone", pa.string(), "", "the one task of the trial's that is trained alone; null for all of them"),
        Column("tasks", pa.string(), "", "its tasks in the order of its config: pos+ner", nullable=False),
        Column("seed", pa.int64(), "", "training.seed; no trial of the search has it", nullable=False),
        Column("status", pa.string(), "", "completed, diverged or failed", nullable=False),
        Column("stop_reason", pa.string(), "", "why it stopped, in words", nullable=False),
        Column("evaluations", pa.int32(), "evaluations", "how often it was evaluated on dev", nullable=False),
        Column(
            "is_admissible",
            pa.bool_(),
            "",
            "whether it meets the search's constraints on dev; null without constraints, without a score, or for a "
            "task alone",
            since=2,
        ),
        Column("best/epoch", pa.float64(), "epochs", "epoch of the best main metric on dev, which is scored on test"),
        Column("seconds", pa.float64(), "seconds", "of training and evaluation", nullable=False),
        Column("gpu_seconds", pa.float64(), "seconds", "the same times the GPUs it held", nullable=False),
        Column("without_test", pa.string(), "", "the tasks whose data has no test split, and why; null if all have"),
    ),
    groups=(
        ColumnGroup("dev/", pa.float64(), "ratio", "dev/TASK.METRIC and dev/mean_score at the best evaluation"),
        ColumnGroup("test/", pa.float64(), "ratio", "the same on test; the mean is over the tasks that have test"),
    ),
)

TABLES: tuple[Table, ...] = (TRIALS, METRICS, INTERFERENCE, GATES, REPLICATIONS)
"""Those of a search."""

PROBES = Table(
    name="probes",
    file="probes.parquet",
    version=1,
    columns=(
        Column(
            "model", pa.string(), "", "whose attention heads: a name, such as pretrained or pos+ner", nullable=False
        ),
        Column("trained", pa.string(), "", "the tasks that it was trained on: pos+ner; null as it came pretrained"),
        Column("task", pa.string(), "", "the probed task", nullable=False),
        Column("label", pa.string(), "", "the label; empty for all labels together", nullable=False),
        Column(
            "split", pa.string(), "", "dev, on which a head is chosen, or test, on which it is judged", nullable=False
        ),
        Column("num_items", pa.int64(), "items", "words, arcs or spans of that label on that split", nullable=False),
        Column("chance", pa.string(), "", "of a chance baseline its name: offset, majority; null for a head"),
        Column("layer", pa.int32(), "layers", "from 1 for the lowest; null for a chance baseline"),
        Column("head", pa.int32(), "attention heads", "in its layer, from 1; null for a chance baseline"),
        Column("accuracy", pa.float64(), "ratio", "share of the items that are right", nullable=False),
    ),
)

TRANSFERS = Table(
    name="transfers",
    file="transfers.parquet",
    version=1,
    columns=(
        Column("target", pa.string(), "", "the task that is scored", nullable=False),
        Column(
            "target_kind", pa.string(), "", "its kind, by which tasks are coloured: classification, qa", nullable=False
        ),
        Column("source", pa.string(), "", "the task trained before it; null where it was trained directly"),
        Column("source_kind", pa.string(), "", "the source's kind; null without a source"),
        Column(
            "regime", pa.string(), "", "how much data source and target had, in words: full to limited", nullable=False
        ),
        Column("seed", pa.int64(), "", "training.seed of the target's training", nullable=False),
        Column("metric", pa.string(), "", "the target's main metric, of which more is better", nullable=False),
        Column("score", pa.float64(), "ratio", "what the target reached", nullable=False),
    ),
)

TASK_EMBEDDINGS = Table(
    name="task_embeddings",
    file="task_embeddings.parquet",
    version=1,
    columns=(
        Column("task", pa.string(), "", "the task", nullable=False),
        Column("kind", pa.string(), "", "its kind, by which tasks are coloured", nullable=False),
        Column("method", pa.string(), "", "textemb, taskemb", nullable=False),
        Column(
            "component", pa.string(), "", "of what: layer.3.output, cls; empty where there is but one", nullable=False
        ),
        Column("num_examples", pa.int64(), "examples", "over how many it is the mean", nullable=False),
        Column("vector", pa.list_(pa.float32()), "", "the embedding, of one length per component", nullable=False),
    ),
)

SOURCE_RANKINGS = Table(
    name="source_rankings",
    file="source_rankings.parquet",
    version=1,
    columns=(
        Column("method", pa.string(), "", "what ranks: taskemb, textemb, datasize", nullable=False),
        Column("target", pa.string(), "", "the task to be trained", nullable=False),
        Column("source", pa.string(), "", "a task that could be trained before it", nullable=False),
        Column("rank", pa.int32(), "ranks", "of the source for the target, 1 for the one to take", nullable=False),
        Column("similarity", pa.float64(), "", "by which it is ranked, more is better; null for fused ranks"),
    ),
)

STUDIES: tuple[Table, ...] = (PROBES, TRANSFERS, TASK_EMBEDDINGS, SOURCE_RANKINGS)
"""Those of studies of trained models: of what they hold, and of what transfers between tasks."""
