"""What the trainer tells at every evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mtsearch.config.constraints import Constraint

if TYPE_CHECKING:
    from mtsearch.config.search import SearchConfig
    from mtsearch.training.holdout import TrialSplit

__all__ = ["Interference", "Measurement", "Objective", "Report"]


@dataclass(frozen=True, slots=True)
class Objective:
    """What "best" means: chooses the best checkpoint, drives plateau and early stopping, and is searched for.

    With a holdout the same is measured there, too: that ranks trials, and nothing else goes by it.

    Attributes:
        metric: ``mean_score``, or ``TASK.METRIC``; of several objectives of a search the first.
        scored_tasks: the tasks in ``mean_score``; None for all.
        constraints: what the best evaluation is to meet, as in :class:`mtsearch.config.constraints.Constraint`; any
            evaluation that meets all is better than any that does not.
        costs: which of the costs in :mod:`mtsearch.config.objectives` are told as scores.
        holdout_ratio: the share of each task's dev split that is the holdout; 0 for none.
    """

    metric: str = "mean_score"
    scored_tasks: tuple[str, ...] | None = None
    constraints: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    holdout_ratio: float = 0.0

    @classmethod
    def of(cls, search: SearchConfig) -> Objective:
        """What the trials of a search are for."""
        from mtsearch.config.objectives import OVERALL_METRICS  # which imports all methods, and so torch

        constraints = tuple(map(Constraint.parse, search.constraints))
        named = dict.fromkeys((*search.metrics, *(constraint.metric for constraint in constraints)))
        costs = tuple(name for name in named if name in OVERALL_METRICS and OVERALL_METRICS[name].is_cost)
        return cls(search.primary, search.scored_tasks, tuple(map(str, constraints)), costs, search.holdout_ratio)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Objective:
        """The objective of plain values."""
        scored_tasks = state["scored_tasks"] and tuple(state["scored_tasks"])
        constraints, costs = tuple(state["constraints"]), tuple(state["costs"])
        return cls(state["metric"], scored_tasks, constraints, costs, state["holdout_ratio"])

    def is_met(self, scores: Mapping[str, float]) -> bool:
        """Whether an evaluation's scores meet all constraints."""
        return all(Constraint.parse(text).shortfall(scores) <= 0 for text in self.constraints)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number of a report.

    Attributes:
        task: the task's name, or "" for a number over all tasks.
        split: ``train``, ``dev``, ``holdout`` or ``test``.
        metric: such as ``accuracy``, ``loss``, ``mean_score``, ``lr``.
        value: finite.
    """

    task: str
    split: TrialSplit
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Interference:
    """How far two tasks' gradients agreed since the last evaluation.

    Attributes:
        task_a: the task that comes first in the config.
        task_b: the other.
        cosine: between their gradients over the shared parameters, in [-1, 1]: the mean of all measurements.
        num_measurements: updates in which it was measured; a pair that never was is not told of.
    """

    task_a: str
    task_b: str
    cosine: float
    num_measurements: int


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a trial at an evaluation. Plain values: it travels between processes as it is.

    Attributes:
        evaluation: 1 for the first.
        step: updates done.
        epoch: passes of the sampler's plan done, a fraction between evaluations of one epoch.
        examples_seen: examples trained on.
        seconds: of this trial's training and evaluation, over all its attempts.
        scores: main metric of each task on dev, ``{"sentiment.accuracy": 0.478, ..}``, with all other dev
            metrics and ``mean_score``.
        measurements: everything for the long table, the scores included.
        score: the objective's value: what is searched for, scheduled on and stopped on; higher is better.
        best_score: the best ``score`` so far, of those evaluations that meet the constraints if any does.
        best_evaluation: the evaluation that gave it.
        outcome: ``running``; ``finished`` when the trainer has nothing left to do; ``diverged`` when a loss or
            a metric was not finite (``scores`` is then empty and ``score`` is NaN).
        reason: why it finished or diverged, in words; empty while running.
        facts: numbers of the whole trial: ``parameters``, ``trainable_parameters``, ``peak_memory_bytes``,
            ``examples_per_second``, ``start_seconds``.
        checkpoint: name of this evaluation's checkpoint, a folder under ``checkpoints/`` of the place; None if none.
        interference: every pair of tasks once whose gradients were compared since the last evaluation.
        warnings: what went otherwise than asked since the last report, a line each.
        held_out: as ``scores``, on the holdout; empty where there is none.
        held_out_score: the objective's value there; None where there is none.
        gates: what evaluations multiply each attention head with, in [0, 1], by layers from the lowest and attention
            heads: for each task, or under "" where all share them; empty without pruning.
    """

    evaluation: int
    step: int
    epoch: float
    examples_seen: int
    seconds: float
    scores: Mapping[str, float]
    score: float
    best_score: float
    best_evaluation: int
    measurements: tuple[Measurement, ...]
    outcome: Literal["running", "finished", "diverged"]
    reason: str
    facts: Mapping[str, float]
    checkpoint: str | None
    interference: tuple[Interference, ...] = ()
    warnings: tuple[str, ...] = ()
    held_out: Mapping[str, float] = field(default_factory=dict)
    held_out_score: float | None = None
    gates: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a file or another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Report:
        """The report of :meth:`to_json`, also of a version that told less."""
        measurements = tuple(Measurement(**measurement) for measurement in state["measurements"])
        interference = tuple(Interference(**pair) for pair in state.get("interference", ()))
        warnings = tuple(state.get("warnings", ()))
        gates = {task: tuple(map(tuple, layers)) for task, layers in state.get("gates", {}).items()}
        plain = {**state, "warnings": warnings, "gates": gates}
        return cls(**{**plain, "measurements": measurements, "interference": interference})
