"""The driver's decisions, without Ray: which trial is next, what is written of each, and when the search is over.

Whatever happens is first written as an event, then taken into the state, then told to Optuna, the tables and the
observer.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mtsearch.config.rungs import bracket_of, rungs_of
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError, DataError, MtsearchError, RunError
from mtsearch.search.events import (
    Event,
    EventLog,
    Infeasible,
    Reported,
    Retried,
    Started,
    Stopped,
    StopStatus,
    Suggested,
    Warned,
)
from mtsearch.search.faults import Cause, halved
from mtsearch.search.observer import Observer
from mtsearch.search.population import Population
from mtsearch.search.proposals import Proposal, Proposals, trial_name
from mtsearch.search.results import Tables, retain, retain_attempt, write_trial_config
from mtsearch.search.silence import Silence
from mtsearch.search.state import RunState, TrialState
from mtsearch.search.trial import TOLD, Assignment
from mtsearch.training.preflight import DataHashes
from mtsearch.training.report import Objective

__all__ = ["Driver", "Footprint", "enough_trials", "finished_because", "goal_reached", "over"]

_MOST_INFEASIBLE_IN_A_ROW = 100
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 2.0, 60.0


@dataclass(frozen=True)
class Footprint:
    """What a trial holds, and how many find room.

    Attributes:
        cpus: cores, and threads, of all its workers together.
        gpus: of all its workers together; a fraction shares one.
        concurrency: trials at a time.
        workers: processes.
    """

    cpus: int
    gpus: float
    concurrency: int
    workers: int = 1


def over(state: RunState, space: SearchSpace, now: float | None = None) -> str | None:
    """Why running trials are to be stopped, in words: the time is up, or the goal is reached; None if they are not.

    Args:
        state: what is known of the search.
        space: with its budgets.
        now: seconds since 1970; None for the time of the last event.
    """
    seconds = (state.seconds if now is None else state.seconds_at(now)) - state.seconds_granted_from
    if space.search.time is not None and seconds >= (budget := space.search.time + state.extra_seconds):
        return f"the time budget of {budget:g} s is spent"
    return goal_reached(state, space)


def goal_reached(state: RunState, space: SearchSpace) -> str | None:
    """That a trial has come to ``search.goal``, in words; None if none has."""
    goal, leader = space.search.goal, state.leader
    if goal is None or leader is None or not state.is_admissible(leader) or leader.score < goal:
        return None
    return f"the goal of {goal:g} is reached: {leader.trial_id} has {leader.score:.4f}"


def enough_trials(state: RunState, space: SearchSpace) -> str | None:
    """Why no further trial is to be suggested, in words; None if one is. Running ones go on."""
    budget = space.search.gpu_hours
    if budget is not None and (state.gpu_seconds - state.gpu_seconds_granted_from) / 3600 >= budget:
        return f"the budget of {budget:g} GPU hours is spent"
    examples = space.search.examples
    if examples is not None and state.examples_seen - state.examples_granted_from >= examples:
        return f"the budget of {examples:,} examples is spent"
    if space.search.patience is not None and state.unimproved >= space.search.patience:
        return f"{state.unimproved} trials in a row have not come to a better score"
    if space.grid_size is not None and len(state.trials) >= space.grid_size:
        one = space.grid_size == 1
        return "the grid's one point is tried" if one else f"all {space.grid_size} points of the grid are tried"
    if len(state.trials) < state.target or len(state.feasible) < state.target:  # the first spares counting them
        return None
    return "the one trial is done" if state.target == 1 else f"all {state.target} trials are done"


def finished_because(state: RunState, space: SearchSpace) -> str | None:
    """Why nothing is left to run, in words; None if something is."""
    return over(state, space) or (None if state.open else enough_trials(state, space))


class Driver:
    """Hands out trials and takes in what becomes of them.

    Args:
        space: to search.
        folder: the run folder, absolute.
        state: what is known of the search, its ``run_started`` taken in.
        log: the run's events.
        proposals: the study.
        tables: of the run folder.
        observer: told of every event.
        footprint: what a trial holds.
        data_root: of the trials.
        data_hashes: of the data that was found before the first trial; every trial must see the same.
        population: under population based training, what knows who takes a stopped trial's place.
        warnings: what goes wrong in the background, in words, by any thread; written with the next event.
    """

    def __init__(
        self,
        space: SearchSpace,
        folder: Path,
        state: RunState,
        log: EventLog,
        proposals: Proposals,
        tables: Tables,
        observer: Observer | None,
        footprint: Footprint,
        data_root: Path | None,
        data_hashes: DataHashes,
        population: Population | None = None,
        warnings: SimpleQueue[str] | None = None,
    ) -> None:
        self._space = space
        self._folder = folder
        self._log = log
        self._proposals = proposals
        self._tables = tables
        self._observer = observer
        self._footprint = footprint
        self._data_root = data_root
        self._waiting = deque(trial.trial_id for trial in state.open)
        self._outcomes: dict[str, tuple[str, str]] = {}
        self._causes: dict[str, Cause] = {}
        self._silence = Silence[str](space.search.hang_limit)
        self._failures_in_a_row = 0
        self._data_hashes = dict(data_hashes)
        self._warnings: SimpleQueue[str] = SimpleQueue() if warnings is None else warnings
        self._rows_made: dict[tuple[str, str, str], tuple[str, str]] = {}
        rungs = rungs_of(space)
        self._num_rungs = None if rungs is None else len(rungs)
        self._population = population
        self._sources: dict[str, str] = {}
        self.state = state
        self.stop_reason: str | None = None
        self.fault: MtsearchError | None = None
        for trial in state.trials.values():
            self._check_data(trial, trial.data)
        self._with_weights = self._retain(state.trials.values())

    @property
    def max_retries(self) -> int:
        """How often in a row what failed by no fault of its own is tried again."""
        return self._space.search.max_retries

    @property
    def is_exhausted(self) -> bool:
        """Whether no trial will be handed out any more."""
        if self.must_stop or self.fault is not None:
            return True
        return not self._waiting and enough_trials(self.state, self._space) is not None

    @property
    def must_stop(self) -> bool:
        """Whether the running trials are to be stopped where they are."""
        if self.stop_reason is None and (reason := over(self.state, self._space, time.time())):
            self.stop(reason)
        return self.stop_reason is not None

    def stop(self, reason: str) -> None:
        """Have the running trials stopped; they are interrupted then, and can be taken up again."""
        self.stop_reason = self.stop_reason or reason

    def next_trial(self) -> tuple[str, Assignment] | None:
        """A trial to run and its id; None if there is no room, or none to run."""
        if self.is_exhausted or len(self._outcomes) >= self._footprint.concurrency:
            return None
        with self._faults_kept():
            trial_id = self._waiting.popleft() if self._waiting else self._suggest()
            if trial_id is None:
                return None
            self._outcomes[trial_id] = ("running", "")
            trial = self.state.trials[trial_id]
            write_trial_config(self._folder, trial_id, trial.config)
        return trial_id, self.assignment(trial)

    def _suggest(self) -> str | None:
        problem, grid_size = "", self._space.grid_size
        for _ in range(_MOST_INFEASIBLE_IN_A_ROW if grid_size is None else grid_size - len(self.state.trials)):
            number = len(self.state.trials)
            start = self._next_start()
            point = None if start is None else self._starts()[start]
            proposal = self._proposals.propose(number, point)
            trial_id = trial_name(number)
            now = time.time()
            if proposal.config is not None:
                self._record_suggested(proposal, start=start)
                return trial_id
            problem = proposal.problem
            self.record(
                Infeasible(
                    time=now, trial_id=trial_id, number=number, params=proposal.params, reason=problem, start=start
                )
            )
            self._proposals.tell(self.state.trials[trial_id])
        if grid_size is not None:
            return None
        self.fault = ConfigError(
            f"{self._space.name}: {_MOST_INFEASIBLE_IN_A_ROW} suggestions in a row break a rule, "
            f"the last one: {problem}; narrow the space so that fewer do"
        )
        return None

    def _record_suggested(self, proposal: Proposal, *, start: int | None = None, **of_parent: Any) -> None:
        """A trial is to run; ``of_parent`` are the event's fields of one that takes another's place."""
        assert proposal.config is not None
        self.record(
            Suggested(
                time=time.time(),
                trial_id=trial_name(proposal.number),
                number=proposal.number,
                params=proposal.params,
                config=proposal.config.model_dump(mode="json"),
                config_hash=proposal.config.config_hash(),
                gpus=self._footprint.gpus,
                start=start,
                bracket=bracket_of(self._space, self._num_rungs, proposal.number),
                **of_parent,
            )
        )

    def _next_start(self) -> int | None:
        starts = range(len(self._starts()))
        used = {trial.start for trial in self.state.trials.values()} if starts else ()
        return next((index for index in starts if index not in used), None)

    def _starts(self) -> Sequence[Mapping[str, Any]]:
        """The points to try first: those of the space, then an earlier run's best."""
        imported = self.state.imported
        return (*self._space.start_params(), *(() if imported is None else imported.starts))

    def assignment(self, trial: TrialState) -> Assignment:
        """What a worker needs to know to run a trial."""
        return Assignment(
            run_folder=str(self._folder),
            place=f"trials/{trial.trial_id}",
            config={**trial.config, "plugins": list(self._space.plugins)},  # no code but what the space names
            data_root=str(self._data_root) if self._data_root else None,
            cpus=self._footprint.cpus,
            gpus=self._footprint.gpus,
            workers=self._footprint.workers,
            objective=Objective.of(self._space.search),
            micro_batch_size=trial.micro_batch_size,
            wait_seconds=self._wait_seconds(trial),
            begin_from=trial.parent_checkpoint,
        )

    def _wait_seconds(self, trial: TrialState) -> float:
        """Storage and networks are given time to come back; a worker that died is replaced at once."""
        if self._causes.get(trial.trial_id) != "surroundings" or not trial.num_retries:
            return 0.0
        doublings = 2 * (trial.num_retries - 1)
        return min(math.ldexp(_FIRST_WAIT_SECONDS, doublings), _LONGEST_WAIT_SECONDS)

    def result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """A worker has said something of a trial; see :mod:`mtsearch.search.trial`."""
        trial, attempt = self.state.trials[trial_id], result["attempt"]
        if not trial.is_open or (attempt is not None and attempt < trial.attempts):
            return  # a worker that was cut off has come back, and the trial has ended or another one has its place
        with self._faults_kept():
            self._take_in(trial_id, result)

    def _take_in(self, trial_id: str, result: Mapping[str, Any]) -> None:
        now = time.time()
        waited = self._silence.hear(trial_id)
        if result["outcome"] == "started":
            self.record(Started(time=now, trial_id=trial_id, attempt=result["attempt"], node=result["node"]))
            return
        self._outcomes[trial_id] = (result["outcome"], result["reason"])
        if result["outcome"] == "failed":
            self._causes[trial_id] = result["cause"]
        if TOLD not in result:
            return
        told = json.loads(result[TOLD])
        trial = self.state.trials[trial_id]
        if told["data"] is not None:
            self._check_data(trial, told["data"])
        if told["report"]["evaluation"] <= trial.evaluation:
            return  # told once more after an interruption
        self._silence.learn(waited)
        self.record(
            Reported(
                time=now,
                trial_id=trial_id,
                report=told["report"],
                checkpoint=told["checkpoint"],
                precision=told["precision"],
                data=told["data"],
            )
        )
        self._proposals.report(trial)
        if trial.attempts > 1:
            retain_attempt(self._folder, trial)

    def hear_of(self, trial_id: str) -> None:
        """A trial's worker has begun."""
        self._silence.begin(trial_id, self._wait_seconds(self.state.trials[trial_id]))

    def hung(self) -> dict[str, str]:
        """The trials whose workers have said nothing for too long, and since when, in words."""
        return self._silence.hung()

    def _check_data(self, trial: TrialState, data: Mapping[str, Mapping[str, str]]) -> None:
        for task, found in data.items():
            asked = json.dumps(trial.config["tasks"][task]["data"], sort_keys=True)
            before = self._data_hashes.setdefault((task, asked), found["hash"])
            if found["hash"] != before:
                self.fault = DataError(
                    f"{found['where']}: tasks.{task}: all trials of a search must see the same data "
                    f"({before}), but it is now {found['hash']}; restore the files, or start another search with --name"
                )
                self.stop(str(self.fault))
            self._check_rows(trial, task, asked, found)

    def _check_rows(self, trial: TrialState, task: str, asked: str, found: Mapping[str, str]) -> None:
        """Copies of examples, and tags, depend on what is installed on a node: on WordNet, or a pipeline's version.

        And the best trial of a run that pruning starts from is another one once that run goes on.
        """
        config = trial.config
        # A config of an older version has not all of them; data of it neither.
        training = {name: config["training"].get(name) for name in ("drop_longest", "seed")}
        settings = json.dumps([config.get("augmentation"), training, config.get("tags")], sort_keys=True)
        source, there = config.get("pruning", {}).get("source"), found.get("source", "")
        if source is not None and there != self._sources.setdefault(source, there):
            self.fault = DataError(
                f"pruning.source: all trials must start from the same model, but {source} is another one for "
                f"{trial.trial_id}; name a checkpoint, or start another search with --name"
            )
            self.stop(str(self.fault))
        made = found.get("rows", ""), found.get("tags", "")
        if made != self._rows_made.setdefault((task, asked, settings), made):
            self.fault = DataError(
                f"tasks.{task}: every node must make the same augmented rows and tags, but {trial.node} makes others; "
                "install the same there, or name augmentation.synonyms"
            )
            self.stop(str(self.fault))

    def ended(self, trial_id: str) -> None:
        """A trial has stopped: by itself, or because the trial scheduler wants no more of it."""
        self._silence.end(trial_id)
        outcome, reason = self._outcomes[trial_id]
        with self._faults_kept():
            if outcome == "running":
                self._prune(self.state.trials[trial_id])
            elif outcome == "failed":
                self._failed(trial_id, self._causes[trial_id], reason)
            else:
                statuses: dict[str, StopStatus] = {"finished": "completed", "diverged": "diverged"}
                self._stop_trial(trial_id, statuses[outcome], reason)

    def _prune(self, trial: TrialState) -> None:
        reason = f"the trial scheduler stopped it after evaluation {trial.evaluation}"
        successor = None if self._population is None else self._population.successor_of(trial.trial_id)
        if successor is not None:
            number = len(self.state.trials)
            proposal = self._proposals.propose(number, successor.params)
            assert proposal.config is not None, f"what takes the place of {trial.trial_id} breaks a rule"
            self._record_suggested(
                proposal,
                parent=successor.parent,
                parent_checkpoint=successor.checkpoint,
                parent_evaluation=successor.evaluation,
                parent_seconds=successor.seconds,
                parent_examples=successor.examples,
                replaces=trial.trial_id,
            )
            self._waiting.append(trial_name(number))
            reason = trial.reason or reason
        self._stop_trial(trial.trial_id, "pruned", reason)

    def died(self, trial_id: str, cause: Cause, reason: str) -> None:
        """A trial's worker has gone."""
        self._silence.end(trial_id)
        self._causes.pop(trial_id, None)
        with self._faults_kept():
            self._failed(trial_id, cause, reason)

    def _failed(self, trial_id: str, cause: Cause, reason: str) -> None:
        """An attempt has failed: the trial is tried again where that may help, else given up."""
        trial = self.state.trials[trial_id]
        batch_size = trial.config["training"]["batch_size"]
        match cause:
            case "disk":  # no trial can go on; none has failed
                self._end(
                    RunError(
                        f"{self._folder}: trials must be able to write, but {trial_id} on {trial.node} found its disk "
                        f"full: {reason}; make room, and the same command goes on"
                    )
                )
            case "surroundings" if self.must_stop:  # interrupted with all others
                pass
            case "surroundings" if trial.num_retries < self.max_retries:
                self._retry(trial, reason, trial.micro_batch_size)
            case "memory" if (smaller := halved(batch_size, trial.micro_batch_size)) is not None:
                self._retry(trial, reason, smaller)
            case "memory":
                size = trial.micro_batch_size or batch_size
                told = f"with {size} example{'s' if size > 1 else ''} in a forward pass it ran {reason}"
                self._stop_trial(trial_id, "infeasible", told)
            case _:
                self._stop_trial(trial_id, "failed", reason)

    def _retry(self, trial: TrialState, reason: str, micro_batch_size: int | None) -> None:
        self._outcomes.pop(trial.trial_id, None)
        self.record(
            Retried(
                time=time.time(),
                trial_id=trial.trial_id,
                attempt=trial.attempts,
                reason=reason,
                micro_batch_size=micro_batch_size,
            )
        )
        self._waiting.appendleft(trial.trial_id)

    def interrupt(self) -> None:
        """The running trials have been stopped where they were."""
        waiting = [trial_id for trial_id in self._waiting if self.state.trials[trial_id].status == "running"]
        for trial_id in [*self._outcomes, *waiting]:
            self._stop_trial(trial_id, "interrupted", self.stop_reason or "the search ended")

    def _stop_trial(self, trial_id: str, status: StopStatus, reason: str) -> None:
        self._outcomes.pop(trial_id, None)
        self.record(Stopped(time=time.time(), trial_id=trial_id, status=status, reason=reason))
        self._proposals.tell(self.state.trials[trial_id])
        self._with_weights = self._retain([*self._with_weights, self.state.trials[trial_id]])
        if status == "interrupted":
            return
        self._failures_in_a_row = self._failures_in_a_row + 1 if status in ("failed", "infeasible") else 0
        if self._failures_in_a_row == self._space.search.max_failures_in_a_row:
            self._end(
                RunError(
                    f"{self._folder}: {self._failures_in_a_row} trials in a row failed "
                    f"(search.max_failures_in_a_row), the last one, {trial_id}: {reason}; put that right, and the same "
                    "command goes on with other trials"
                )
            )

    def _retain(self, trials: Iterable[TrialState]) -> list[TrialState]:
        return retain(self._folder, trials, self.state, self._space.search.keep, self._space.objectives)

    def _end(self, fault: MtsearchError) -> None:
        """Have the search end with this error, and what runs be interrupted."""
        self.fault = self.fault or fault
        self.stop(str(fault))

    @contextmanager
    def _faults_kept(self) -> Iterator[None]:
        """Keep what ends the search: Ray makes text of what is raised in its loop.

        Raises:
            RunError: the run folder cannot be written.
        """
        try:
            yield
        except OSError as error:
            self.fault = RunError(
                f"{self._folder}: the run folder must be writable, but got: {error}; put that right, and the same "
                "command goes on"
            )
            raise self.fault from error
        except MtsearchError as error:
            self.fault = error
            raise

    def record(self, event: Event) -> None:
        """Write an event; take it in; let the observer and the tables know.

        Raises:
            RunError: the run folder cannot be written.
        """
        with self._faults_kept():
            self._record(event)
            self._tables.refresh(self.state)
            self.record_warnings()

    def record_warnings(self) -> None:
        """Write what has gone wrong in the background since the last event."""
        while not self._warnings.empty():
            self._record(Warned(time=time.time(), text=self._warnings.get()))

    def _record(self, event: Event) -> None:
        self._log.append(event)
        self.state.apply(event)
        self._tables.add(event)
        if self._observer is not None:
            self._observer.on_event(event, self.state)
