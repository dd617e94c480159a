"""Searches that something happens to: real ones, through the command line, each in a session of its own.

A task kind and a metric of a plugin stand for what goes wrong in a worker: some always, by the trial's config, some
once, when a file of that name lies in the folder ``FAULTS``. As long as ``wait`` lies there, evaluations wait.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mtsearch.search.events import EVENTS, Event, Reported, RunStarted, Started, Suggested, read_events
from mtsearch.search.state import fold

PLUGIN = '''
"""What goes wrong."""

import errno
import os
import resource
import signal
import time
from pathlib import Path
from typing import Literal

import torch

from mtsearch.tasks import Classification
from mtsearch.tasks.metrics import Metric


def run_out_of_memory():
    """For real: there is room for 256 MB more, and 512 are asked for."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**28, limits[1]))
    try:
        bytearray(2**29)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Hungry(Classification):
    kind: Literal["hungry"] = "hungry"
    bears: int = 0
    """Examples in a pass that memory bears; with none there is another fault."""

    def loss(self, logits, targets, inventory):
        if self.bears == 0:
            raise ValueError("this configuration does not work")
        if len(logits.values) > self.bears:
            if self.bears > 1:
                run_out_of_memory()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().loss(logits, targets, inventory)


def strike(name):
    """Whether this is the process that this happens to: it does once."""
    try:
        os.rename(Path(os.environ["FAULTS"], name), Path(os.environ["FAULTS"], f"{name}.done"))
    except OSError:
        return False
    return True


def suffering(gold, predicted):
    """The accuracy, unless something happens."""
    time.sleep(float(os.environ["SECONDS"]))
    while Path(os.environ["FAULTS"], "wait").exists():
        time.sleep(0.05)
    if strike("death"):
        os.kill(os.getpid(), signal.SIGKILL)
    if strike("hang"):
        time.sleep(3600)
    if strike("stale"):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return sum(a == b for a, b in zip(gold, predicted, strict=True)) / len(gold)


TASKS = (Hungry,)
METRICS = (Metric("suffering", "maximize", suffering),)
'''

AGENTS = ("ray::DashboardA", "ray::RuntimeEnv")
"""As the kernel has their names: 15 characters."""

SEARCH = {"algorithm": {"name": "grid"}, "scheduler": {"name": "none"}, "concurrency": 2, "hang_limit": None}


def write_space(path: Path, config: Mapping[str, Any], **sections: Any) -> Path:
    """A grid over the tiny trial: two learning rates, and configs with too little memory or a fault.

    Args:
        path: of the space file.
        config: the tiny trial with the plugin, whose place is a part of a config.
        sections: that replace others.
    """
    bears = {"choice": [100, 4, 1, 0]}  # of 8: whole batches; half of one; not even that; a fault of its own
    task = {"kind": "hungry", "data": "sst5", "metrics": ["accuracy", "suffering"], "bears": bears}
    training = {**config["training"], "epochs": 4}
    optimizer = {"name": "adamw", "lr": {"choice": [3e-3, 1e-2]}}
    space = {
        **config,
        "tasks": {"mood": task},
        "training": training,
        "optimizer": optimizer,
        "search": SEARCH,
        **sections,
    }
    path.write_text(yaml.safe_dump(space, sort_keys=False), encoding="utf-8")
    return path


class Search:
    """``mtsearch run`` in a process of its own, whose session holds all that it starts.

    Args:
        arguments: after ``mtsearch``.
        faults: a folder of the faults to come; what is said goes there, too.
        seconds: that each evaluation takes at least.
        wrapper: a command that starts it, such as ``nsenter ..``.
        environment: further variables.
    """

    def __init__(
        self,
        *arguments: object,
        faults: Path,
        seconds: float = 0.2,
        wrapper: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        said = faults / f"said-{time.monotonic_ns()}.txt"
        self._said = said
        command = [*wrapper, sys.executable, "-c", "from mtsearch.cli import main; main()", *map(str, arguments)]
        variables = {"FAULTS": str(faults), "SECONDS": str(seconds), "RAY_AUTH_MODE": "disabled", "COLUMNS": "200"}
        with said.open("w") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_hear_signals,
                env={**os.environ, **variables, **(environment or {})},
            )

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self._said.read_text(encoding="utf-8")

    def wait(self, seconds: float = 900) -> int:
        """Its exit code; it must end within so many seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it runs on:\n{self.said}") from error

    def wait_for(self, folder: Path, what: Callable[[list[Event]], bool], seconds: float = 900) -> None:
        """Until its own events have come so far; the tables are read all the while, as others may."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"it has ended with {self.process.returncode}:\n{self.said}")
            if (folder / "metrics.parquet").exists():  # which is written after the other
                for name in ("trials.parquet", "metrics.parquet"):
                    with (folder / name).open("rb") as file:  # by its path pandas opens it twice
                        pd.read_parquet(file)
            if (folder / EVENTS).exists() and what(own_events(folder, self.process.pid)):
                return
            time.sleep(0.05)
        raise AssertionError(f"it has not come so far:\n{self.said}")

    def wait_until_said(self, words: str, seconds: float = 600) -> None:
        """Until it has printed these words."""
        end = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """As a terminal or ``kill`` does: Ctrl-C reaches every process of the session, others this one."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def left_behind(self, seconds: float = 300, *, but_agents: bool = False) -> list[str]:
        """The processes of its session that are still there after so long.

        Args:
            seconds: at most.
            but_agents: leave out Ray's two agents, which go on looking for a head that was killed for a minute or two.
        """
        end = time.monotonic() + seconds
        while True:
            found = in_session(self.process.pid)
            if but_agents:
                found = [process for process in found if not process.endswith(AGENTS)]
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.2)

    def end(self) -> None:
        """Leave nothing behind, whatever became of the test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in in_session(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.split()[0]), signal.SIGKILL)


def _hear_signals() -> None:
    """As in a terminal: what a shell starts in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def in_session(session: int) -> list[str]:
    """``PID NAME`` of each living process of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            before, _, after = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        state, _, _, its_session, *_ = after.split()
        if int(its_session) == session and state not in "ZX":
            found.append(f"{folder.name} {before.partition('(')[2]}")
    return found


def own_events(folder: Path, pid: int) -> list[Event]:
    """The events since this process took up the run."""
    events: list[Event] = []
    try:
        for event in read_events(folder):
            if isinstance(event, RunStarted):
                events = [] if event.pid == pid else events
            events.append(event)
    except FileNotFoundError:
        return []
    began = [event for event in events if isinstance(event, RunStarted)]
    return events if began and began[-1].pid == pid else []


def reports(events: list[Event]) -> int:
    """How many evaluations were told."""
    return sum(isinstance(event, Reported) for event in events)


NOT_NUMBERS = ("attempts", "stop_reason", "started_at", "ended_at", "checkpoint", "node", "peak_memory_bytes")


def assert_same_tables(folder: Path, undisturbed: Path) -> None:
    """Number for number, but for what tells of time, place and attempts."""
    ours, theirs = (pd.read_parquet(run / "trials.parquet").set_index("trial_id") for run in (folder, undisturbed))
    dropped = [name for name in theirs if name in NOT_NUMBERS or "seconds" in name or name.endswith("_per_second")]
    pd.testing.assert_frame_equal(ours.drop(columns=dropped), theirs.drop(columns=dropped), check_exact=True)
    keys = ["trial_id", "evaluation", "task", "split", "metric"]
    ours, theirs = (
        pd.read_parquet(run / "metrics.parquet").sort_values(keys).reset_index(drop=True).drop(columns="seconds")
        for run in (folder, undisturbed)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def assert_sound(folder: Path) -> None:
    """Every trial once, contiguous reports that each trial told once, and attempts that count up."""
    events = list(read_events(folder))
    suggested = Counter(event.trial_id for event in events if isinstance(event, Suggested))
    assert set(suggested.values()) == {1}
    state = fold(events)
    for trial_id, trial in state.trials.items():
        told = [e.report["evaluation"] for e in events if isinstance(e, Reported) and e.trial_id == trial_id]
        assert told == list(range(1, len(told) + 1)), trial_id
        started = [e.attempt for e in events if isinstance(e, Started) and e.trial_id == trial_id]
        assert started == list(range(1, trial.attempts + 1)), trial_id
        assert trial.evaluation == len(told)
        assert not trial.is_open
    rows = pd.read_parquet(folder / "trials.parquet")
    assert dict(zip(rows["trial_id"], rows["status"], strict=True)) == {
        trial_id: trial.status for trial_id, trial in state.trials.items()
    }


def assert_no_evaluation_was_repeated(folder: Path) -> None:
    """Each attempt goes on from a checkpoint that is no older than what was told: only what was under way is lost."""
    told: Counter[str] = Counter()
    anew: set[str] = (
        set()
    )  # the trials whose last attempt has not said from where it goes on, as if it had been stopped
    for event in read_events(folder):
        if isinstance(event, Reported):
            told[event.trial_id] += 1
            assert event.trial_id not in anew
        if isinstance(event, Started) and told[event.trial_id]:
            log = folder / "trials" / event.trial_id / f"attempt-{event.attempt}" / "log.txt"
            went_on = re.search(r"going on from .*/evaluation-(\d+)", log.read_text(encoding="utf-8"))
            anew.discard(event.trial_id)
            if went_on is None:
                anew.add(event.trial_id)
            else:
                assert int(went_on[1]) >= told[event.trial_id], log
