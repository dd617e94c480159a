"""Runs a search, new or from where it was left: puts the driver, Ray Tune and the run folder together."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ray import tune
from ray.tune.error import TuneError
from ray.tune.result import DONE
from ray.tune.schedulers import TrialScheduler

from mtsearch.config.rungs import most_evaluations, rungs_of
from mtsearch.config.schedulers import Asha, Pbt
from mtsearch.config.search import SearchConfig
from mtsearch.config.space import SearchSpace
from mtsearch.config.urls import without_passwords
from mtsearch.errors import MtsearchError, RunError
from mtsearch.search.algorithm import Algorithm, Recorder, StopWhenTold
from mtsearch.search.cluster import (
    connected,
    environment,
    find_footprint,
    head_elsewhere,
    is_open_to_all,
    nodes,
    this_machine,
)
from mtsearch.search.copies import Copies
from mtsearch.search.driver import Driver, Footprint, finished_because
from mtsearch.search.events import EVENTS, EventLog, Imported, Retrained, RunEnded, RunStarted, Warned, read_events
from mtsearch.search.extension import Request, extension_of, identity_of, is_finished, refuse_folder
from mtsearch.search.faults import memory_deaths_as_deaths
from mtsearch.search.gauges import Gauges
from mtsearch.search.mirror import StudyMirror
from mtsearch.search.observer import Observer, Observers
from mtsearch.search.population import Population
from mtsearch.search.proposals import JOURNAL, Proposals
from mtsearch.search.readiness import Readiness
from mtsearch.search.replication import is_complete, replicate
from mtsearch.search.results import Tables, write_json, write_text
from mtsearch.search.schedulers import build_judge, build_scheduler
from mtsearch.search.signals import stop_signals
from mtsearch.search.state import RunState
from mtsearch.search.stopping import drop_request, stop_requests
from mtsearch.search.trackers import Tracking
from mtsearch.search.trainings import Death, run_trainings
from mtsearch.search.trial import TOLD, Trial, attempt, train_until
from mtsearch.search.warm_start import read_warm_start
from mtsearch.training.preflight import DataHashes
from mtsearch_analysis.tables import Direction, Status

__all__ = ["FrontTrial", "Outcome", "run_search"]

_PACKAGES = ("mtsearch", "torch", "transformers", "accelerate", "ray", "optuna", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class FrontTrial:
    """A trial on the Pareto front.

    Attributes:
        trial_id: its id.
        values: the objectives at its best evaluation, in their order.
        params: what was chosen for it, by dimension.
    """

    trial_id: str
    values: Sequence[float]
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a search has come to.

    Attributes:
        folder: the run folder.
        best: id of the winner, by the first objective; None if no trial has a score, or no one is best of all.
        score: its best score.
        scores: every metric of it at that evaluation: on dev, or on the holdout where there is one.
        params: what was chosen for it, by dimension.
        objectives: what was searched for, with its direction; the first one says what is best.
        front: the completed trials on the Pareto front, best first; empty with one objective.
        checkpoint: its weights; None if they were not kept.
        retrained: weights of its training on train and dev; None if that was not asked for, or not done.
        counts: how many trials have each status.
        seconds: that drivers have spent on the search.
        reason: why it ended, in words.
        is_finished: False if the next run goes on with it.
        best_of_tasks: id of the best trial of each set of tasks (``pos+ner``), where scores are means over each
            trial's own tasks and several sets were tried: then no one trial is best of all. Empty otherwise.
        constraints: what a winner must keep to.
        nearest: id of the trial with the best score where no trial meets the constraints.
    """

    folder: Path
    best: str | None
    score: float | None
    scores: Mapping[str, float]
    params: Mapping[str, Any]
    objectives: Mapping[str, Direction]
    front: tuple[FrontTrial, ...]
    checkpoint: Path | None
    retrained: Path | None
    counts: Mapping[Status, int]
    seconds: float
    reason: str
    is_finished: bool
    best_of_tasks: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    nearest: str | None = None


def run_search(
    space: SearchSpace,
    folder: Path,
    *,
    data_root: Path | None = None,
    observer: Observer | None = None,
    address: str | None = None,
    space_text: str | None = None,
    extra_trials: int = 0,
    extra_seconds: float = 0.0,
    in_process: bool = False,
    data_hashes: DataHashes | None = None,
    warm_start: Path | None = None,
    num_nodes: int = 1,
    readiness: Readiness | None = None,
    trainable: type[tune.Trainable] = Trial,
) -> Outcome:
    """Run a search, or go on with it: trials that were running are taken up again from their last checkpoints.

    The first Ctrl-C (or SIGTERM, or :mod:`mtsearch.search.stopping`) stops it in good order: running trials are
    interrupted, and all is written.

    Args:
        space: what to search.
        folder: the run folder.
        data_root: ``--data`` or ``MTSEARCH_DATA``; None if neither was given.
        observer: told of every event.
        address: of a Ray cluster; None takes the connection there is, or ``RAY_ADDRESS``, or starts Ray here.
        space_text: the space as it was given, for ``space.yaml``; None writes the resolved one.
        extra_trials: this many more than the search had when it was last finished, or than the space asks for.
        extra_seconds: this much more time than it had taken when its time was last spent, or than the space grants.
        in_process: train one trial after the other in this process, without Ray, each to its end.
        data_hashes: what data there is, from :func:`mtsearch.training.preflight.preflight`; None takes
            the first trial's word for it.
        warm_start: an earlier run's folder, whose results a new search takes over; a search that has begun has them.
        num_nodes: so many must have joined the cluster first.
        readiness: what is looked for on its other nodes before the first trial; None looks for nothing.
        trainable: what runs a trial, and says of it what :class:`mtsearch.search.trial.Trial` says.

    Raises:
        RunError: the folder belongs to a finished search, to another space, to another driver, or to something else;
            or the search cannot start from the earlier run; or the database of ``search.storage`` does not answer, or
            holds another run's study of that name.
        ResourceError: no machine has room for a trial, Ray cannot be reached, or nodes are missing or lack something.
        ConfigError: the trial scheduler cannot decide anything, or the space is all but infeasible.
        DataError: the data has changed since the search began.
    """
    folder = folder.resolve()
    refuse_folder(folder)
    scheduler = space.search.scheduler
    is_new = not (folder / EVENTS).is_file()
    # Before the folder is made: what cannot be started from shall leave none behind.
    imported = read_warm_start(warm_start, space, data_hashes or {}) if warm_start is not None and is_new else None
    with EventLog(folder) as log:
        drop_request(folder)
        tables = Tables(folder, space.objectives, space.search.scored_tasks, space.plugins)
        state = RunState()
        for event in read_events(folder):
            state.apply(event)
            tables.add(event)
        imported = imported or _imported(warm_start, space, folder, state, data_hashes or {})
        population = Population(scheduler, space, folder, state) if isinstance(scheduler, Pbt) else None
        ray_scheduler = build_scheduler(population or build_judge(scheduler, most_evaluations(space), state), state)
        extension = extension_of(space, folder, state, Request(extra_trials, extra_seconds, in_process))
        run_id = state.run_id or uuid.uuid4().hex
        warnings: SimpleQueue[str] = SimpleQueue()
        mirror = _mirror(space, folder, run_id, warnings)
        say = readiness.say if readiness is not None else None
        with nullcontext() if in_process else connected(address, num_nodes, say) as dashboard:
            machines = [this_machine()] if in_process else _machines_of_ray(warnings.put)
            target = space.num_trials(extension.extra)
            footprint = find_footprint(space.resources, machines, target, space.search.concurrency)
            if readiness is not None:
                readiness.check(folder, footprint)
            if not state.trials:
                given = space_text if space_text is not None else space.to_yaml()
                write_text(folder / "space.yaml", without_passwords(given))
            write_text(folder / "resolved.yaml", space.to_yaml())
            surroundings = _environment(space, footprint, machines)
            surroundings["data_root"] = str(data_root) if data_root else None
            write_json(folder / "environment.json", {**surroundings, "data": _data(state)})
            started = RunStarted(
                time=time.time(),
                identity=identity_of(space),
                trials=target,
                **asdict(extension),
                rungs=rungs_of(space),
                rung_unit=scheduler.unit if isinstance(scheduler, Asha) else "evaluations",
                host=platform.node(),
                pid=os.getpid(),
                versions=surroundings["versions"],
                dashboard=dashboard,
                head=None if in_process else head_elsewhere(),
                scores_own_tasks=space.search.scores_own_tasks,
                constraints=space.search.constraints,
                run_id=run_id,
                metric=space.search.primary,
                budgets=_budgets(space, extension.extra_seconds),
                command="train" if in_process else "run",
            )
            # Optuna's study is made of the trials before this driver; the event adds none.
            with ExitStack() as leaving:
                proposals = leaving.enter_context(closing(Proposals(space, state, folder / JOURNAL, mirror)))
                gauges = None if in_process else leaving.enter_context(Gauges(folder.name))
                observers = Observers(observer, gauges)
                driver = Driver(
                    space,
                    folder,
                    state,
                    log,
                    proposals,
                    tables,
                    observers,
                    footprint,
                    data_root,
                    data_hashes or {},
                    population,
                    warnings,
                )
                leaving.callback(driver.record_warnings)
                if mirror is not None:
                    mirror.begin()
                    leaving.callback(mirror.close)
                driver.record(started)
                if imported is not None:
                    driver.record(imported)
                    proposals.observe(imported)
                if space.search.copy_to is not None:
                    leaving.callback(Copies(folder, space.search.copy_to, warnings.put).close)
                leaving.enter_context(Tracking(folder, space.search.trackers, warnings.put))
                try:
                    with stop_signals(driver.stop) as signals, stop_requests(folder, _to(signals, driver)):
                        if finished_because(state, space) is None and in_process:
                            _train_in_turn(driver)
                        elif finished_because(state, space) is None:
                            _tune(driver, ray_scheduler, folder, footprint.concurrency, trainable)
                        if (
                            space.search.retrain_best
                            and not in_process
                            and finished_because(state, space)
                            and not signals
                        ):
                            _retrain(driver, space.search, folder, signals)
                        asked = space.search.replicate
                        if (
                            asked is not None
                            and not in_process
                            and finished_because(state, space)
                            and not signals
                            and not is_complete(state, space)
                        ):
                            most = asked.top * asked.seeds
                            replicate(
                                state,
                                space,
                                folder,
                                asked,
                                record=driver.record,
                                footprint=find_footprint(space.resources, machines, most, space.search.concurrency),
                                data_root=data_root,
                                data_hashes=data_hashes or {},
                                interrupted=signals,
                            )
                        reason = signals[0] if signals else finished_because(state, space) or "the search was stopped"
                    ended = RunEnded(time=time.time(), reason=reason, is_finished=is_finished(state, space))
                    driver.record(ended)
                except MtsearchError as error:
                    with suppress(MtsearchError):  # where the disk is full, that is all there is to say
                        driver.record(RunEnded(time=time.time(), reason=str(error), is_finished=False))
                    raise
                finally:
                    with suppress(OSError) if driver.fault is not None else nullcontext():  # which says more
                        tables.refresh(state, now=True)
                        write_json(folder / "environment.json", {**surroundings, "data": _data(state)})
        return _outcome(folder, state, space, reason)


def _machines_of_ray(warn: Callable[[str], None]) -> list[dict[str, float]]:
    """The resources of each; warns where whoever reaches them may use them, unless that is wanted."""
    if is_open_to_all() and "RAY_AUTH_MODE" not in os.environ:
        warn(
            "this Ray cluster asks nobody for a token: whoever reaches its ports runs code as you; start it with "
            "RAY_AUTH_MODE=token"
        )
    return nodes()


def _to(signals: list[str], driver: Driver) -> Callable[[str], None]:
    """What a request to stop does: the same as a signal."""

    def stop(reason: str) -> None:
        signals.append(reason)
        driver.stop(reason)

    return stop


def _budgets(space: SearchSpace, extra_seconds: float) -> dict[str, float]:
    search = space.search
    budgets = {
        "time": None if search.time is None else search.time + extra_seconds,
        "gpu_hours": search.gpu_hours,
        "examples": search.examples,
        "patience": search.patience,
        "goal": search.goal,
    }
    return {name: budget for name, budget in budgets.items() if budget is not None}


def _mirror(space: SearchSpace, folder: Path, run_id: str, warnings: SimpleQueue[str]) -> StudyMirror | None:
    if space.search.storage is None:
        return None
    return StudyMirror(space.search.storage, folder.name, space.objectives.values(), run_id, warnings.put)


def _imported(
    warm_start: Path | None, space: SearchSpace, folder: Path, state: RunState, data_hashes: DataHashes
) -> Imported | None:
    """What is to be taken over from an earlier run; None if nothing is, or it was when this search began."""
    if warm_start is None or state.imported is not None:
        return None
    if state.trials:
        raise RunError(
            f"--from: only a new search can start from an earlier one, but {folder} has trials; choose another --name"
        )
    return read_warm_start(warm_start, space, data_hashes)


def _tune(
    driver: Driver, scheduler: TrialScheduler, folder: Path, concurrency: int, trainable: type[tune.Trainable]
) -> None:
    """Have Ray run what the driver hands out, until there is nothing left or the driver wants to stop."""
    scratch = folder / ".ray"  # what Ray insists on writing; nothing there is ever read
    settings = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a diverged trial reports no score
        "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
        "TUNE_MAX_PENDING_TRIALS_PG": str(concurrency),  # else actors start one after the other
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    }
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with environment(settings), _quiet("ray.tune", "ray.train"), memory_deaths_as_deaths():
            # Not Tuner, which is the same behind a pickle of all that it is given and a grid of results in memory.
            tune.run(
                trainable,
                name="tune",
                storage_path=str(scratch),
                search_alg=Algorithm(driver),
                scheduler=scheduler,
                stop=StopWhenTold(driver),
                callbacks=[Recorder(driver)],
                reuse_actors=True,
                raise_on_failed_trial=False,
                verbose=0,
            )
    except TuneError as error:
        raise driver.fault or error from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    driver.interrupt()
    if driver.fault is not None:
        raise driver.fault


def _train_in_turn(driver: Driver) -> None:
    """Run what the driver hands out, one trial after the other, in this process."""
    while (found := driver.next_trial()) is not None:
        trial_id, assignment = found
        with closing(attempt(assignment)) as results:
            for result in results:
                driver.result(trial_id, result)
                if driver.must_stop and not result.get(DONE):
                    break
            else:
                driver.ended(trial_id)
    driver.interrupt()
    if driver.fault is not None:
        raise driver.fault


def _retrain(driver: Driver, search: SearchConfig, folder: Path, interrupted: Sequence[str]) -> None:
    """Train the winner once more, on train and dev, for as many evaluations as its best score took.

    A schedule of updates is that of the search; ``plateau`` may cut later, since dev is now trained on.
    """
    winner = driver.state.winner()
    if winner is None:
        return
    training = {**winner.config["training"], "early_stopping_patience": None}
    assignment = replace(
        driver.assignment(winner),
        place=f"retrained/{winner.trial_id}",
        config={**winner.config, "training": training},
        train_on=("train", "dev"),
    )
    failed = f"{folder / 'retrained'}: training the winner {winner.trial_id} once more failed"

    def warn(trial_id: str, text: str) -> None:
        driver.record(Warned(time=time.time(), text=f"training the winner {trial_id} once more: {text}"))

    once = [(winner.trial_id, assignment)]
    until_then = partial(train_until, evaluation=winner.best_evaluation)
    for trial_id, last in run_trainings(until_then, once, search, 1, interrupted, warn):
        if isinstance(last, Death):
            raise RunError(f"{failed}: {last.reason}; the same command tries it again")
        if TOLD not in last:
            raise RunError(f"{failed}: {last['reason']}")
        checkpoint = json.loads(last[TOLD])["checkpoint"]
        driver.record(Retrained(time=time.time(), trial_id=trial_id, checkpoint=checkpoint))


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Have these loggers say nothing for a while: what went wrong is told in our words, once."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _environment(space: SearchSpace, footprint: Footprint, machines: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What the run runs on, for ``environment.json``."""
    installed = {distribution.name.lower() for distribution in importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES if name in installed}
    training = space.default.tree["training"]
    return {
        "versions": {"python": platform.python_version(), **versions},
        "git": _git(),
        "command": [without_passwords(argument) for argument in sys.argv],
        "hardware": {
            "host": platform.node(),
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "machines": [
                {"cpus": m.get("CPU", 0), "gpus": m.get("GPU", 0), "memory_bytes": m.get("memory", 0)} for m in machines
            ],
        },
        "resources": asdict(footprint),
        "seeds": {"search": space.search.seed, "training": training["seed"]},
    }


def _git() -> dict[str, Any] | None:
    """The commit of the working directory, and whether anything in it is changed; None where there is no repository."""

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {
            "commit": ask("rev-parse", "HEAD"),
            "is_changed": bool(ask("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def _data(state: RunState) -> dict[str, Any]:
    return {task: found for trial in state.trials.values() for task, found in trial.data.items()}


def _outcome(folder: Path, state: RunState, space: SearchSpace, reason: str) -> Outcome:
    winner, rankings = state.winner(), state.rankings()
    checkpoint = folder / winner.best_checkpoint if winner and winner.best_checkpoint else None
    return Outcome(
        folder=folder,
        best=winner.trial_id if winner else None,
        score=winner.best_score if winner else None,
        scores=winner.best_scores if winner else {},
        params=winner.params if winner else {},
        objectives=space.objectives,
        front=tuple(
            FrontTrial(trial.trial_id, trial.objective_values(space.objectives), trial.params)
            for trial in state.front(space.objectives)
        ),
        checkpoint=checkpoint if checkpoint and checkpoint.is_dir() else None,
        retrained=folder / state.retrained if state.retrained else None,
        counts=state.counts(),
        seconds=state.seconds,
        reason=reason,
        is_finished=is_finished(state, space),
        best_of_tasks={ranking[0].tasks: ranking[0].trial_id for ranking in rankings} if len(rankings) > 1 else {},
        constraints=tuple(map(str, state.constraints)),
        nearest=rankings[0][0].trial_id if winner is None and len(rankings) == 1 else None,
    )
