"""What is to be run somewhere else, looked at here before it waits in a queue."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtsearch.api import data_folder, run_folder
from mtsearch.config.load import load_space, locate
from mtsearch.config.space import SearchSpace
from mtsearch.config.urls import without_passwords
from mtsearch.errors import ConfigError, RunError
from mtsearch.search.cluster import find_footprint
from mtsearch.search.events import EVENTS
from mtsearch.search.status import look

__all__ = ["Request", "read_request", "refuse_passwords", "room_in_words"]


@dataclass(frozen=True)
class Request:
    """A search that is valid, and not finished.

    Attributes:
        space: what to search.
        folder: its run folder.
        arguments: of ``mtsearch run``; paths that are given are absolute.
        so_far: what there is of it, in words.
    """

    space: SearchSpace
    folder: Path
    arguments: tuple[str, ...]
    so_far: str


def read_request(
    space: str,
    overrides: Sequence[str],
    name: str | None,
    runs: Path,
    data: str | None,
    warm_start: Path | None,
) -> Request:
    """The search that these arguments of ``mtsearch run`` mean.

    Args:
        space: a YAML file, or the name of a shipped space.
        overrides: ``KEY=VALUE``, as after ``--set``.
        name: of the run folder; None takes the space's.
        runs: the folder of run folders.
        data: the folder of data sets; None takes ``MTSEARCH_DATA``.
        warm_start: an earlier run's folder.

    Raises:
        ConfigError: the space is not valid, or an override has a password.
        RunError: the run folder cannot be used, or its search is finished.
    """
    refuse_passwords(overrides)
    loaded = load_space(space, overrides)
    folder = run_folder(runs, loaded.name if name is None else name).absolute()
    root = data_folder(data)
    path = locate(space)
    arguments = [os.path.abspath(path) if Path(space).is_file() else path.stem]
    for override in overrides:
        arguments += ["--set", override]
    arguments += ["--name", folder.name, "--runs", str(folder.parent)]
    if root is not None:
        arguments += ["--data", os.path.abspath(root)]
    if warm_start is not None:
        arguments += ["--from", os.path.abspath(warm_start)]
    return Request(loaded, folder, tuple(arguments), _so_far(loaded, folder))


def refuse_passwords(texts: Iterable[str]) -> None:
    """See that no URL with a password is among what others may read in a job.

    Raises:
        ConfigError: one is.
    """
    if any(without_passwords(text) != text for text in texts):
        raise ConfigError(
            "a URL that travels must have no password, since others may read the job, but one has; write ${NAME} in "
            "its place, declare environment: [NAME] in the space, and have NAME set where the job runs"
        )


def room_in_words(space: SearchSpace, machine: str, machines: int, cpus: int, gpus: int) -> str:
    """``4 nodes with 16 cores and 4 GPUs each: at most 16 trials at a time``.

    Args:
        space: what to search.
        machine: what one is called.
        machines: how many are asked for.
        cpus: cores of each.
        gpus: of each.

    Raises:
        ResourceError: none of them has room for one trial, which would wait for ever.
    """
    resources = [{"CPU": float(cpus), "GPU": float(gpus)}] * machines
    footprint = find_footprint(space.resources, resources, space.num_trials(), space.search.concurrency)
    each = " each" * (machines > 1)
    asked = f"{_count(machines, machine)} with {_count(cpus, 'core')} and {_count(gpus, 'GPU')}{each}"
    return f"{asked}: at most {_count(footprint.concurrency, 'trial')} at a time"


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'s' * (number != 1)}"


def _so_far(space: SearchSpace, folder: Path) -> str:
    if not (folder / EVENTS).is_file():
        return "new"
    status = look(folder)
    if status.is_finished and space.num_trials() <= status.target:
        raise RunError(
            f"{folder}: this run is finished ({status.num_done} trials are done); "
            "ask for more with --set search.trials=N, or begin another with --name"
        )
    return f"goes on: {status.num_done} of {status.target} trials are done"
