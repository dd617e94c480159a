"""One look at a run, or a longer one: from its events alone, from any machine that sees the folder."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mtsearch.errors import RunError
from mtsearch.search.events import EVENTS, EventReader, RunStarted, is_locked, read_events
from mtsearch.search.observer import Observer, Observers
from mtsearch.search.state import RunState, TrialState, fold
from mtsearch.search.stopping import ask_to_stop, drop_request, is_asked_to_stop
from mtsearch_analysis.tables import Status

__all__ = ["BestTrial", "Budget", "OpenTrial", "Presence", "RunStatus", "follow", "look", "presence_of", "stop"]

Presence = Literal["running", "gone", "unknown"]
"""Of a driver. Unknown: it has not said that it left, and locks of its machine, another one, may not be seen here."""

_QUIET_SECONDS = 600.0  # after which a driver whose lock cannot be seen is taken for gone
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_TAKE_UP = 5.0


@dataclass(frozen=True)
class Budget:
    """What may be used of something, and what is.

    Attributes:
        used: so far; of a goal the best score.
        limit: at which the search ends.
    """

    used: float | None
    limit: float


@dataclass(frozen=True)
class BestTrial:
    """The best trial so far.

    Attributes:
        trial_id: its id.
        score: its best.
        epoch: of that evaluation.
        scores: every dev metric at it.
        params: what was chosen for it, by dimension.
        is_admissible: whether it meets the search's constraints.
        tasks: its tasks: ``pos+ner``.
    """

    trial_id: str
    score: float
    epoch: float | None
    scores: Mapping[str, float]
    params: Mapping[str, Any]
    is_admissible: bool
    tasks: str


@dataclass(frozen=True)
class OpenTrial:
    """A trial that runs, or is to be taken up again.

    Attributes:
        trial_id: its id.
        status: as the events have it: a driver that was killed could not say that its trials are ``interrupted``.
        attempts: how often it was started; 0 while it waits for a worker.
        epoch: passes of the sampler's plan done; None before the first evaluation.
        score: its last.
        best_score: its best.
        heard_at: when its worker began it or last reported, in seconds since 1970.
        node: its worker's machine.
    """

    trial_id: str
    status: Status
    attempts: int
    epoch: float | None
    score: float | None
    best_score: float | None
    heard_at: float | None
    node: str | None


@dataclass(frozen=True)
class RunStatus:
    """What a look at a run shows. Times are in seconds since 1970.

    Attributes:
        folder: the run folder.
        looked_at: when.
        presence: of the last driver.
        host: its machine; None before the first event, as are ``pid`` and ``since``.
        pid: its process there.
        since: when it began.
        dashboard: address of Ray's dashboard; None if it has none, or is gone.
        head: the address of the cluster's head node, where the dashboard is; None if that is ``host``.
        last_event_at: when something last happened; None if nothing did.
        ended: why it left, in words; None if it runs, or did not say.
        is_finished: whether nothing is left to go on with.
        target: how many trials the search is to have, infeasible suggestions not counted.
        num_done: how many of them have ended.
        counts: how many trials have each status.
        seconds: that drivers have spent on it.
        budgets: by the names of ``search``; only those that it has, but always ``trials``.
        metric: what the score is.
        best: the best trial; of each set of tasks where those are not compared. Empty before the first score.
        open_trials: in the order of suggestion.
        command: which takes it up again.
        plugins: the modules that it needs.
    """

    folder: Path
    looked_at: float
    presence: Presence
    host: str | None
    pid: int | None
    since: float | None
    dashboard: str | None
    last_event_at: float | None
    ended: str | None
    is_finished: bool
    target: int
    num_done: int
    counts: Mapping[Status, int]
    seconds: float
    budgets: Mapping[str, Budget]
    metric: str
    best: tuple[BestTrial, ...]
    open_trials: tuple[OpenTrial, ...]
    command: Literal["run", "train"]
    plugins: Sequence[str] = ()
    head: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "folder": str(self.folder)}


def look(folder: Path) -> RunStatus:
    """What there is to say of a run now.

    Raises:
        RunError: it is no run folder, or its events are damaged.
    """
    _require_run(folder)
    return _status(folder, fold(read_events(folder)), time.time())


def _require_run(folder: Path) -> None:
    if not folder.is_dir():
        raise RunError(f"{folder}: must be a run folder, but there is no such folder")
    if not (folder / EVENTS).is_file():
        inside = sorted(path.parent.name for path in folder.glob(f"*/{EVENTS}"))
        remedy = f"name one of those in it, such as {folder / inside[0]}" if inside else "name one of mtsearch run"
        raise RunError(f"{folder}: must be a run folder, but it holds no {EVENTS}; {remedy}")
    try:
        (folder / EVENTS).open("rb").close()
    except OSError as error:
        raise RunError(f"{folder / EVENTS}: must be readable, but got: {error.strerror}") from error


def presence_of(folder: Path, state: RunState, now: float) -> Presence:
    """Whether the driver that the events tell of is there.

    A driver holds a lock, which its end frees however it comes. Where no lock can be seen, its process is looked for
    if it is to be on this machine; of another machine's only its last event tells.
    """
    is_held = is_locked(folder)
    if is_held:
        return "running"
    driver = state.driver
    if driver is None or state.ended is not None:
        return "gone"
    if driver.host == platform.node():
        return "running" if is_held is None and _is_alive(driver.pid) else "gone"
    return "unknown" if now - state.last_time < _QUIET_SECONDS else "gone"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but there
    return True


def _status(folder: Path, state: RunState, now: float) -> RunStatus:
    presence, driver = presence_of(folder, state, now), state.driver
    seconds = state.seconds if presence == "gone" else state.seconds_at(now)
    begun = driver if isinstance(driver, RunStarted) and presence != "gone" else None
    num_done = sum(not trial.is_open for trial in state.feasible)
    has_left = presence == "gone" and state.ended is not None
    return RunStatus(
        folder=folder,
        looked_at=now,
        presence=presence,
        host=driver.host if driver else None,
        pid=driver.pid if driver else None,
        since=driver.time if driver else None,
        dashboard=begun.dashboard if begun else None,
        head=begun.head if begun else None,
        plugins=(state.identity or {}).get("plugins", ()),
        last_event_at=state.last_time if driver else None,
        ended=state.ended.reason if state.ended and has_left else None,
        is_finished=has_left and _is_finished(state),
        target=state.target,
        num_done=num_done,
        counts=state.counts(),
        seconds=seconds,
        budgets={"trials": Budget(num_done, state.target), **_budgets(state, seconds)},
        metric=state.metric,
        best=tuple(_best(state, ranking[0]) for ranking in state.rankings()),
        open_trials=tuple(map(_open_trial, state.open)),
        command=state.command,
    )


def _is_finished(state: RunState) -> bool:
    if state.ended is not None and state.ended.is_finished is not None:
        return state.ended.is_finished
    return not state.open and len(state.feasible) >= state.target


def _budgets(state: RunState, seconds: float) -> dict[str, Budget]:
    used = {
        "time": seconds - state.seconds_granted_from,
        "gpu_hours": (state.gpu_seconds - state.gpu_seconds_granted_from) / 3600,
        "examples": state.examples_seen - state.examples_granted_from,
        "patience": state.unimproved,
        "goal": state.leader.best_score if state.leader else None,
    }
    return {name: Budget(used[name], limit) for name, limit in state.budgets.items() if name in used}


def _best(state: RunState, trial: TrialState) -> BestTrial:
    return BestTrial(
        trial_id=trial.trial_id,
        score=trial.score,
        epoch=trial.best_epoch,
        scores=trial.best_scores,
        params=trial.params,
        is_admissible=state.is_admissible(trial),
        tasks=trial.tasks,
    )


def _open_trial(trial: TrialState) -> OpenTrial:
    return OpenTrial(
        trial_id=trial.trial_id,
        status=trial.status,
        attempts=trial.attempts,
        epoch=trial.epoch,
        score=trial.scores.get(trial.evaluation),
        best_score=trial.best_score,
        heard_at=trial.heard_at,
        node=trial.node,
    )


def follow(folder: Path, observer: Observer, catch_up: Callable[[RunState], None]) -> RunStatus:
    """Tell an observer of what happens to a run until its driver is gone; gives what there is to say then.

    Args:
        folder: the run folder.
        observer: told of every event from now on.
        catch_up: told first what is known of the search by now.

    Raises:
        RunError: it is no run folder, or its events are damaged.
    """
    _require_run(folder)
    reader, state = EventReader(folder), RunState()
    for event in reader.new():
        state.apply(event)
    catch_up(state)
    while True:
        is_gone = presence_of(folder, state, time.time()) == "gone"  # asked first: nothing is written after that
        for event in reader.new():
            state.apply(event)
            observer.on_event(event, state)
        if is_gone:
            return _status(folder, state, time.time())
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def stop(folder: Path, wait: bool = False) -> bool:
    """Ask a run's driver to stop as with Ctrl-C: running trials are interrupted, and can be gone on with.

    Args:
        folder: the run folder.
        wait: until it is gone; else only until it has taken up the request, or some seconds have passed.

    Returns:
        Whether it has taken it up.

    Raises:
        RunError: it is no run folder, no driver runs it, or it cannot be written.
    """
    if look(folder).presence == "gone":
        raise RunError(f"{folder}: stopping needs a driver, but none runs this; mtsearch status {folder} says more")
    try:
        ask_to_stop(folder)
        if wait:
            follow(folder, Observers(), _unheard)
            drop_request(folder)
            return True
    except OSError as error:
        raise RunError(f"{folder}: the run folder must be writable, but got: {error.strerror}") from error
    give_up_at = time.monotonic() + _SECONDS_TO_TAKE_UP
    while is_asked_to_stop(folder) and time.monotonic() < give_up_at:
        time.sleep(_SECONDS_BETWEEN_LOOKS / 5)
    return not is_asked_to_stop(folder)


def _unheard(state: RunState) -> None:
    """Nobody wants to know."""
