"""What is known of a search: a fold over its events, the same while it runs and when it is taken up again."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mtsearch.config.constraints import Constraint
from mtsearch.search.events import (
    Event,
    Imported,
    Infeasible,
    Replicated,
    ReplicationStarted,
    Reported,
    Retrained,
    Retried,
    RunEnded,
    RungUnit,
    RunStarted,
    Started,
    Stopped,
    Suggested,
    Warned,
)
from mtsearch_analysis.pareto import is_on_front
from mtsearch_analysis.tables import Direction, Status

__all__ = ["RunState", "TrialState", "fold"]


@dataclass
class TrialState:
    """A trial, as its events tell it. Scores are those of the search's first objective; higher is better.

    With a holdout, dev says which evaluation is best and whom the trial scheduler stops; the holdout, how good it is.

    Attributes:
        status: of the table; ``running`` from suggestion on.
        attempts: how often it was started.
        retried: why it was tried again, each time.
        num_retries: how often it was since its last evaluation.
        micro_batch_size: examples in one forward pass, at most, since it ran out of memory; None if it did not.
        rung: rungs of the trial scheduler passed; None where it has none.
        bracket: of the trial scheduler.
        parent: the trial that it goes on from; None if it began anew.
        parent_checkpoint: where from, relative to the run folder.
        parent_evaluation: the parent's evaluation there; 0 if it began anew. So ``parent_seconds``, of its clock,
            and ``parent_examples``.
        num_ended_before: how many trials had ended when it was suggested: the first so many of the search's
            ``endings``.
        scores: of each evaluation on dev.
        held_out: the same on the holdout; empty where there is none.
        examples_at: examples seen at each evaluation that has a score.
        best_so_far: what ``best_score`` was at each.
        best_score: at the best evaluation so far on dev; on the holdout where there is one.
        best_scores: every metric at that evaluation, on the split of ``best_score``; ``last_scores`` at the last.
        best_dev_scores: on dev, where the others are on the holdout; else empty.
        best_checkpoint: relative to the run folder; so is ``last_checkpoint``.
        data: for each task where its data was found and its hash.
        heard_at: when its worker last began it or reported; so are ``started_at`` and ``ended_at`` in seconds since
            1970.
    """

    trial_id: str
    number: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    config_hash: str
    gpus: float
    start: int | None
    status: Status = "running"
    reason: str | None = None
    attempts: int = 0
    retried: list[str] = field(default_factory=list)
    num_retries: int = 0
    micro_batch_size: int | None = None
    rung: int | None = None
    node: str | None = None
    precision: str | None = None
    data: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bracket: int = 0
    parent: str | None = None
    parent_checkpoint: str | None = None
    parent_evaluation: int = 0
    parent_seconds: float = 0.0
    parent_examples: int = 0
    num_ended_before: int = 0
    scores: dict[int, float] = field(default_factory=dict)
    held_out: dict[int, float] = field(default_factory=dict)
    examples_at: dict[int, int] = field(default_factory=dict)
    best_so_far: dict[int, float] = field(default_factory=dict)
    evaluation: int = 0
    step: int = 0
    epoch: float | None = None
    examples_seen: int = 0
    seconds: float = 0.0
    facts: Mapping[str, float] = field(default_factory=dict)
    best_score: float | None = None
    best_evaluation: int = 0
    best_epoch: float | None = None
    best_scores: Mapping[str, float] = field(default_factory=dict)
    best_dev_scores: Mapping[str, float] = field(default_factory=dict)
    best_checkpoint: str | None = None
    last_epoch: float | None = None
    last_scores: Mapping[str, float] = field(default_factory=dict)
    last_checkpoint: str | None = None
    started_at: float | None = None
    heard_at: float | None = None
    ended_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it runs, or is to be taken up again."""
        return self.status in ("running", "interrupted")

    @property
    def score(self) -> float:
        """What it is ranked by: ``best_score``; -inf before the first."""
        return -math.inf if self.best_score is None else self.best_score

    @property
    def stop_reason(self) -> str | None:
        """Why it stopped, and why it was tried again before that, in words."""
        again = f"tried again after: {' | '.join(self.retried)}" if self.retried else None
        return "; ".join(filter(None, (self.reason, again))) or None

    @property
    def gpu_seconds(self) -> float:
        """Seconds times the GPUs that it held."""
        return self.seconds * self.gpus

    @property
    def data_hash(self) -> str | None:
        """One hash over the data of all its tasks."""
        if not self.data:
            return None
        text = "\n".join(f"{task} {found['hash']}" for task, found in sorted(self.data.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def tasks(self) -> str:
        """Its tasks: ``pos+ner``."""
        return "+".join(self.config.get("tasks", ()))

    def objective_values(self, objectives: Iterable[str]) -> list[float]:
        """These metrics at its best evaluation; NaN for one that was not measured there, or is not finite."""
        found = (self.best_scores.get(name) for name in objectives)
        return [value if value is not None and math.isfinite(value) else math.nan for value in found]


@dataclass
class RunState:
    """A search, as its events tell it.

    Attributes:
        identity: of its space; None before the first driver.
        run_id: of the run folder; empty before the first driver.
        target: how many trials it is to have, infeasible ones not counted.
        extra: how many of them go beyond what the space asks for.
        extra_from: what an extension starts from; see :class:`mtsearch.search.events.RunStarted`, as for
            ``extra_seconds_from``.
        rungs: where the trial scheduler decides on trials of its first bracket; None where it has no rungs.
        rung_unit: what the rungs are counted in.
        scores_own_tasks: whether a trial's score is the mean over its own tasks, whichever those are.
        trials: by id, in the order of suggestion.
        imported: what was taken over from an earlier run; None if nothing was.
        endings: ids of the trials that have ended, in that order.
        constraints: what a winner must keep to.
        seconds: that drivers have spent on it.
        seconds_granted_from: what ``seconds`` was when the time budget began: an extension gets a budget anew.
        gpu_seconds: GPU time of all trials.
        examples_seen: examples that they were trained on.
        extra_seconds: how much more time it was given since then than the space says.
        gpu_seconds_granted_from: the same for the trials' GPU time.
        examples_granted_from: the same for the examples that they were trained on.
        unimproved: how many trials in a row have ended without a better best score, since then.
        leader: the first trial to reach the best score, whatever its tasks; None before the first score.
        retrained: checkpoint of the winner's training on train and dev.
        replications: trainings with other seeds, by config and seed; no part of ``seconds``, nor of any budget.
        compared: what the last driver that replicated set out to compare; None if none did.
        metric: what the score is.
        budgets: as the last driver has them; see :class:`mtsearch.search.events.RunStarted`.
        command: which takes the run up again.
        driver: the last driver's first event; None before the first driver.
        ended: its last event, where it left in good order; None while it runs, or after a crash.
        last_time: of the last event, in seconds since 1970; 0 before the first.
    """

    identity: Mapping[str, Any] | None = None
    run_id: str = ""
    target: int = 0
    extra: int = 0
    extra_from: int = 0
    rungs: tuple[int, ...] | None = None
    rung_unit: RungUnit = "evaluations"
    scores_own_tasks: bool = False
    trials: dict[str, TrialState] = field(default_factory=dict)
    imported: Imported | None = None
    endings: list[str] = field(default_factory=list)
    constraints: tuple[Constraint, ...] = ()
    seconds: float = 0.0
    seconds_granted_from: float = 0.0
    gpu_seconds: float = 0.0
    examples_seen: int = 0
    extra_seconds: float = 0.0
    extra_seconds_from: float = 0.0
    gpu_seconds_granted_from: float = 0.0
    examples_granted_from: int = 0
    unimproved: int = 0
    leader: TrialState | None = None
    retrained: str | None = None
    replications: dict[tuple[str, int], Replicated] = field(default_factory=dict)
    compared: ReplicationStarted | None = None
    metric: str = "mean_score"
    budgets: Mapping[str, float] = field(default_factory=dict)
    command: Literal["run", "train"] = "run"
    driver: RunStarted | ReplicationStarted | None = None
    ended: RunEnded | None = None
    last_time: float = 0.0
    _is_replicating: bool = False

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        self._keep_time(event)
        match event:
            case RunStarted():
                self._run_started(event)
            case ReplicationStarted():
                self.compared, self._is_replicating = event, True
                if self.ended is not None:  # else it is the search's own driver
                    self.driver, self.ended = event, None
            case Imported():
                self.imported = event
            case Suggested():
                self.trials[event.trial_id] = TrialState(
                    event.trial_id,
                    event.number,
                    event.params,
                    event.config,
                    event.config_hash,
                    event.gpus,
                    event.start,
                    rung=None if self.rungs is None else 0,
                    bracket=event.bracket,
                    parent=event.parent,
                    parent_checkpoint=event.parent_checkpoint,
                    parent_evaluation=event.parent_evaluation,
                    parent_seconds=event.parent_seconds,
                    parent_examples=event.parent_examples,
                    examples_seen=event.parent_examples,
                    num_ended_before=len(self.endings),
                )
                if event.replaces is not None:
                    self._replaced(self.trials[event.replaces], event)
            case Infeasible():
                self.trials[event.trial_id] = TrialState(
                    event.trial_id,
                    event.number,
                    event.params,
                    {},
                    "",
                    0,
                    event.start,
                    status="infeasible",
                    reason=event.reason,
                    num_ended_before=len(self.endings),
                    ended_at=event.time,
                )
                self.endings.append(event.trial_id)
            case Started() | Reported() | Retried() | Stopped():
                self._tell(self.trials[event.trial_id], event)
            case Retrained():
                self.retrained = event.checkpoint
            case Replicated():
                self.replications[event.config_id, event.seed] = event
            case RunEnded():
                self.ended = event

    def _keep_time(self, event: Event) -> None:
        """Time counts from one event to the next while a driver searches; warnings may come after its end."""
        if isinstance(event, Warned):
            return
        if not self._is_replicating and not isinstance(event, RunStarted | ReplicationStarted):
            self.seconds = self.seconds_at(event.time)
        self.last_time = event.time

    def _tell(self, trial: TrialState, event: Started | Reported | Retried | Stopped) -> None:
        match event:
            case Started():
                self._started(trial, event)
            case Reported():
                self._reported(trial, event)
            case Retried():
                self._retried(trial, event)
            case Stopped():
                self._stopped(trial, event)

    def _run_started(self, event: RunStarted) -> None:
        self.identity, self.target, self.extra = event.identity, event.trials, event.extra
        self.driver, self.run_id, self._is_replicating = event, event.run_id, False
        self.metric, self.budgets, self.command = event.metric, event.budgets, event.command
        self.rungs, self.rung_unit, self.ended = event.rungs, event.rung_unit, None
        self.scores_own_tasks, self.extra_seconds = event.scores_own_tasks, event.extra_seconds
        self.extra_from, self.extra_seconds_from = event.extra_from, event.extra_seconds_from
        self.constraints = tuple(map(Constraint.parse, event.constraints))
        if event.extended:
            self.seconds_granted_from, self.gpu_seconds_granted_from = self.seconds, self.gpu_seconds
            self.examples_granted_from, self.unimproved = self.examples_seen, 0
            self.retrained = None

    def _replaced(self, trial: TrialState, event: Suggested) -> None:
        """It has ended, even if nobody comes to say so."""
        trial.status, trial.ended_at = "pruned", event.time
        trial.reason = f"{event.trial_id} took its place after evaluation {trial.evaluation}"

    def _started(self, trial: TrialState, event: Started) -> None:
        trial.status, trial.reason, trial.ended_at = "running", None, None
        trial.attempts, trial.node = event.attempt, event.node
        trial.heard_at = event.time
        trial.started_at = trial.started_at if trial.started_at is not None else event.time

    def _reported(self, trial: TrialState, event: Reported) -> None:
        report = event.report
        trial.heard_at = event.time
        trial.precision, trial.data = event.precision, event.data or trial.data
        trial.evaluation, trial.num_retries = report["evaluation"], 0
        trial.step, trial.epoch = report["step"], report["epoch"]
        seconds = report["seconds"] - trial.parent_seconds
        self.gpu_seconds += (seconds - trial.seconds) * trial.gpus
        self.examples_seen += report["examples_seen"] - trial.examples_seen
        trial.examples_seen, trial.seconds = report["examples_seen"], seconds
        trial.facts = report["facts"]
        if report["outcome"] == "diverged":
            return
        trial.scores[trial.evaluation] = report["score"]
        trial.examples_at[trial.evaluation] = trial.examples_seen
        before, held_out = self._merit(trial), report.get("held_out", {})  # older runs have none
        scores = {**report["scores"], **held_out}
        trial.best_evaluation = report["best_evaluation"]
        trial.last_scores, trial.last_epoch, trial.last_checkpoint = scores, trial.epoch, event.checkpoint
        if trial.best_evaluation == trial.evaluation:
            trial.best_scores, trial.best_epoch, trial.best_checkpoint = scores, trial.epoch, event.checkpoint
        if not held_out:
            trial.best_score = report["best_score"]
        else:
            trial.held_out[trial.evaluation] = report["held_out_score"]
            if trial.best_evaluation == trial.evaluation or trial.best_score is None:  # its best report may be lost
                trial.best_score, trial.best_dev_scores = report["held_out_score"], report["scores"]
        assert trial.best_score is not None
        trial.best_so_far[trial.evaluation] = trial.best_score
        if trial is self.leader and self._merit(trial) < before:  # what is better on dev can be worse on the holdout
            self.leader = max(self.trials.values(), key=self._merit)
        elif self.leader is None or self._merit(trial) > (before if trial is self.leader else self._merit(self.leader)):
            self.leader, self.unimproved = trial, 0
        if self.rungs is not None:
            reached = trial.examples_seen if self.rung_unit == "examples" else trial.evaluation
            trial.rung = sum(rung <= reached for rung in self.rungs[trial.bracket :])

    def _retried(self, trial: TrialState, event: Retried) -> None:
        trial.retried.append(event.reason)
        trial.num_retries += 1
        trial.micro_batch_size = event.micro_batch_size

    def _stopped(self, trial: TrialState, event: Stopped) -> None:
        trial.status, trial.reason, trial.ended_at = event.status, event.reason, event.time
        if event.status != "interrupted":
            self.endings.append(event.trial_id)
        if event.status == "pruned" and trial.rung:
            trial.rung -= 1  # the rung that stopped it was reached, not passed
        if event.status != "interrupted" and trial is not self.leader:
            self.unimproved += 1

    @property
    def feasible(self) -> list[TrialState]:
        """The trials that count against the number asked for, in the order of suggestion.

        Not those that took another's place.
        """
        return [trial for trial in self.trials.values() if trial.status != "infeasible" and trial.parent is None]

    @property
    def open(self) -> list[TrialState]:
        """The trials that run, or are to be taken up again."""
        return [trial for trial in self.trials.values() if trial.is_open]

    def seconds_at(self, now: float) -> float:
        """What ``seconds`` would be if something happened at ``now``."""
        return self.seconds if self._is_replicating else self.seconds + max(0.0, now - self.last_time)

    def is_admissible(self, trial: TrialState) -> bool:
        """Whether a trial meets the constraints at its best evaluation."""
        return self.meets_constraints(trial.best_scores)

    def meets_constraints(self, scores: Mapping[str, float]) -> bool:
        """Whether these scores, by metric, do."""
        return all(constraint.shortfall(scores) <= 0 for constraint in self.constraints)

    def _merit(self, trial: TrialState) -> tuple[bool, float]:
        return self.is_admissible(trial), trial.score

    def rankings(self, among: Iterable[TrialState] | None = None) -> list[list[TrialState]]:
        """The trials with a score, best first, whatever became of them; those that can be compared are one list.

        That is all of them, or if scores are means over each trial's own tasks those with the same tasks. Trials that
        meet the constraints come before those that do not. Ties go to the trial that saw fewer examples, then to the
        one suggested first, as in the report.

        Args:
            among: rank these alone; None for all.
        """
        contests: dict[str, list[tuple[bool, float, TrialState]]] = {}
        for trial in self.trials.values() if among is None else among:
            if trial.best_score is not None and trial.status != "infeasible":
                contest = trial.tasks if self.scores_own_tasks else ""
                contests.setdefault(contest, []).append((*self._merit(trial), trial))
        for scored in contests.values():
            scored.sort(key=lambda row: (not row[0], -row[1], row[2].examples_seen, row[2].number))
        return [[trial for *_, trial in scored] for scored in contests.values()]

    def ranking(self, among: Iterable[TrialState] | None = None) -> list[TrialState]:
        """All rankings, one after the other."""
        return list(itertools.chain.from_iterable(self.rankings(among)))

    def winner(self) -> TrialState | None:
        """The best trial; None if no trial has a score or meets the constraints, or no one of them is best of all."""
        rankings = self.rankings()
        if len(rankings) != 1 or not self.is_admissible(rankings[0][0]):
            return None
        return rankings[0][0]

    def front(self, objectives: Mapping[str, Direction], among: Iterable[TrialState] | None = None) -> list[TrialState]:
        """The completed trials on the Pareto front, best first, of those that meet the constraints.

        None where there is one objective.

        Args:
            objectives: what is searched for, with its direction.
            among: the front of these alone; None for all.
        """
        completed = [
            trial for trial in self.ranking(among) if trial.status == "completed" and self.is_admissible(trial)
        ]
        if len(objectives) < 2 or not completed:
            return []
        values = np.array([trial.objective_values(objectives) for trial in completed])
        return list(itertools.compress(completed, is_on_front(values, tuple(objectives.values()))))

    def counts(self) -> dict[Status, int]:
        """How many trials have each status."""
        return dict(Counter(trial.status for trial in self.trials.values()))


def fold(events: Iterable[Event]) -> RunState:
    """The state that these events, oldest first, come to."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state
