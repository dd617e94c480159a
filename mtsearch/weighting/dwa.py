"""Weights for the tasks whose losses fall the slowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.weighting.contract import RunningWeighting
from mtsearch.weighting.softmax import softmax_weights

__all__ = ["DynamicWeightAverage"]


class DynamicWeightAverage(Frozen):
    """w = K·softmax(r / temperature), r a task's mean loss in the last epoch over that in the one before.

    In the first two epochs every weight is 1. K tasks' weights sum to K.

    Source: Liu et al. (2019, arXiv 1803.10704), equation 7.
    """

    name: Literal["dwa"] = "dwa"
    temperature: float = Field(default=2.0, gt=0)
    """The higher, the closer the weights are to 1."""

    def build(self, tasks: Sequence[str], seed: int) -> RunningWeighting:
        """The weighting of these tasks; nothing in it is random."""
        return _RunningDwa(tasks, self.temperature)


class _RunningDwa:
    needs_losses = True

    def __init__(self, tasks: Sequence[str], temperature: float) -> None:
        self._temperature = temperature
        # Sums stay on the device, which is waited for once an epoch.
        self._sums: dict[str, float | Tensor] = dict.fromkeys(tasks, 0.0)
        self._updates = dict.fromkeys(tasks, 0)
        self._means: dict[str, list[float]] = {task: [] for task in tasks}  # of the last two epochs
        self._weights = self._from_means()

    def _from_means(self) -> dict[str, float]:
        return softmax_weights({task: _ratio(means) / self._temperature for task, means in self._means.items()})

    def weight(self, task: str) -> float:
        return self._weights[task]

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        for task, loss in losses.items():
            self._sums[task] = self._sums[task] + loss
            self._updates[task] += 1

    def after_epoch(self) -> None:
        for task, updates in self._updates.items():
            if updates:
                self._means[task] = [*self._means[task][-1:], float(self._sums[task]) / updates]
        self._sums = dict.fromkeys(self._sums, 0.0)
        self._updates = dict.fromkeys(self._updates, 0)
        self._weights = self._from_means()

    def measured(self) -> dict[str, float]:
        return dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": {task: float(total) for task, total in self._sums.items()},
            "updates": dict(self._updates),
            "means": {task: list(means) for task, means in self._means.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums, self._updates, self._means = dict(state["sums"]), dict(state["updates"]), dict(state["means"])
        self._weights = self._from_means()


def _ratio(means: Sequence[float]) -> float:
    if len(means) < 2 or means[0] == 0:  # a loss of 0 cannot fall
        return 1.0
    return means[1] / means[0]
