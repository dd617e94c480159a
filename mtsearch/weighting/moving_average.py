"""Weights against the recent size of the tasks' losses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.weighting.contract import RunningWeighting, values_of

__all__ = ["MovingAverage"]

_SMALLEST = 1e-8  # a mean loss of 0 would divide by it


class MovingAverage(Frozen):
    """w ∝ (Σ of all tasks' mean losses) / (the task's own), over its last few updates: all losses weigh alike.

    Source: He & Choi (EMNLP 2021, 2021.emnlp-main.451), whose code takes the ratio itself, at least 1 and K where
    all losses are equal, and counts the loss of the update under way. Here the weights are divided by their
    mean, so that K tasks' weights sum to K and the size of an update does not depend on K, and the update under
    way is not known yet. A task that was in no update so far has the weight 1.
    """

    name: Literal["moving_average"] = "moving_average"
    window_updates: int = Field(default=5, gt=0)
    """Updates with a task over which its loss is averaged."""

    def build(self, tasks: Sequence[str], seed: int) -> RunningWeighting:
        """The weighting of these tasks; nothing in it is random."""
        return _RunningMovingAverage(tasks, self.window_updates)


class _RunningMovingAverage:
    needs_losses = True

    def __init__(self, tasks: Sequence[str], window_updates: int) -> None:
        self._window_updates = window_updates
        self._recent: dict[str, deque[float]] = {task: deque(maxlen=window_updates) for task in tasks}
        self._weights = self._from_recent()

    def _from_recent(self) -> dict[str, float]:
        means = {task: max(sum(recent) / len(recent), _SMALLEST) for task, recent in self._recent.items() if recent}
        ratios = {task: sum(means.values()) / mean for task, mean in means.items()}
        return {
            task: ratios[task] * len(ratios) / sum(ratios.values()) if task in ratios else 1.0 for task in self._recent
        }

    def weight(self, task: str) -> float:
        return self._weights[task]

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        for task, loss in values_of(losses).items():
            self._recent[task].append(loss)
        self._weights = self._from_recent()

    def after_epoch(self) -> None:
        """Only updates count."""

    def measured(self) -> dict[str, float]:
        return dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {task: list(recent) for task, recent in self._recent.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._recent = {task: deque(losses, maxlen=self._window_updates) for task, losses in state.items()}
        self._weights = self._from_recent()
