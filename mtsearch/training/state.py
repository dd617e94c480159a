"""Everything that changes while a trial trains, as one object: a checkpoint is this object on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor

from mtsearch.data.plan import Position
from mtsearch.model.multitask import MultitaskModel
from mtsearch.pruning.contract import RunningPruning
from mtsearch.regularizers.contract import RunningRegularizer
from mtsearch.schedules.contract import RunningSchedule
from mtsearch.surgery.contract import RunningSurgery
from mtsearch.training.report import Report
from mtsearch.training.thawing import Thawing
from mtsearch.weighting.contract import RunningWeighting

__all__ = ["Progress", "TrainState"]


@dataclass
class Progress:
    """The counters of a trial.

    Attributes:
        epoch: passes of the sampler's plan that are complete.
        update_in_epoch: updates done of the pass under way.
        positions: where each task's examples stood at the start of the pass under way.
        step: updates done in all.
        evaluation: evaluations done.
        examples_seen: examples trained on.
        seconds: of training, evaluation and checkpoints, over all attempts.
        training_seconds: of training alone.
        best_score: the best value of the objective so far; -inf before the first.
        best_is_met: whether that evaluation meets the objective's constraints.
        best_evaluation: the evaluation that gave it; 0 before the first.
        thawed_evaluation: evaluations that had been done when layers last thawed; 0 if they did not.
        finished: why there is nothing left to do; empty while there is.
    """

    epoch: int = 0
    update_in_epoch: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    step: int = 0
    evaluation: int = 0
    examples_seen: int = 0
    seconds: float = 0.0
    training_seconds: float = 0.0
    best_score: float = float("-inf")
    best_is_met: bool = False
    best_evaluation: int = 0
    thawed_evaluation: int = 0
    finished: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Progress:
        """The counters of a checkpoint."""
        positions = {task: Position(**position) for task, position in state["positions"].items()}
        return cls(**{**state, "positions": positions})


@dataclass
class TrainState:
    """The model and all that trains it.

    Attributes:
        model: parameters ``encoder.*``, ``extensions.EXTENSION.*`` and ``heads.TASK.*``.
        optimizer: Accelerate's wrapper around the method's optimizer.
        schedule: at work on the optimizer.
        thawing: says what of the model trains now.
        weighting: of the tasks' losses.
        surgery: on the tasks' gradients; None where they are summed.
        regularizers: those that are switched on.
        pruning: of attention heads; None where there is none.
        progress: the counters.
        report: the last one; None before the first.
        random: states of torch's generators to start from, by rank; a process that has none seeds its own.
    """

    model: MultitaskModel
    optimizer: AcceleratedOptimizer
    schedule: RunningSchedule
    thawing: Thawing
    weighting: RunningWeighting
    surgery: RunningSurgery | None
    regularizers: Sequence[RunningRegularizer]
    pruning: RunningPruning | None
    progress: Progress
    report: Report | None = None
    random: list[dict[str, Tensor]] = field(default_factory=list)
