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
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, NoReturn

from pydantic import TypeAdapter, ValidationError

from mtsearch.errors import RunError
from mtsearch.search.event_rules import (
    Amount,
    Config,
    ConstraintText,
    Count,
    DataFound,
    Finite,
    Identity,
    Inside,
    Long,
    Observations,
    Offset,
    Pid,
    ReportValues,
    Scores,
    Seconds,
    Seed,
)

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
_UNREADABLE = (ValueError, RecursionError)  # what a line that is no event raises

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

    time: Seconds
    identity: Identity
    trials: Count
    extra: Offset
    extended: bool
    rungs: tuple[Long, ...] | None
    host: str
    pid: Pid
    versions: Mapping[str, str]
    dashboard: str | None = None
    scores_own_tasks: bool = False
    extra_seconds: Finite = 0.0
    constraints: tuple[ConstraintText, ...] = ()
    rung_unit: RungUnit = "evaluations"
    run_id: str = ""
    metric: str = "mean_score"
    budgets: Mapping[str, Finite] = field(default_factory=dict)
    command: Literal["run", "train"] = "run"
    head: str | None = None
    extra_from: Offset = 0
    extra_seconds_from: Finite = 0.0


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

    time: Seconds
    source: str
    starts: Sequence[Mapping[str, Any]]
    observations: Observations
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

    time: Seconds
    trial_id: Inside
    number: Count
    params: Mapping[str, Any]
    config: Config
    config_hash: str
    gpus: Amount
    start: Count | None
    bracket: Count = 0
    parent: Inside | None = None
    parent_checkpoint: Inside | None = None
    parent_evaluation: Count = 0
    parent_seconds: Seconds = 0.0
    parent_examples: Long = 0
    replaces: Inside | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasible:
    """A suggestion that breaks a rule across fields; it is never run. Attributes as in :class:`Suggested`."""

    time: Seconds
    trial_id: Inside
    number: Count
    params: Mapping[str, Any]
    reason: str
    start: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker has begun a trial, or gone on with it.

    Attributes:
        attempt: 1 for the first; the worker writes under ``attempt-K`` alone.
        node: the worker's machine.
    """

    time: Seconds
    trial_id: Inside
    attempt: Count
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

    time: Seconds
    trial_id: Inside
    report: ReportValues
    checkpoint: Inside | None
    precision: str
    data: DataFound | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """An attempt at a trial has failed, and another one will go on from its last checkpoint.

    Attributes:
        attempt: the one that failed; 0 if it had not begun.
        reason: why, in words.
        micro_batch_size: examples in one forward pass from now on, at most; None for whole batches.
    """

    time: Seconds
    trial_id: Inside
    attempt: Count
    reason: str
    micro_batch_size: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A trial has ended; an interrupted one is taken up again by the next driver.

    One that is infeasible here has run, and ran out of memory.

    Attributes:
        reason: why, in words.
    """

    time: Seconds
    trial_id: Inside
    status: StopStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The winner has been trained once more, on train and dev.

    Attributes:
        trial_id: the winner.
        checkpoint: of the new model, relative to the run folder.
    """

    time: Seconds
    trial_id: Inside
    checkpoint: Inside


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationStarted:
    """A driver has begun to train the best configs with other seeds, or goes on with it.

    Attributes:
        ranks: of the configs that are compared, by their ids.
        start: id of the config that the search started from; None if there is none.
        host: the driver's machine.
        pid: its process there.
    """

    time: Seconds
    ranks: Mapping[str, Count]
    start: str | None
    host: str
    pid: Pid


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

    time: Seconds
    config_id: Inside
    trial_id: Inside | None
    alone: str | None
    config: Config
    seed: Seed
    gpus: Amount
    status: StopStatus
    reason: str
    evaluations: Count
    best_epoch: Finite | None
    seconds: Seconds
    dev: Scores
    test: Scores
    without_test: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something beside the trials does not work, or works again; the search goes on.

    Attributes:
        text: what, in words.
    """

    time: Seconds
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A driver has left the run in good order.

    Attributes:
        reason: why, in words.
        is_finished: whether nothing is left to go on with; None from a version that did not say.
    """

    time: Seconds
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
    values = json.loads(line, parse_constant=_no_number)
    if b"\\ud" in line:  # half a character, as of a file name that is no text, can be written nowhere else
        values = json.loads(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"))
    name = values.pop("event", None) if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise ValueError(f"event must be one of {', '.join(_KINDS)}, but is {name!r}")
    known = {f.name for f in fields(_KINDS[name])}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"{name} has no field {unknown[0]!r}")
    return _reader_of(name).validate_python(values)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"a number must be finite, but one is {text}")


@cache
def _reader_of(name: str) -> TypeAdapter[Event]:
    return TypeAdapter(_KINDS[name])


def _told(error: Exception) -> str:
    """What is wrong with a line, in one."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    found = "" if first["type"] in ("missing", "value_error") else f", but got {repr(first['input'])[:80]}"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{found}"


class _Order:
    """What must have happened before an event can: on that the state of a search stands."""

    def __init__(self) -> None:
        self._has_begun = False
        self._tasks: dict[str, Collection[str]] = {}  # of each trial
        self._evaluations: Counter[str] = Counter()  # the last of each trial that was told
        self._ended: set[str] = set()

    def check(self, event: Event) -> None:
        """Take in the next event.

        Raises:
            ValueError: it cannot be the next.
        """
        if not self._has_begun and not isinstance(event, RunStarted):
            raise ValueError("the first event must be run_started")
        self._has_begun = True
        match event:
            case Suggested() | Infeasible():
                self._proposed(event)
            case Started() | Reported() | Retried() | Stopped():
                self._told(event)
            case Retrained() | Replicated() if event.trial_id is not None:
                self._require(event.trial_id)

    def _require(self, trial_id: str) -> None:
        if trial_id not in self._tasks:
            raise ValueError(f"{trial_id} must have been suggested before")

    def _proposed(self, event: Suggested | Infeasible) -> None:
        if event.number != len(self._tasks):
            raise ValueError(f"number must be {len(self._tasks)}, the trials before it, but is {event.number}")
        if event.trial_id in self._tasks:
            raise ValueError(f"{event.trial_id} must be new, but was suggested before")
        if isinstance(event, Infeasible):
            self._tasks[event.trial_id] = ()
            self._ended.add(event.trial_id)
            return
        for other in filter(None, (event.parent, event.replaces)):
            self._require(other)
        self._tasks[event.trial_id] = event.config["tasks"].keys()

    def _told(self, event: Started | Reported | Retried | Stopped) -> None:
        trial_id = event.trial_id
        self._require(trial_id)
        if trial_id in self._ended:
            raise ValueError(f"{trial_id} must still run, but has ended before")
        if isinstance(event, Stopped) and event.status != "interrupted":
            self._ended.add(trial_id)
        if not isinstance(event, Reported):
            return
        last, evaluation = self._evaluations[trial_id], event.report["evaluation"]
        if evaluation <= last:
            raise ValueError(f"report.evaluation must be above {last}, the last of {trial_id}, but is {evaluation}")
        self._evaluations[trial_id] = evaluation
        if strange := sorted((event.data or {}).keys() - self._tasks[trial_id]):
            raise ValueError(f"data must be of tasks of {trial_id}, but {strange[0]!r} is none")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is longer than any event, parts."""
    while line := file.readline(_LONGEST_LINE):
        yield line


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: a run folder must hold its events, but they have gone: its driver was refused before the first, "
            "and says why where it was started, or somebody deleted them"
        ) from error


class EventReader:
    """Reads a run folder's events as they are written, also while another process, or machine, writes them.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._position = 0
        self._num_read = 0
        self._order = _Order()

    def new(self) -> Iterator[Event]:
        """The events since those that were given before, oldest first; a torn last line is left for later.

        Raises:
            RunError: a line is not an event that this version knows, or the file has gone.
        """
        with _opened(self._path) as file:
            file.seek(self._position)
            for line in _lines(file):
                try:
                    event = _from_line(line)
                    if line.endswith(b"\n"):
                        self._order.check(event)
                except _UNREADABLE as error:
                    is_torn = not line.endswith(b"\n") or isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
                    if is_torn and file.read(1) == b"":
                        return
                    raise RunError(
                        f"{self._path}:{self._num_read + 1}: every line must be an event of mtsearch that can follow "
                        f"those before it, but of this one: {_told(error)}; it was damaged or changed, or a newer "
                        "mtsearch wrote it: put back a copy, or install that version"
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
    """Whether a driver holds a run folder's events, on whichever machine; None where the file system has no locks.

    Raises:
        RunError: the file has gone.
    """
    with _opened(folder / EVENTS) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in _NO_LOCKS else True
    return False


class EventLog:
    """A run folder's events, opened to write: no other process can meanwhile, and a crash frees it.

    Closed before its first event it leaves nothing behind that it has made.

    Args:
        folder: the run folder; made if it is not there.

    Raises:
        RunError: another driver holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._open(folder)
        if not os.fstat(self._file).st_nlink:  # who had it was refused, and has taken it away
            os.close(self._file)
            self._open(folder)
        self._cut_torn_line()

    def _open(self, folder: Path) -> None:
        try:
            self._made = [path for path in (self._path, folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunError(f"{folder}: the run folder must be writable, but got: {error.strerror}") from error
        try:
            self._lock(folder)
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
        if self._path in self._made and not os.fstat(self._file).st_size:
            with suppress(OSError):  # another run is beside it
                self._take_away()
        os.close(self._file)

    def _take_away(self) -> None:
        """Delete what was made for events that never came, unless there is something else in it by now."""
        if [path.name for path in self._path.parent.iterdir()] == [EVENTS]:
            self._path.unlink()
            for folder in self._made[1:]:
                folder.rmdir()
