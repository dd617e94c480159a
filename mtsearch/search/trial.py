"""The one seam between Ray and the trainer: runs in a worker, one trial after another.

What a worker says of a trial is a plain dict for each step: first that it has ``started``, then each evaluation,
with the outcome ``running``, ``finished`` or ``diverged``; or that the attempt ``failed``, and whose doing that was.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ray import tune
from ray._raylet import setproctitle  # type: ignore[attr-defined]
from ray.tune.result import DONE

from mtsearch.data.source import SplitName
from mtsearch.errors import RunError
from mtsearch.search.events import EVENTS
from mtsearch.search.faults import Cause, cause_of, halved, reason_of
from mtsearch.search.ranks import RankError, Ranks
from mtsearch.training.report import Objective

__all__ = ["TOLD", "Assignment", "Trial", "attempt", "free_memory", "logged", "train", "train_until"]

TOLD = "told"
"""Where a result carries its report: as text, so that Ray keeps no statistics of each number in it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """What a worker is to do. Plain values.

    Attributes:
        run_folder: absolute.
        place: where under it the attempts go, such as ``trials/t0003``.
        config: a TrialConfig as JSON values.
        data_root: as in :class:`mtsearch.training.place.Place`.
        cpus: threads, of all workers together.
        gpus: of all workers together; 0 trains on the CPU.
        objective: what it is for.
        train_on: the splits.
        begin_from: another trial's checkpoint to begin from, relative to the run folder; None begins anew.
        micro_batch_size: as in :class:`mtsearch.training.place.Place`.
        wait_seconds: before anything else.
        workers: processes, on this machine.
    """

    run_folder: str
    place: str
    config: Mapping[str, Any]
    data_root: str | None
    cpus: int
    gpus: float
    objective: Objective
    train_on: tuple[SplitName, ...] = ("train",)
    micro_batch_size: int | None = None
    wait_seconds: float = 0.0
    begin_from: str | None = None
    workers: int = 1

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """What the trial runs on."""
        return "cuda" if self.gpus else "cpu"

    def to_ray(self) -> dict[str, Any]:
        """As Ray's config: one text, which Ray need not copy, flatten or look into."""
        values = {**vars(self), "objective": asdict(self.objective)}  # not all: that copies the config, leaf by leaf
        return {"assignment": json.dumps(values), "cpus": self.cpus, "gpus": self.gpus}

    @classmethod
    def from_ray(cls, config: Mapping[str, Any]) -> Assignment:
        """The assignment of :meth:`to_ray`."""
        values = json.loads(config["assignment"])
        objective, train_on = Objective.from_json(values["objective"]), tuple(values["train_on"])
        return cls(**{**values, "objective": objective, "train_on": train_on})


class Trial(tune.Trainable):  # type: ignore[misc]
    """A Ray actor that runs trials; Ray gives it the next one when one has stopped.

    Where trials have several workers, those are processes of the actor's own, which stay for the next trial, too.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """One bundle, so that a trial is never spread over machines."""
        return tune.PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"]}])

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first trial."""
        logging.captureWarnings(True)
        self._ranks = Ranks()
        self._take(config)

    def _take(self, config: Mapping[str, Any]) -> None:
        assignment = Assignment.from_ray(config)
        self._run = Path(assignment.run_folder).name
        self._title = f"ray::{self._run} {Path(assignment.place).name} {'+'.join(assignment.config['tasks'])}"
        self._epoch = 0.0
        self._results = attempt(assignment, self._ranks)

    def __repr__(self) -> str:
        """What Ray's dashboard calls the actor: Ray asks once, so not the trial, of which there will be others."""
        return f"trials of {self._run}"

    def step(self) -> dict[str, Any]:
        """Go on to the next thing to say."""
        # What the dashboard lists as the worker, and ps. Ray sets a title of its own before each call.
        setproctitle(f"{self._title} after epoch {self._epoch:g}" if self._epoch else self._title)
        result = next(self._results)
        self._epoch = result.get("epoch", self._epoch)
        return result

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Stop the trial, if it has not stopped itself, and take another.

        Raises:
            RuntimeError: CUDA is broken in this process; Ray then ends it, and the trial is tried again in another.
        """
        self._results.close()
        _require_cuda()
        if not gc.get_freeze_count():
            gc.freeze()  # modules and data, which stay: later collections need not look through them
        self._take(new_config)
        return True

    def cleanup(self) -> None:
        """Stop the trial."""
        self._results.close()
        self._ranks.close()


def attempt(assignment: Assignment, ranks: Ranks | None = None) -> Generator[dict[str, Any]]:
    """Run a trial, from its last checkpoint if it has one; closing the generator stops it and frees its memory.

    It writes under a folder ``attempt-K`` of its own alone: a worker that was cut off and comes back does no harm.

    Args:
        assignment: the trial.
        ranks: the processes of trials with several workers; None for such as end with the attempt.
    """
    failure: tuple[Cause, str] | None = None
    number: int | None = None
    time.sleep(assignment.wait_seconds)
    try:
        if _is_seen(assignment):
            place = Path(assignment.run_folder) / assignment.place
            number = _claim(place)
            with (
                logged(place / f"attempt-{number}" / "log.txt"),
                closing(Ranks()) if ranks is None else nullcontext(ranks) as ranks,
            ):
                yield {"outcome": "started", "attempt": number, "node": platform.node()}
                try:
                    yield from train(assignment, number) if assignment.workers == 1 else ranks.train(assignment, number)
                except Exception:
                    logger.exception("the trial failed")
                    raise
        else:
            failure = "surroundings", _unseen(assignment)
    except Exception as error:
        told = (error.cause, str(error)) if isinstance(error, RankError) else (cause_of(error), reason_of(error))
        # Else whatever was raised has that for its cause.
        failure = told if _is_seen(assignment) else ("surroundings", told[1])
    finally:
        free_memory()
    if failure is not None:
        cause, reason = failure
        yield {"outcome": "failed", "attempt": number, "cause": cause, "reason": reason, DONE: True}


def _is_seen(assignment: Assignment) -> bool:
    """Whether the run folder is there: a node that loses the shared path may see an empty folder in its place."""
    return os.path.isfile(os.path.join(assignment.run_folder, EVENTS))


def _unseen(assignment: Assignment) -> str:
    return (
        f"{assignment.run_folder}: the run folder must be on storage that every node shares, "
        f"but {platform.node()} does not see it"
    )


def attempts(assignment: Assignment) -> Generator[dict[str, Any]]:
    """Run a trial by itself, where no driver decides on another attempt: one more with half as many examples in a
    forward pass, if it runs out of memory; gives what is said.
    """
    result: dict[str, Any] = {}
    with closing(attempt(assignment)) as results:
        for result in results:
            if result["outcome"] != "failed":
                yield result
    if result["outcome"] == "failed":
        size = halved(assignment.config["training"]["batch_size"], assignment.micro_batch_size)
        if result["cause"] == "memory" and size is not None:
            yield from attempt(replace(assignment, micro_batch_size=size))
        else:
            yield result


def train_until(assignment: Assignment, evaluation: int) -> Iterator[dict[str, Any]]:
    """Run a trial up to an evaluation, or to its end if that comes first; gives what is said."""
    with closing(attempts(assignment)) as results:
        for result in results:
            yield result
            if result.get("evaluation", 0) >= evaluation:
                return


def _claim(place: Path) -> int:
    """Make the next attempt's folder; nobody else has it then."""
    number = 1 + max((int(folder.name.split("-")[1]) for folder in place.glob("attempt-*")), default=0)
    while True:
        try:
            (place / f"attempt-{number}").mkdir(parents=True)
            return number
        except FileExistsError:
            number += 1


def train(assignment: Assignment, number: int) -> Generator[dict[str, Any]]:
    """Train in this process, alone or as one of the trial's several; gives what is said of each evaluation.

    Args:
        assignment: the trial.
        number: of the attempt, whose folder is there.

    Raises:
        Exception: whatever fails.
    """
    # Here, not above: whatever is wrong with these on a worker is then told as the trial's reason.
    from mtsearch.config.schema import trial_schema
    from mtsearch.training.branching import branch_off
    from mtsearch.training.checkpoint import latest_checkpoint
    from mtsearch.training.fit import fit
    from mtsearch.training.parts import build
    from mtsearch.training.place import Place
    from mtsearch.training.ranks import first_word

    place = Path(assignment.run_folder) / assignment.place
    folder = place / f"attempt-{number}"
    earlier = (latest_checkpoint(place / f"attempt-{k}") for k in range(number - 1, 0, -1))
    resume_from = first_word(next((checkpoint for checkpoint in earlier if checkpoint is not None), None))
    origin = None
    if assignment.begin_from is not None and resume_from is None:
        resume_from = origin = Path(assignment.run_folder) / assignment.begin_from
    if resume_from is not None:
        logger.info("going on from %s", resume_from)
    schema = trial_schema(tuple(assignment.config["plugins"]))
    parts = build(
        schema.model_validate_json(json.dumps(assignment.config)),
        Place(
            folder=folder,
            data_root=Path(assignment.data_root) if assignment.data_root else None,
            cpus=assignment.cpus // assignment.workers,
            device=assignment.device,
            micro_batch_size=assignment.micro_batch_size,
        ),
        assignment.objective,
        resume_from=resume_from,
        train_on=assignment.train_on,
    )
    if origin is not None:
        branch_off(parts, origin)
    data: dict[str, dict[str, str]] | None = {
        name: {
            "origin": task.data.origin,
            "where": task.data.where,
            "hash": task.data.content_hash,
            "rows": "" if task.changes is None else task.changes.content_hash,
            "tags": "" if parts.tags is None else parts.tags.source,
            "source": parts.source_hash,
        }
        for name, task in parts.tasks.items()
    }
    with closing(fit(parts)) as reports:
        for report in reports:
            if not _is_seen(assignment):
                raise RunError(_unseen(assignment))  # its checkpoint is nowhere
            checkpoint = None
            if report.checkpoint is not None:
                # The report of the checkpoint that we go on from is told once more; its files stay where they are.
                path = folder / "checkpoints" / report.checkpoint
                if resume_from is not None and report.checkpoint == resume_from.name:
                    path = resume_from
                checkpoint = path.relative_to(assignment.run_folder).as_posix()
            has_score = report.outcome != "diverged"
            yield {
                "outcome": report.outcome,
                "attempt": number,
                "reason": report.reason,
                DONE: report.outcome != "running",
                "epoch": report.epoch,
                # What the trial scheduler reads. A diverged trial has no score that could enter a rung.
                **(
                    {"evaluation": report.evaluation, "examples_seen": report.examples_seen, "score": report.score}
                    if has_score
                    else {}
                ),
                TOLD: json.dumps(
                    {"report": report.to_json(), "checkpoint": checkpoint, "precision": parts.precision, "data": data}
                ),
            }
            data = None


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Have everything that this process logs in a file, too."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("mtsearch")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def _require_cuda() -> None:
    """See that CUDA works in this process, if it was used: after a kernel's error all that follows would fail, too.

    Raises:
        RuntimeError: it does not.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise RuntimeError(f"CUDA is broken since an earlier trial of this process: {reason}") from None


def free_memory() -> None:
    """Give back what a trial has left behind in this process."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        with suppress(RuntimeError):  # CUDA is broken, and what broke it is told already
            torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # glibc's, which otherwise keeps the most that any trial ever had
        ctypes.CDLL(None).malloc_trim(0)
