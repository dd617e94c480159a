"""Whether a run folder can be taken up with a space, and what an extension of its search comes to.

``--trials +N`` means N more than the search had when it was last finished, or than its space asks for if it never was;
so does ``--time +T``. The same command, given again before that is done, therefore goes on with it and adds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace, diff
from mtsearch.errors import ConfigError, RunError
from mtsearch.search.driver import finished_because, goal_reached, over
from mtsearch.search.events import EVENTS, read_events
from mtsearch.search.links import refuse_links
from mtsearch.search.replication import is_complete
from mtsearch.search.state import RunState, fold

__all__ = ["Extension", "Request", "extension_of", "identity_of", "is_finished", "refuse_folder", "refuse_run"]


@dataclass(frozen=True)
class Request:
    """What a driver is asked for beyond what the space says.

    Attributes:
        trials: so many more; 0 for none.
        seconds: so much more time; 0 for none.
        in_process: whether this is a single training, which has no trials to add.
    """

    trials: int = 0
    seconds: float = 0.0
    in_process: bool = False


@dataclass(frozen=True)
class Extension:
    """How far a search is to go beyond its space; as in :class:`mtsearch.search.events.RunStarted`."""

    extra: int = 0
    extra_from: int = 0
    extra_seconds: float = 0.0
    extra_seconds_from: float = 0.0
    extended: bool = False


def refuse_run(space: SearchSpace, folder: Path, request: Request) -> None:
    """Refuse what a run would be refused for once its data and weights are read: before they are.

    Raises:
        RunError: as :func:`refuse_folder` and :func:`extension_of`.
    """
    folder = folder.resolve()
    refuse_folder(folder)
    if (folder / EVENTS).is_file():
        extension_of(space, folder, fold(read_events(folder)), request)


def refuse_folder(folder: Path) -> None:
    """Refuse a folder that no run can be in.

    Raises:
        RunError: it holds something else than a run, or links.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / EVENTS).is_file():
        raise RunError(
            f"{folder}: a run folder must be new or hold {EVENTS}, but this one holds something else; "
            "choose another --name"
        )
    refuse_links(folder)


def extension_of(space: SearchSpace, folder: Path, state: RunState, request: Request) -> Extension:
    """What the search is extended by, this driver's request included; ``state.target`` becomes that of the space.

    Raises:
        RunError: the folder is another space's, there is nothing left to do, or nothing that could be extended.
    """
    if state.identity is None:
        extension = Extension(extra=request.trials, extended=request.trials > 0)
        return _longer(extension, space, folder, state, request.seconds)
    _refuse_other_space(space, folder, state)
    _refuse_other_points(space, folder, state)
    state.target = space.num_trials(state.extra)
    was_finished = is_finished(state, space)
    if was_finished:
        _refuse_finished(space, folder, state, request)
    before = Extension(state.extra, state.extra_from, state.extra_seconds, state.extra_seconds_from)
    extension = before
    if request.trials:
        extra_from = len(state.feasible) - space.search.trials if was_finished else before.extra_from
        extension = Extension(extra_from + request.trials, extra_from, extended=True)
        if not was_finished and extension.extra == before.extra:  # the same request once more
            extension = before
    return _longer(extension, space, folder, state, request.seconds)


def _longer(extension: Extension, space: SearchSpace, folder: Path, state: RunState, seconds: float) -> Extension:
    """The same with so much more time; more trials get the whole time of the space anew."""
    if not seconds:
        return extension
    if space.search.time is None:
        raise RunError(
            f"{folder}: --time: must extend a budget of time, but this search has none; "
            "set one with --set search.time=2h"
        )
    since = extension.extra_seconds_from
    if not extension.extended and over(state, space):
        since = state.seconds - state.seconds_granted_from - space.search.time
    return Extension(extension.extra, extension.extra_from, since + seconds, since, extension.extended)


def is_finished(state: RunState, space: SearchSpace) -> bool:
    """Whether nothing is left to do: no trial, no training of the winner, no replication."""
    to_retrain = space.search.retrain_best and state.retrained is None and state.winner() is not None
    is_over = finished_because(state, space) is not None
    return is_over and not to_retrain and is_complete(state, space)


def identity_of(space: SearchSpace) -> dict[str, Any]:
    """What makes a space this one and no other, as JSON values."""
    identity: dict[str, Any] = json.loads(json.dumps(space.identity()))
    return identity


def _as_of_now(identity: Mapping[str, Any], space: SearchSpace) -> Mapping[str, Any]:
    """An identity with the defaults of whatever the version that wrote it did not know."""
    try:
        return identity_of(load_space({**identity, "name": space.name}))
    except ConfigError:  # it knew something that is no longer there: shown as the difference that it is
        return identity


def _refuse_other_space(space: SearchSpace, folder: Path, state: RunState) -> None:
    identity = identity_of(space)
    assert state.identity is not None
    if identity != state.identity and (before := _as_of_now(state.identity, space)) != identity:
        differences = diff(before, identity)
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise RunError(
            f"{folder}: a run folder belongs to one space, but this one differs from the one it was made for: {shown}; "
            f"choose another --name, with --from {folder} to start from what this one found"
        )


def _refuse_other_points(space: SearchSpace, folder: Path, state: RunState) -> None:
    """The search algorithm can be told of no other points than the space has."""
    domains = {dimension.name: dimension.domain for dimension in space.dimensions()}
    points = {trial.trial_id: trial.params for trial in state.trials.values()}
    if state.imported is not None:
        points |= {f"imported {one['trial_id']}": one["params"] for one in state.imported.observations}
    for trial_id, params in points.items():
        for name, value in params.items():
            problem = domains[name].problem(value) if name in domains else "is no dimension of its space"
            if problem is not None:
                raise RunError(
                    f"{folder / EVENTS}: params of {trial_id}: {name}: {problem}; the file was changed: put back a "
                    "copy, or begin another with --name"
                )


def _refuse_finished(space: SearchSpace, folder: Path, state: RunState, request: Request) -> None:
    """Say that there is nothing left to do, unless what is asked for is."""
    finished = f"{folder}: this run is finished ({finished_because(state, space)})"
    has_goal = goal_reached(state, space)
    if has_goal or not (request.trials or (request.seconds and over(state, space))):
        remedies = []
        if has_goal:
            remedies.append("aim higher with --set search.goal=")
        elif not request.in_process:
            remedies.append("go on with --trials +N" + (" or --time +T" if over(state, space) else ""))
        remedies.append("begin another with --name")
        raise RunError(f"{finished}; {' or '.join(remedies)}")
    if request.trials and len(state.trials) == space.grid_size:
        raise RunError(f"{finished}, and its grid has no further point; begin another with --name")
