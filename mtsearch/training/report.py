"""What the trainer tells at every evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Measurement", "Report"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number of a report.

    Attributes:
        task: the task's name, or "" for a number over all tasks.
        split: ``train``, ``dev`` or ``test``.
        metric: such as ``accuracy``, ``loss``, ``mean_score``, ``lr``.
        value: finite.
    """

    task: str
    split: Literal["train", "dev", "test"]
    metric: str
    value: float


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
        outcome: ``running``; ``finished`` when the trainer has nothing left to do; ``diverged`` when a loss or
            a metric was not finite (``scores`` is then empty).
        reason: why it finished or diverged, in words; empty while running.
        facts: numbers of the whole trial: ``parameters``, ``trainable_parameters``, ``peak_memory_bytes``,
            ``examples_per_second``, ``start_seconds``.
        best_evaluation: the evaluation with the best mean_score so far.
        checkpoint: name of the checkpoint folder of this evaluation, under the trial's folder; None if none.
    """

    evaluation: int
    step: int
    epoch: float
    examples_seen: int
    seconds: float
    scores: Mapping[str, float]
    measurements: tuple[Measurement, ...]
    outcome: Literal["running", "finished", "diverged"]
    reason: str
    facts: Mapping[str, float]
    best_evaluation: int
    checkpoint: str | None
