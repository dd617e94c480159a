"""Replication: the best configs of a search trained with other seeds, and only then scored on test.

A search reports the highest of many noisy scores, on the dev split that chose it. What a config is worth is seen by
training it anew with seeds that the search never saw, by the rule of any trial: to its end, and its best evaluation on
dev is what counts. That one checkpoint is scored on test, which nothing before has looked at.

Compared are the best configs and the point that the search started from; then, on each task of whichever is the best of
them on dev, that task trained alone with otherwise the same config. All have the same seeds, so that they are compared
pair by pair (:mod:`mtsearch_analysis.replication`). Every finished training is an event: whoever goes on does what is
missing, and tries again what failed by no fault of its own.

Where the search has a holdout, trainings have the same one: they see of dev what the trials saw, their best evaluation
is chosen on it, and what is told of dev is of that part. The holdout itself is not told: it has chosen these configs.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean
from typing import Any

from mtsearch.config.search import Replicate
from mtsearch.config.space import Infeasible, SearchSpace
from mtsearch.errors import DataError, MtsearchError, RunError
from mtsearch.search.cluster import connected, find_footprint, nodes
from mtsearch.search.copies import Copies
from mtsearch.search.driver import Footprint
from mtsearch.search.events import (
    EVENTS,
    Event,
    EventLog,
    Replicated,
    ReplicationStarted,
    RunEnded,
    StopStatus,
    Warned,
    read_events,
)
from mtsearch.search.faults import Cause, cause_of, reason_of
from mtsearch.search.links import refuse_links
from mtsearch.search.observer import Observer
from mtsearch.search.readiness import Readiness
from mtsearch.search.results import Tables, write_config
from mtsearch.search.signals import stop_signals
from mtsearch.search.state import RunState, TrialState
from mtsearch.search.stopping import drop_request, stop_requests
from mtsearch.search.trainings import Death, run_trainings
from mtsearch.search.trial import TOLD, Assignment, attempts
from mtsearch.training.preflight import DataHashes
from mtsearch.training.report import Objective

__all__ = [
    "Contestant",
    "Replication",
    "contestants",
    "fresh_seeds",
    "is_complete",
    "replicate",
    "replicate_run",
    "singles",
    "train_and_score",
]

_FIRST_SEED = 101
_TOLD_FILE = "told.jsonl"
_PASSING: frozenset[Cause] = frozenset({"surroundings", "disk"})


@dataclass(frozen=True)
class Replication:
    """What replicating has come to.

    Attributes:
        folder: the run folder, with the table of what was trained.
        stopped: why not all is done, in words; None if it is.
    """

    folder: Path
    stopped: str | None


@dataclass(frozen=True)
class Contestant:
    """A config that is compared, without its seed.

    Attributes:
        config_id: as in :class:`mtsearch.search.events.Replicated`, as are ``trial_id`` and ``alone``.
        config: as JSON values.
        rank: of its trial in the search, from 1; None if it is not among the best.
        is_start: whether the search started from it.
        micro_batch_size: as in :class:`mtsearch.search.trial.Assignment`.
    """

    config_id: str
    trial_id: str | None
    config: Mapping[str, Any]
    rank: int | None = None
    is_start: bool = False
    alone: str | None = None
    micro_batch_size: int | None = None

    def with_seed(self, seed: int) -> dict[str, Any]:
        """Its config for a training."""
        return {**self.config, "training": {**self.config["training"], "seed": seed}}

    def objective(self, space: SearchSpace) -> Objective:
        """What its trainings are for: of a task alone the search's objective if it is that task's, else its score."""
        whole = Objective.of(space.search)
        if self.alone is None:
            return whole
        metric = whole.metric if whole.metric.startswith(f"{self.alone}.") else "mean_score"
        return Objective(metric, holdout_ratio=whole.holdout_ratio)


def contestants(state: RunState, space: SearchSpace, top: int) -> list[Contestant]:
    """The best configs, each once however many trials have it with other seeds; and the start point.

    Where any trial meets the constraints, those that break them are not among the best.

    The start point is the first of ``search.start``, or without one the space's defaults.

    Args:
        state: what is known of the search.
        space: that was searched.
        top: how many of the best; where sets of tasks are not compared, of each set.
    """
    found: dict[str, Contestant] = {}
    for ranking in state.rankings():
        rank = 0
        for trial in list(filter(state.is_admissible, ranking)) or ranking:
            if rank < top and (key := _without_seed(trial.config)) not in found:
                rank += 1
                found[key] = replace(_of(trial), rank=rank)
    start = _start_point(state, space)
    if start is not None:
        key = _without_seed(start.config)
        found[key] = replace(found.get(key, start), is_start=True)
    return list(found.values())


def _start_point(state: RunState, space: SearchSpace) -> Contestant | None:
    first = next((trial for trial in state.feasible if trial.start == 0), None)
    if first is not None and space.search.start:  # else it is one of an earlier run's best
        return _of(first)
    given = next(iter(space.start_params()), {})
    try:
        config = space.config(space.draw(lambda dimension: given.get(dimension.name, dimension.domain.middle)))
    except Infeasible:
        return None
    plain = config.model_dump(mode="json")
    same = (trial for trial in state.feasible if _without_seed(trial.config) == _without_seed(plain))
    trial = next(same, None)
    return Contestant("start", None, plain) if trial is None else _of(trial)


def _of(trial: TrialState) -> Contestant:
    return Contestant(trial.trial_id, trial.trial_id, trial.config, micro_batch_size=trial.micro_batch_size)


def singles(of: Contestant) -> list[Contestant]:
    """Each task of a config alone; none if it has but one."""
    tasks = of.config["tasks"]
    if len(tasks) < 2:
        return []
    return [
        replace(
            of,
            config_id=f"{of.config_id}/{task}",
            config={**of.config, "tasks": {task: kind}},
            rank=None,
            is_start=False,
            alone=task,
        )
        for task, kind in tasks.items()
    ]


def fresh_seeds(state: RunState, number: int) -> list[int]:
    """So many training seeds, the same ones each time, that no trial of the search has."""
    seen = {trial.config["training"]["seed"] for trial in state.feasible}
    return list(itertools.islice((seed for seed in itertools.count(_FIRST_SEED) if seed not in seen), number))


def is_complete(state: RunState, space: SearchSpace) -> bool:
    """Whether all that the space asks to replicate is done, or nothing can be."""
    asked = space.search.replicate
    return asked is None or not state.rankings() or not any(_missing(state, space, asked))


def _missing(state: RunState, space: SearchSpace, asked: Replicate) -> Iterator[list[tuple[Contestant, int]]]:
    """What is still to be trained: first the whole configs; once those are done the tasks of the best of them alone."""
    seeds = fresh_seeds(state, asked.seeds)
    whole = contestants(state, space, asked.top)
    if missing := _not_done(state, whole, seeds):
        yield missing
    if asked.singles:
        alone = [single for winner in _winners(state, space, whole, seeds) for single in singles(winner)]
        if missing := _not_done(state, alone, seeds):
            yield missing


def _not_done(state: RunState, of: Sequence[Contestant], seeds: Sequence[int]) -> list[tuple[Contestant, int]]:
    # Seed by seed, so that what was interrupted can be compared.
    pairs = itertools.product(seeds, of)
    return [(one, seed) for seed, one in pairs if not _is_done(state.replications.get((one.config_id, seed)))]


def _is_done(replicated: Replicated | None) -> bool:
    return replicated is not None and not replicated.may_pass


def _winners(
    state: RunState, space: SearchSpace, whole: Sequence[Contestant], seeds: Sequence[int]
) -> Iterator[Contestant]:
    """The best on dev, over the seeds; of each set of tasks, where those are not compared.

    Those that meet the constraints with half of their seeds or more come before all others.
    """
    contests: dict[str, list[tuple[bool, float, Contestant]]] = {}
    for one in whole:
        done = (state.replications.get((one.config_id, seed)) for seed in seeds)
        found = [each.dev for each in done if each is not None and each.dev]
        if one.rank is not None and found:
            is_admissible = fmean(map(state.meets_constraints, found)) >= 0.5
            score = fmean(scores[space.search.primary] for scores in found)
            contest = "+".join(one.config["tasks"]) if state.scores_own_tasks else ""
            contests.setdefault(contest, []).append((is_admissible, score, one))
    for scored in contests.values():
        yield max(scored, key=lambda row: row[:2])[2]


def replicate_run(
    space: SearchSpace,
    folder: Path,
    asked: Replicate,
    *,
    data_root: Path | None = None,
    data_hashes: DataHashes | None = None,
    observer: Observer | None = None,
    address: str | None = None,
    readiness: Readiness | None = None,
) -> Replication:
    """Replicate the best of a run that is there, or go on with it; the search itself is left as it is.

    The first Ctrl-C (or SIGTERM, or :mod:`mtsearch.search.stopping`) stops it in good order.

    Args:
        space: that was searched.
        folder: the run folder.
        asked: how much to do.
        data_root: as for a search.
        data_hashes: of the data that was found before.
        observer: told of every event.
        address: of a Ray cluster; None takes the connection there is, or ``RAY_ADDRESS``, or starts Ray here.
        readiness: what is looked for on its other nodes first; None looks for nothing.

    Raises:
        RunError: the folder is no run, another driver has it, no trial has a score, or one of the best went on from
            another trial's checkpoint.
        ResourceError: no machine has room for a training, Ray cannot be reached, or a node lacks something.
        DataError: the data is not that of the search.
    """
    folder = folder.resolve()
    if not (folder / EVENTS).is_file():
        raise RunError(f"{folder}: must be a run folder, but it holds no {EVENTS}; name one that mtsearch run has made")
    refuse_links(folder)
    with EventLog(folder) as log:
        drop_request(folder)
        tables = Tables(folder, space.objectives, space.search.scored_tasks, space.plugins)
        state = RunState()
        for event in read_events(folder):
            state.apply(event)
            tables.add(event)
        if not state.rankings():
            raise RunError(f"{folder}: replicating needs a trial with a score, but no trial has one yet; run it first")
        _refuse_lineage(folder, state, contestants(state, space, asked.top))

        def record(event: Event) -> None:
            log.append(event)
            state.apply(event)
            tables.add(event)
            if observer is not None:
                observer.on_event(event, state)
            tables.refresh(state)

        warnings: SimpleQueue[str] = SimpleQueue()

        def record_warnings() -> None:
            while not warnings.empty():
                record(Warned(time=time.time(), text=warnings.get()))

        with (
            connected(address),
            stop_signals(_unheard) as signals,
            stop_requests(folder, signals.append),
            ExitStack() as leaving,
        ):
            footprint = find_footprint(space.resources, nodes(), asked.top * asked.seeds, space.search.concurrency)
            if readiness is not None:
                readiness.check(folder, footprint)
            leaving.callback(record_warnings)
            if space.search.copy_to is not None:
                leaving.callback(Copies(folder, space.search.copy_to, warnings.put).close)
            leaving.callback(tables.refresh, state, now=True)
            with _end_told(state, record, lambda: signals[0] if signals else _failed_for_now(state)):
                replicate(
                    state,
                    space,
                    folder,
                    asked,
                    record=record,
                    footprint=footprint,
                    data_root=data_root,
                    data_hashes=data_hashes or {},
                    interrupted=signals,
                )
        return Replication(folder, signals[0] if signals else _failed_for_now(state))


@contextmanager
def _end_told(state: RunState, record: Callable[[Event], None], stopped: Callable[[], str | None]) -> Iterator[None]:
    """Write at the end that the driver has left; where the search itself has not ended, that is what there is to say.

    Args:
        state: what is known of the search.
        record: writes an event.
        stopped: why not all is done, in words; None if it is.
    """
    search_ended = state.ended

    def tell(reason: str) -> None:
        if search_ended is not None:
            record(RunEnded(time=time.time(), reason=reason, is_finished=search_ended.is_finished))

    try:
        yield
    except MtsearchError as error:
        with suppress(MtsearchError):  # where the disk is full, that is all there is to say
            tell(str(error))
        raise
    tell(stopped() or "what was asked for is replicated")


def _refuse_lineage(folder: Path, state: RunState, best: Sequence[Contestant]) -> None:
    for one in best:
        parent = None if one.trial_id is None else state.trials[one.trial_id].parent
        if parent is not None:
            raise RunError(
                f"{folder}: what is replicated must have come of one config, but {one.trial_id}, one of the best, went "
                f"on from {parent} under pbt; search near its config with another trial scheduler, and replicate that"
            )


def _failed_for_now(state: RunState) -> str | None:
    number = sum(replicated.may_pass for replicated in state.replications.values())
    if not number:
        return None
    return f"{number} training{'s' if number > 1 else ''} failed by no fault of {'their' if number > 1 else 'its'} own"


def _unheard(reason: str) -> None:
    """What is stopped looks at the signals itself."""


def replicate(
    state: RunState,
    space: SearchSpace,
    folder: Path,
    asked: Replicate,
    *,
    record: Callable[[Event], None],
    footprint: Footprint,
    data_root: Path | None,
    data_hashes: DataHashes,
    interrupted: Sequence[str],
) -> None:
    """Train what is missing, by tasks of the Ray that is connected; what was stopped goes on from its checkpoint.

    Weights are deleted once they are scored: what stays are numbers, configs and logs.

    Args:
        state: what is known of the search; changed by ``record``.
        space: that was searched.
        folder: the run folder, absolute.
        asked: how much to do.
        record: writes an event, and takes it in.
        footprint: what a training holds, and how many run at a time.
        data_root: as for a trial.
        data_hashes: of the data that was found here.
        interrupted: filled when this is to stop; what runs is cancelled then.

    Raises:
        DataError: the data is not that of the search.
    """
    known = {**data_hashes, **_hashes(state)}
    for key, found in data_hashes.items():
        _check_data(key, known[key], found, "the data found here")
    for (config_id, seed), replicated in state.replications.items():
        if _is_done(replicated):
            _delete_weights(folder / _place(config_id, seed))
    whole = contestants(state, space, asked.top)
    start = next((one.config_id for one in whole if one.is_start), None)
    ranks = {one.config_id: one.rank for one in whole if one.rank is not None}
    host, pid = platform.node(), os.getpid()
    record(ReplicationStarted(time=time.time(), ranks=ranks, start=start, host=host, pid=pid))

    def warn(which: tuple[Contestant, int], text: str) -> None:
        one, seed = which
        record(Warned(time=time.time(), text=f"{one.config_id} with seed {seed}: {text}"))

    for missing in _missing(state, space, asked):
        assignments = (
            ((one, seed), _assignment(one, seed, space, folder, footprint, data_root)) for one, seed in missing
        )
        for (one, seed), last in run_trainings(
            train_and_score, assignments, space.search, footprint.concurrency, interrupted, warn
        ):
            if isinstance(last, Death):
                last = _ended("failed", last.reason, may_pass=last.cause in _PASSING)
            for task, found in last["data"].items():
                key = task, json.dumps(one.config["tasks"][task]["data"], sort_keys=True)
                _check_data(key, known.setdefault(key, found["hash"]), found["hash"], found["where"])
            replicated = Replicated(
                time=time.time(),
                config_id=one.config_id,
                trial_id=one.trial_id,
                alone=one.alone,
                config=one.with_seed(seed),
                seed=seed,
                gpus=footprint.gpus,
                **{name: value for name, value in last.items() if name != "data"},
            )
            record(replicated)
            if _is_done(replicated):
                _delete_weights(folder / _place(one.config_id, seed))
        if interrupted:
            return


def _assignment(
    one: Contestant, seed: int, space: SearchSpace, folder: Path, footprint: Footprint, data_root: Path | None
) -> Assignment:
    """What a worker is to do, whose config is written first."""
    config, place = one.with_seed(seed), _place(one.config_id, seed)
    write_config(folder / place, config)
    return Assignment(
        run_folder=str(folder),
        place=place,
        config={**config, "plugins": list(space.plugins)},  # no code but what was named
        data_root=str(data_root) if data_root else None,
        cpus=footprint.cpus,
        gpus=footprint.gpus,
        workers=footprint.workers,
        objective=one.objective(space),
        micro_batch_size=one.micro_batch_size,
    )


def train_and_score(assignment: Assignment) -> Iterator[dict[str, Any]]:
    """Run a training to its end, and score its best evaluation on test; in a worker.

    Gives what is said of the training, and last the values of :class:`mtsearch.search.events.Replicated` from
    ``status`` on, with ``data`` as a trial tells it.
    """
    place = Path(assignment.run_folder) / assignment.place
    told_file = place / _TOLD_FILE
    data: dict[str, dict[str, str]] = {}
    result: dict[str, Any] = {}
    try:
        with closing(attempts(assignment)) as results:
            for result in results:
                if result["outcome"] == "started":
                    told_file = place / f"attempt-{result['attempt']}" / _TOLD_FILE
                elif TOLD in result:
                    # An attempt that goes on from a checkpoint tells that one alone of those before it.
                    with told_file.open("a", encoding="utf-8") as file:
                        file.write(result[TOLD] + "\n")
                    data = json.loads(result[TOLD])["data"] or data
                yield result
        yield _scored(assignment, result, data)
    except Exception as error:
        yield _failed(error)


def _scored(assignment: Assignment, result: Mapping[str, Any], data: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What a training has come to whose last word is ``result``."""
    from mtsearch.training.scoring import score
    from mtsearch.training.trained import TrainedModel

    if result["outcome"] == "failed":
        return _ended("failed", result["reason"], may_pass=result["cause"] in _PASSING)
    told = _told(Path(assignment.run_folder) / assignment.place)
    last = told[max(told)]["report"]
    ended = _ended(
        "completed" if result["outcome"] == "finished" else "diverged",
        result["reason"],
        evaluations=sum(bool(each["report"]["scores"]) for each in told.values()),
        seconds=last["seconds"],
        data=data,
    )
    best = told.get(last["best_evaluation"])
    if best is None:
        return ended
    try:
        model = TrainedModel(
            Path(assignment.run_folder) / best["checkpoint"],
            "cuda" if assignment.gpus else "cpu",
            assignment.config["plugins"],
        )
        scores = score(model, "test", (), Path(assignment.data_root) if assignment.data_root else None)
    except MtsearchError as error:
        return _failed(error, "its best evaluation could not be scored: ")
    main = {task: next(iter(metrics.values())) for task, metrics in scores.metrics.items()}
    scored = [main[task] for task in assignment.objective.scored_tasks or assignment.config["tasks"] if task in main]
    test = {f"{task}.{name}": value for task, metrics in scores.metrics.items() for name, value in metrics.items()}
    overall = {"mean_score": fmean(scored), "worst_task": min(scored)} if scored else {}
    return {
        **ended,
        "best_epoch": best["report"]["epoch"],
        "dev": best["report"]["scores"],
        "test": overall | {name: value for name, value in test.items() if not name.endswith(".loss")},
        "without_test": "; ".join(scores.left_out),
    }


def _failed(error: Exception, doing: str = "") -> dict[str, Any]:
    return _ended("failed", f"{doing}{reason_of(error)}", may_pass=cause_of(error) in _PASSING)


def _ended(
    status: StopStatus,
    reason: str,
    *,
    evaluations: int = 0,
    seconds: float = 0.0,
    data: Mapping[str, Mapping[str, str]] | None = None,
    may_pass: bool = False,
) -> dict[str, Any]:
    """What a training without a score came to."""
    return {
        "status": status,
        "reason": reason,
        "evaluations": evaluations,
        "best_epoch": None,
        "seconds": seconds,
        "dev": {},
        "test": {},
        "without_test": "",
        "data": data or {},
        "may_pass": may_pass,
    }


def _told(place: Path) -> dict[int, dict[str, Any]]:
    """What all attempts of a training told, by evaluation; a line that a kill cut off is told again by the next."""
    told = {}
    for file in sorted(place.glob(f"attempt-*/{_TOLD_FILE}"), key=lambda file: int(file.parent.name.split("-")[1])):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                each = json.loads(line)
            except ValueError:
                continue
            told[each["report"]["evaluation"]] = each
    return told


def _place(config_id: str, seed: int) -> str:
    return f"replications/{config_id}/seed-{seed}"


def _delete_weights(place: Path) -> None:
    for checkpoints in place.glob("attempt-*/checkpoints"):
        shutil.rmtree(checkpoints, ignore_errors=True)


def _without_seed(config: Mapping[str, Any]) -> str:
    training = {name: value for name, value in config["training"].items() if name != "seed"}
    return json.dumps({**config, "training": training, "name": ""}, sort_keys=True)


def _hashes(state: RunState) -> DataHashes:
    """Of the data that the search saw."""
    return {
        (task, json.dumps(trial.config["tasks"][task]["data"], sort_keys=True)): found["hash"]
        for trial in state.feasible
        for task, found in trial.data.items()
    }


def _check_data(key: tuple[str, str], known: str, found: str, where: str) -> None:
    if known != found:
        raise DataError(
            f"{where}: tasks.{key[0]}: replications must see the data of the search ({known}), but it is now {found}; "
            "restore the files, or name their folder with --data"
        )
