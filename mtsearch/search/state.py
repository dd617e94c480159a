"""What is known of a search: a fold over its events, the same while it runs and when it is taken up again."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mtsearch.search.events import (
    Event,
    Infeasible,
    Reported,
    Retrained,
    RunEnded,
    RunStarted,
    Started,
    Stopped,
    Suggested,
)
from mtsearch_analysis.pareto import is_on_front
from mtsearch_analysis.tables import Direction, Status

__all__ = ["RunState", "TrialState", "fold"]


@dataclass
class TrialState:
    """A trial, as its events tell it. Scores are those of the search's first objective; higher is better.

    Attributes:
        status: of the table; ``running`` from suggestion on.
        attempts: how often it was started.
        rung: rungs of the trial scheduler passed; None without one.
        scores: of each evaluation.
        best_scores: every dev metric at the best evaluation; ``last_scores`` at the last.
        best_checkpoint: relative to the run folder; so is ``last_checkpoint``.
        data: for each task where its data was found and its hash.
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
    rung: int | None = None
    node: str | None = None
    precision: str | None = None
    data: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
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
    best_checkpoint: str | None = None
    last_epoch: float | None = None
    last_scores: Mapping[str, float] = field(default_factory=dict)
    last_checkpoint: str | None = None
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it runs, or is to be taken up again."""
        return self.status in ("running", "interrupted")

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

    def best_so_far(self) -> dict[int, float]:
        """The best score up to each evaluation."""
        best: dict[int, float] = {}
        for evaluation, score in sorted(self.scores.items()):
            best[evaluation] = max(score, *best.values()) if best else score
        return best


@dataclass
class RunState:
    """A search, as its events tell it.

    Attributes:
        identity: of its space; None before the first driver.
        target: how many trials it is to have, infeasible ones not counted.
        extra: how many of them go beyond what the space asks for.
        rungs: evaluations at which the trial scheduler decides; None without one.
        scores_own_tasks: whether a trial's score is the mean over its own tasks, whichever those are.
        trials: by id, in the order of suggestion.
        seconds: that drivers have spent on it.
        seconds_granted_from: what ``seconds`` was when the time budget began: an extension gets a budget anew.
        gpu_seconds_granted_from: the same for the trials' GPU time.
        retrained: checkpoint of the winner's training on train and dev.
        ended: why the last driver left; None while one runs, or after a crash.
    """

    identity: Mapping[str, Any] | None = None
    target: int = 0
    extra: int = 0
    rungs: tuple[int, ...] | None = None
    scores_own_tasks: bool = False
    trials: dict[str, TrialState] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_granted_from: float = 0.0
    gpu_seconds_granted_from: float = 0.0
    retrained: str | None = None
    ended: str | None = None
    _last_time: float = 0.0

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        if isinstance(event, RunStarted):
            self._run_started(event)
        else:
            self.seconds = self.seconds_at(event.time)
        self._last_time = event.time
        match event:
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
                )
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
                    ended_at=event.time,
                )
            case Started():
                self._started(self.trials[event.trial_id], event)
            case Reported():
                self._reported(self.trials[event.trial_id], event)
            case Stopped():
                self._stopped(self.trials[event.trial_id], event)
            case Retrained():
                self.retrained = event.checkpoint
            case RunEnded():
                self.ended = event.reason

    def _run_started(self, event: RunStarted) -> None:
        self.identity, self.target, self.extra = event.identity, event.trials, event.extra
        self.rungs, self.ended = event.rungs, None
        self.scores_own_tasks = event.scores_own_tasks
        if event.extended:
            self.seconds_granted_from, self.gpu_seconds_granted_from = self.seconds, self.gpu_seconds
            self.retrained = None

    def _started(self, trial: TrialState, event: Started) -> None:
        trial.status, trial.reason, trial.ended_at = "running", None, None
        trial.attempts, trial.node = event.attempt, event.node
        trial.started_at = trial.started_at if trial.started_at is not None else event.time

    def _reported(self, trial: TrialState, event: Reported) -> None:
        report = event.report
        trial.precision, trial.data = event.precision, event.data or trial.data
        trial.evaluation = report["evaluation"]
        trial.step, trial.epoch = report["step"], report["epoch"]
        trial.examples_seen, trial.seconds = report["examples_seen"], report["seconds"]
        trial.facts = report["facts"]
        if report["outcome"] == "diverged":
            return
        trial.scores[trial.evaluation] = report["score"]
        trial.best_score, trial.best_evaluation = report["best_score"], report["best_evaluation"]
        trial.last_scores, trial.last_epoch, trial.last_checkpoint = report["scores"], trial.epoch, event.checkpoint
        if trial.best_evaluation == trial.evaluation:
            trial.best_scores, trial.best_epoch, trial.best_checkpoint = report["scores"], trial.epoch, event.checkpoint
        if self.rungs is not None:
            trial.rung = sum(rung <= trial.evaluation for rung in self.rungs)

    def _stopped(self, trial: TrialState, event: Stopped) -> None:
        trial.status, trial.reason, trial.ended_at = event.status, event.reason, event.time
        if event.status == "pruned" and trial.rung:
            trial.rung -= 1  # the rung that stopped it was reached, not passed

    @property
    def feasible(self) -> list[TrialState]:
        """The trials that count against the number asked for, in the order of suggestion."""
        return [trial for trial in self.trials.values() if trial.status != "infeasible"]

    @property
    def open(self) -> list[TrialState]:
        """The trials that run, or are to be taken up again."""
        return [trial for trial in self.trials.values() if trial.is_open]

    def seconds_at(self, now: float) -> float:
        """What ``seconds`` would be if something happened at ``now``."""
        return self.seconds + max(0.0, now - self._last_time)

    @property
    def gpu_seconds(self) -> float:
        """GPU time of all trials."""
        return sum(trial.gpu_seconds for trial in self.trials.values())

    def rankings(self) -> list[list[TrialState]]:
        """The trials with a score, best first, whatever became of them; those that can be compared are one list.

        That is all of them, or if scores are means over each trial's own tasks those with the same tasks. Ties go to
        the trial that saw fewer examples, then to the one suggested first, as in the report.
        """
        contests: dict[str, list[tuple[float, TrialState]]] = {}
        for trial in self.trials.values():
            if trial.best_score is not None:
                contest = trial.tasks if self.scores_own_tasks else ""
                contests.setdefault(contest, []).append((trial.best_score, trial))
        for scored in contests.values():
            scored.sort(key=lambda row: (-row[0], row[1].examples_seen, row[1].number))
        return [[trial for _, trial in scored] for scored in contests.values()]

    def ranking(self) -> list[TrialState]:
        """All rankings, one after the other."""
        return list(itertools.chain.from_iterable(self.rankings()))

    def winner(self) -> TrialState | None:
        """The best trial; None if no trial has a score, or no one of them is best of all."""
        rankings = self.rankings()
        return rankings[0][0] if len(rankings) == 1 else None

    def front(self, objectives: Mapping[str, Direction]) -> list[TrialState]:
        """The completed trials on the Pareto front, best first; none where there is one objective."""
        completed = [trial for trial in self.ranking() if trial.status == "completed"]
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
