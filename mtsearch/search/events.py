"""The truth about a run: ``events.jsonl``, append-only, one line per event, written by the driver alone.

Everything else in a run folder that is not a trial's own can be rebuilt from it: the state of the search, the
tables, Optuna's journal.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

from mtsearch.config.inside import is_inside
from mtsearch.errors import RunError

__all__ = [
    "EVENTS",
    "Event",
    "EventLog",
    "EventReader",
    "Imported",
    "Infeasible",
    "Replicated",
    "ReplicationStarted",
    "Reported",
    "Retrained",
    "Retried",
    "RunEnded",
    "RunStarted",
    "RungUnit",
    "Started",
    "StopStatus",
    "Stopped",
    "Suggested",
    "Warned",
    "is_locked",
    "read_events",
]

EVENTS = "events.jsonl"

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOOK_SECONDS = 0.3  # is_locked holds the lock for far less
_LONGEST_LINE = 100_000_000  # bytes; a hole in a file may stand for more than memory holds
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # what a line that is no event raises

_PATHS = ("checkpoint", "parent_checkpoint")
_FOLDERS = ("trial_id", "parent", "replaces", "config_id")  # a folder's name is made of each

StopStatus = Literal["completed", "pruned", "diverged", "infeasible", "failed", "interrupted"]
RungUnit = Literal["evaluations", "examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A driver has taken up the run.

    Attributes:
        time: seconds since 1970, UTC, as in every event.
        identity: of the space; what else a run is given (budgets, resources) may change between drivers.
        trials: how many trials the search is to have in all.
        extra: how many of them go beyond what the space asks for.
        extended: whether it is this driver that was told to go beyond, for the first time.
        rungs: where the trial scheduler decides on trials of its first bracket; None where it has no rungs.
        host: the driver's machine.
        pid: its process there.
        versions: of mtsearch and of what it stands on.
        dashboard: address of Ray's dashboard while this driver runs; None if it is not known.
        scores_own_tasks: whether a trial's score is the mean over its own tasks, whichever those are.
        extra_seconds: how much longer it may take than the space says.
        constraints: what a winner must keep to.
        rung_unit: what the rungs are counted in.
        run_id: the same for all drivers of a run folder, and no other's; empty in those of older versions.
        metric: what the score is: the first objective.
        budgets: what ends the search, and how much of it there is, by the names of ``search``: ``time`` in seconds,
            what it was extended by included, ``gpu_hours``, ``examples``, ``patience``, ``goal``; only those that it
            has.
        command: which takes it up again.
        head: the address of the cluster's head node, where the dashboard is; None if it is the driver's machine.
        extra_from: what ``extra`` was, in effect, when the search was last finished: what an extension starts from.
        extra_seconds_from: what ``extra_seconds`` was, in effect, when its time was last spent.
    """

    time: float
    identity: Mapping[str, Any]
    trials: int
    extra: int
    extended: bool
    rungs: tuple[int, ...] | None
    host: str
    pid: int
    versions: Mapping[str, str]
    dashboard: str | None = None
    scores_own_tasks: bool = False
    extra_seconds: float = 0.0
    constraints: tuple[str, ...] = ()
    rung_unit: RungUnit = "evaluations"
    run_id: str = ""
    metric: str = "mean_score"
    budgets: Mapping[str, float] = field(default_factory=dict)
    command: Literal["run", "train"] = "run"
    head: str | None = None
    extra_from: int = 0
    extra_seconds_from: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an earlier run found has been taken over; that run is needed no longer.

    Attributes:
        source: the earlier run's folder, as it was given.
        starts: points to try first, after those of ``search.start``: values by the dimensions' names.
        observations: trials of the earlier run that this one might have run: ``trial_id``, ``params`` as in
            :class:`Suggested`, ``status``, ``best_so_far`` as pairs of an evaluation and the best score up to it, and
            the ``best_scores`` at its best one.
        notes: what was used, what was not and why; a line each.
    """

    time: float
    source: str
    starts: Sequence[Mapping[str, Any]]
    observations: Sequence[Mapping[str, Any]]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """A trial to run.

    Attributes:
        trial_id: ``t0000``, ``t0001``, ..
        number: order of suggestion from 0, infeasible ones counted; Optuna counts observations of an earlier run too.
        params: what the search algorithm holds: its own values, by the dimensions' names.
        config: the whole config, as JSON values.
        config_hash: the same for equal configs.
        gpus: that it holds while it runs.
        start: which of ``search.start`` it is, from 0, or after those of the points of an earlier run; None if the
            algorithm chose it.
        bracket: of the trial scheduler; in bracket s the first s rungs are not its own.
        parent: the trial that it goes on from; None if it begins anew.
        parent_checkpoint: where from, relative to the run folder.
        parent_evaluation: the parent's evaluation there; 0 if it begins anew.
        parent_seconds: what the parent's clock showed there.
        parent_examples: that the parent had been trained on there.
        replaces: the trial whose place it takes, which is thereby stopped.
    """

    time: float
    trial_id: str
    number: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    config_hash: str
    gpus: float
    start: int | None
    bracket: int = 0
    parent: str | None = None
    parent_checkpoint: str | None = None
    parent_evaluation: int = 0
    parent_seconds: float = 0.0
    parent_examples: int = 0
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasible:
    """A suggestion that breaks a rule across fields; it is never run. Attributes as in :class:`Suggested`."""

    time: float
    trial_id: str
    number: int
    params: Mapping[str, Any]
    reason: str
    start: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker has begun a trial, or gone on with it.

    Attributes:
        attempt: 1 for the first; the worker writes under ``attempt-K`` alone.
        node: the worker's machine.
    """

    time: float
    trial_id: str
    attempt: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """An evaluation of a trial.

    Attributes:
        report: :class:`mtsearch.training.report.Report` as JSON values.
        checkpoint: that evaluation's checkpoint, relative to the run folder; None if there is none.
        precision: the number format in use.
        data: for each task where its data was found and its hash; only with an attempt's first report.
    """

    time: float
    trial_id: str
    report: Mapping[str, Any]
    checkpoint: str | None
    precision: str
    data: Mapping[str, Mapping[str, str]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """An attempt at a trial has failed, and another one will go on from its last checkpoint.

    Attributes:
        attempt: the one that failed; 0 if it had not begun.
        reason: why, in words.
        micro_batch_size: examples in one forward pass from now on, at most; None for whole batches.
    """

    time: float
    trial_id: str
    attempt: int
    reason: str
    micro_batch_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A trial has ended; an interrupted one is taken up again by the next driver.

    One that is infeasible here has run, and ran out of memory.

    Attributes:
        reason: why, in words.
    """

    time: float
    trial_id: str
    status: StopStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The winner has been trained once more, on train and dev.

    Attributes:
        trial_id: the winner.
        checkpoint: of the new model, relative to the run folder.
    """

    time: float
    trial_id: str
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationStarted:
    """A driver has begun to train the best configs with other seeds, or goes on with it.

    Attributes:
        ranks: of the configs that are compared, by their ids.
        start: id of the config that the search started from; None if there is none.
        host: the driver's machine.
        pid: its process there.
    """

    time: float
    ranks: Mapping[str, int]
    start: str | None
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """A config has been trained with another seed, and its best evaluation on dev scored on test.

    Attributes:
        config_id: ``t0003``; ``start`` for a start point that is no trial's; ``t0003/pos`` for one of its tasks alone.
        trial_id: whose config it is; None for a start point that is none's.
        alone: the one task of the trial's; None for all of them.
        config: the whole config, the seed in it, as JSON values.
        seed: of the training.
        gpus: that it held.
        status: as of a trial.
        reason: why it stopped, in words.
        evaluations: how often it was evaluated on dev.
        best_epoch: of the best evaluation; None if there was none.
        seconds: of training and evaluation.
        dev: all scores at the best evaluation; empty if there was none. On what remains of dev where some is held out.
        test: each task's metrics on test, and those over all tasks that have a test split.
        without_test: the tasks that have none, and why, in words; empty if all have.
        may_pass: whether it failed by no fault of its own, so that whoever goes on tries it again.
    """

    time: float
    config_id: str
    trial_id: str | None
    alone: str | None
    config: Mapping[str, Any]
    seed: int
    gpus: float
    status: StopStatus
    reason: str
    evaluations: int
    best_epoch: float | None
    seconds: float
    dev: Mapping[str, float]
    test: Mapping[str, float]
    without_test: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something beside the trials does not work, or works again; the search goes on.

    Attributes:
        text: what, in words.
    """

    time: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A driver has left the run in good order.

    Attributes:
        reason: why, in words.
        is_finished: whether nothing is left to go on with; None from a version that did not say.
    """

    time: float
    reason: str
    is_finished: bool | None = None


Event = (
    RunStarted
    | Imported
    | Suggested
    | Infeasible
    | Started
    | Reported
    | Retried
    | Stopped
    | Retrained
    | ReplicationStarted
    | Replicated
    | Warned
    | RunEnded
)

_SYNCED = (RunStarted, Suggested, Stopped, Retrained, Replicated, RunEnded)

_KINDS: dict[str, type[Event]] = {
    "run_started": RunStarted,
    "imported": Imported,
    "suggested": Suggested,
    "infeasible": Infeasible,
    "started": Started,
    "reported": Reported,
    "retried": Retried,
    "stopped": Stopped,
    "retrained": Retrained,
    "replication_started": ReplicationStarted,
    "replicated": Replicated,
    "warned": Warned,
    "run_ended": RunEnded,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def _to_line(event: Event) -> bytes:
    values = {"event": _NAMES[type(event)], **{f.name: _plain(getattr(event, f.name)) for f in fields(event)}}
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> Any:
    """``value`` as strict JSON has it: a number that is not finite is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _from_line(line: bytes) -> Event:
    values = json.loads(line)
    kind = _KINDS[values.pop("event")]
    if kind is RunStarted:
        values |= {name: tuple(values[name]) for name in ("rungs", "constraints") if values.get(name) is not None}
    for name in (*_FOLDERS, *_PATHS):
        if (value := values.get(name)) is not None and not is_inside(value):
            raise ValueError(f"{name} must stay in the run folder, but is {value!r}")
    for name in ("attempt", "seed"):
        if not isinstance(values.get(name, 0), int):
            raise ValueError(f"{name} must be an integer, but is {values[name]!r}")
    return kind(**values)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is longer than any event, parts."""
    while line := file.readline(_LONGEST_LINE):
        yield line


class EventReader:
    """Reads a run folder's events as they are written, also while another process, or machine, writes them.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._position = 0
        self._num_read = 0

    def new(self) -> Iterator[Event]:
        """The events since those that were given before, oldest first; a torn last line is left for later.

        Raises:
            RunError: a line is not an event that this version knows.
        """
        with self._path.open("rb") as file:
            file.seek(self._position)
            for line in _lines(file):
                try:
                    event = _from_line(line)
                except _UNREADABLE as error:
                    is_torn = not line.endswith(b"\n") or isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
                    if is_torn and file.read(1) == b"":
                        return
                    raise RunError(
                        f"{self._path}:{self._num_read + 1}: every line must be an event of mtsearch, but reading this "
                        f"one gave {type(error).__name__}: {error}; it was damaged, or a newer mtsearch wrote it"
                    ) from error
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                self._num_read += 1
                yield event


def read_events(folder: Path) -> Iterator[Event]:
    """The events of a run folder, oldest first; a torn last line is left out.

    Raises:
        RunError: a line is not an event that this version knows.
    """
    return EventReader(folder).new()


def is_locked(folder: Path) -> bool | None:
    """Whether a driver holds a run folder's events, on whichever machine; None where the file system has no locks."""
    with (folder / EVENTS).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in _NO_LOCKS else True
    return False


class EventLog:
    """A run folder's events, opened to write: no other process can meanwhile, and a crash frees it.

    Args:
        folder: the run folder; made if it is not there.

    Raises:
        RunError: another driver holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunError(f"{folder}: the run folder must be writable, but got: {error.strerror}") from error
        try:
            self._lock(folder)
            self._cut_torn_line()
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, folder: Path) -> None:
        give_up_at = time.monotonic() + _LOOK_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:  # it may be somebody who only looks whether it is locked
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(_LOOK_SECONDS / 10)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return  # this file system has no locks; refusing to run there would help nobody
            started = [event for event in read_events(folder) if isinstance(event, RunStarted | ReplicationStarted)]
            holder = f" (process {started[-1].pid} on {started[-1].host})" if started else ""
            raise RunError(
                f"{folder}: one driver at a time may run this, but another{holder} does; "
                "wait for it, stop it, or choose another --name"
            ) from error

    def _cut_torn_line(self) -> None:
        """Cut what a crash left of a line that was being written: an append after it would make both unreadable."""
        with self._path.open("rb") as file:
            end = 0
            last = b""
            for line in _lines(file):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                last = line
        if last:
            try:
                json.loads(last)
            except RecursionError:
                pass  # not torn, and whoever reads it says so
            except ValueError:
                end -= len(last)
        os.ftruncate(self._file, end)

    def append(self, event: Event) -> None:
        """Write an event; when this returns, it survives the end of this process.

        What a trial's id stands for, and how trials and drivers end, survives that of the machine, too, with all
        before it. Of a report that is lost with the machine the checkpoint tells again.

        Raises:
            RunError: it cannot be written.
        """
        line = _to_line(event)
        end = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if isinstance(event, _SYNCED):
                os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            remedy = "make room" if error.errno in _NO_ROOM else "put that right"
            raise RunError(
                f"{self._path}: events must be written, but got: {error.strerror}; {remedy} and run again, "
                "nothing before is lost"
            ) from error

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
