"""Trainings beside the search's own trials, each a task of Ray's: the winner's once more, and replications.

No trial scheduler judges them, so that Ray Tune has no part in them. What a trial is promised holds for them too: one
whose worker dies or hangs is tried again, and goes on from its last checkpoint; all are cancelled when the search is to
stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import ray
from ray import ObjectRefGenerator
from ray.exceptions import RayError, RayTaskError
from ray.remote_function import RemoteFunction

from mtsearch.config.search import SearchConfig
from mtsearch.search.faults import Cause, death_in, halved
from mtsearch.search.silence import Silence
from mtsearch.search.trial import TOLD, Assignment

__all__ = ["Death", "Train", "run_trainings"]

_MOMENT_SECONDS = 0.2

Key = TypeVar("Key")
Train = Callable[[Assignment], Iterator[dict[str, Any]]]
"""Trains, in a worker: gives what :func:`mtsearch.search.trial.attempt` gives, and last what it has come to."""


@dataclass(frozen=True)
class Death:
    """A training has ended without a last word: its worker died or hung, and trying again did not help.

    Attributes:
        cause: whose doing it was.
        reason: in words.
    """

    cause: Cause
    reason: str


@dataclass
class _Training(Generic[Key]):
    key: Key
    assignment: Assignment
    said: dict[str, Any] = field(default_factory=dict)
    num_retries: int = 0


def run_trainings(
    train: Train,
    assignments: Iterable[tuple[Key, Assignment]],
    search: SearchConfig,
    concurrency: int,
    interrupted: Sequence[str],
    warn: Callable[[Key, str], None],
) -> Iterator[tuple[Key, dict[str, Any] | Death]]:
    """Each training's last word as it ends, by tasks of the Ray that is connected.

    Args:
        train: what each does; of a module, since workers import it.
        assignments: what to train; the next is taken when there is room for it.
        search: its ``hang_limit`` and ``max_retries`` hold.
        concurrency: trainings at a time.
        interrupted: filled when this is to stop; what runs is cancelled then.
        warn: told why one is tried again.
    """
    fresh = (_Training(key, assignment) for key, assignment in assignments)
    again: deque[_Training[Key]] = deque()
    running: dict[ObjectRefGenerator, _Training[Key]] = {}
    silence: Silence[ObjectRefGenerator] = Silence(search.hang_limit)
    try:
        while not interrupted:
            while len(running) < concurrency:
                training = again.popleft() if again else next(fresh, None)
                if training is None:
                    break
                running[_task(training.assignment).remote(train, training.assignment)] = training
            if not running:
                return
            ended: dict[ObjectRefGenerator, dict[str, Any] | Death] = {}
            for stream in ray.wait(list(running), timeout=_MOMENT_SECONDS)[0]:
                word = _next_word(stream)
                if isinstance(word, dict):
                    _listen(silence, stream, running[stream], word)
                else:
                    ended[stream] = running[stream].said if word is None else word
            for stream, reason in silence.hung().items():
                ray.cancel(stream, force=True)
                ended.setdefault(stream, Death("surroundings", reason))
            for stream, last in ended.items():
                silence.end(stream)
                training = running.pop(stream)
                if isinstance(last, Death) and _is_to_be_tried_again(training, last, search.max_retries):
                    warn(training.key, f"{last.reason}; it is tried again")
                    again.append(training)
                else:
                    yield training.key, last
    finally:
        for stream in running:
            ray.cancel(stream, force=True)


def _task(assignment: Assignment) -> RemoteFunction:
    """What runs a training.

    Not by ``options``: Ray ends the process of a task with GPUs only where it is told of them here. CUDA keeps to the
    devices, and the memory, that it took first in a process, whichever ones the next task there is given.
    """
    return ray.remote(
        num_cpus=assignment.cpus,
        num_gpus=assignment.gpus,
        max_retries=0,  # Ray's own retries take what was said before for said
    )(_said)


def _said(train: Train, assignment: Assignment) -> Iterator[dict[str, Any]]:
    yield {}  # a worker has it; until then it waits for room, which is no hanging
    yield from train(assignment)


def _listen(
    silence: Silence[ObjectRefGenerator], stream: ObjectRefGenerator, training: _Training[Any], said: dict[str, Any]
) -> None:
    if not said:
        silence.begin(stream)
        return
    waited = silence.hear(stream)
    if TOLD in said:
        training.num_retries = 0
        # What an attempt that goes on tells first was told before it.
        if said["attempt"] == 1 or TOLD in training.said:
            silence.learn(waited)
    training.said = said


def _next_word(stream: ObjectRefGenerator) -> dict[str, Any] | Death | None:
    """What a worker says next, which is there; None if it has said all."""
    try:
        word: dict[str, Any] = ray.get(next(stream))
    except StopIteration:
        return None
    except RayError as error:
        cause, reason = death_in(str(error))
        # What is raised there is told in another way, unless the worker could not even begin.
        return Death("trial" if isinstance(error, RayTaskError) else cause, reason)
    return word


def _is_to_be_tried_again(training: _Training[Any], death: Death, max_retries: int) -> bool:
    """Whether it is, and how: as the driver decides on trials."""
    training.said = {}
    if death.cause == "memory":
        assignment = training.assignment
        size = halved(assignment.config["training"]["batch_size"], assignment.micro_batch_size)
        training.assignment = replace(assignment, micro_batch_size=size)
        return size is not None
    training.num_retries += 1
    return death.cause == "surroundings" and training.num_retries <= max_retries
