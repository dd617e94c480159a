"""The processes of a trial that has several workers: started, told what to train, listened to, and ended.

Whoever was given the trial (a Ray actor, or ``mtsearch train``) trains nothing then and is in no collective, so that it
can end the processes whatever they wait for. Each of them is a :mod:`mtsearch.search.rank`, which ends itself when the
pipe to it closes: none is left behind, however its parent ended.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtsearch.search.faults import Cause

if TYPE_CHECKING:
    from mtsearch.search.trial import Assignment

__all__ = ["RankError", "Ranks"]

_STOP_SECONDS = 60.0  # that they are given to stop in good order
_DEATH_SECONDS = 10.0  # that the kernel takes, at most, to clear a dead process away
_MOMENT_SECONDS = 0.2


class RankError(Exception):
    """A process of a trial has failed, and with it the trial; the message says why in one line.

    Args:
        cause: whose doing it was.
        reason: one line.
    """

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


@dataclass(frozen=True)
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection[Any, Any]


class Ranks:
    """Processes that run trials together, one trial after another, all with the same resources.

    They are started with the first trial and stay for the next, with what they have imported and read. A trial that
    fails takes them with it.
    """

    def __init__(self) -> None:
        self._ranks: list[_Rank] = []
        self._busy: dict[Connection[Any, Any], _Rank] = {}
        self._folder: str | None = None

    def train(self, assignment: Assignment, number: int) -> Generator[dict[str, Any]]:
        """Train; gives what the first process says of each evaluation, as :func:`mtsearch.search.trial.train` does.

        Closing the generator stops the trial in all processes.

        Args:
            assignment: the trial.
            number: of the attempt, whose folder is there.

        Raises:
            RankError: one of the processes has failed, or died.
        """
        try:
            if not self._ranks:
                self._start(assignment)
            for rank in self._ranks:
                self._send(rank, (assignment.to_ray(), number))
            self._busy = {rank.pipe: rank for rank in self._ranks}
            for said in self._told():
                yield said
                self._send(self._ranks[0], True)
        except GeneratorExit:
            self._stop()
            raise
        except BaseException:  # a process failed, and others may wait for it for ever; or Ctrl-C
            self.close()
            raise

    def close(self) -> None:
        """End the processes, whatever they do."""
        for rank in self._ranks:
            rank.process.kill()
        for rank in self._ranks:
            rank.process.wait()
            rank.pipe.close()
        self._ranks, self._busy = [], {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, assignment: Assignment) -> None:
        # Not multiprocessing, which would run the person's script once more; nor a fork, which CUDA does not survive.
        self._folder = tempfile.mkdtemp(prefix="mtsearch-ranks-")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            "OMP_NUM_THREADS": str(assignment.cpus // assignment.workers),
        }
        for number in range(assignment.workers):
            ours, its = multiprocessing.Pipe()
            with its:
                told = (its.fileno(), number, assignment.workers, assignment.device, Path(self._folder, "meeting"))
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "mtsearch.search.rank", *map(str, told)],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[its.fileno()],
                    start_new_session=True,  # Ctrl-C is for the parent, which stops them in good order
                )
            self._ranks.append(_Rank(number, process, ours))

    def _stop(self) -> None:
        """Have the trial stopped, in all processes by the word of the first one, which waits for ours."""
        try:
            self._send(self._ranks[0], False)
            for _ in self._told(until=time.monotonic() + _STOP_SECONDS):
                pass
        except (RankError, TimeoutError):
            self.close()

    def _told(self, until: float | None = None) -> Iterator[dict[str, Any]]:
        """What the first process says, until all are done."""
        while self._busy:
            ready = wait(list(self._busy), None if until is None else max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            for pipe in ready:
                assert isinstance(pipe, Connection)
                what, value = self._receive(self._busy[pipe])
                if what == "done":
                    del self._busy[pipe]
                else:
                    yield value

    def _send(self, rank: _Rank, order: Any) -> None:
        try:
            rank.pipe.send(order)
        except OSError as error:
            raise self._death(rank) from error

    def _receive(self, rank: _Rank) -> tuple[str, Any]:
        try:
            what, value = rank.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._death(rank) from error
        if what == "failed":
            # Where another one has died, its loss is what the others complain of.
            dead = next((other for other in self._ranks if other is not rank and _has_died(other)), None)
            raise RankError(*value) if dead is None else self._death(dead)
        return what, value

    def _death(self, rank: _Rank) -> RankError:
        try:
            code = rank.process.wait(_DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            how = "was lost"
        else:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return RankError("surroundings", f"its process {rank.number + 1} of {len(self._ranks)} {how}")


def _has_died(rank: _Rank) -> bool:
    """Whether the pipe is closed, which it is before the connections to the other processes are."""
    try:
        while rank.pipe.poll(_MOMENT_SECONDS):
            rank.pipe.recv()
    except (EOFError, OSError):
        return True
    return False
