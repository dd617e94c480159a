"""Weights learned as the tasks' uncertainties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.weighting.contract import RunningWeighting, values_of

__all__ = ["Uncertainty"]

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # of Adam, as in its paper
_SMALLEST = -20.0  # the log-variance of a task whose loss is 0 would fall for ever


class Uncertainty(Frozen):
    """Homoscedastic uncertainty: minimise Σ exp(-s)·L + s/2 over the tasks' log-variances s = log σ², too.

    The weight is exp(-s), 1 at the start, and tends to 1/(2L). A task's s learns by Adam on the
    derivative 1/2 - exp(-s)·L, in the updates that the task is part of.

    Source: Kendall et al. (2018, arXiv 1705.07115), equation 10 with s in place of log σ². This is the paper's
    form for classification, taken for every task: its form for regression, exp(-s)·L/2 + s/2, is the same
    function of s - log 2, up to a constant, so that it would only start from the weight 1/2.
    """

    name: Literal["uncertainty"] = "uncertainty"
    lr: float = Field(default=1e-3, gt=0, le=0.1)
    """Learning rate of the log-variances, per update: about the largest step of a weight's logarithm."""

    def build(self, tasks: Sequence[str], seed: int) -> RunningWeighting:
        """The weighting of these tasks; nothing in it is random."""
        return _RunningUncertainty(tasks, self.lr)


@dataclass
class _LogVariance:
    """A task's s with its Adam."""

    value: float = 0.0
    first_moment: float = 0.0
    second_moment: float = 0.0
    updates: int = 0

    def descend(self, gradient: float, lr: float) -> None:
        self.updates += 1
        self.first_moment += (1 - _BETA1) * (gradient - self.first_moment)
        self.second_moment += (1 - _BETA2) * (gradient * gradient - self.second_moment)
        first = self.first_moment / (1 - _BETA1**self.updates)
        second = self.second_moment / (1 - _BETA2**self.updates)
        self.value = max(self.value - lr * first / (math.sqrt(second) + _EPS), _SMALLEST)


class _RunningUncertainty:
    needs_losses = True

    def __init__(self, tasks: Sequence[str], lr: float) -> None:
        self._log_variances = {task: _LogVariance() for task in tasks}
        self._lr = lr

    def weight(self, task: str) -> float:
        return math.exp(-self._log_variances[task].value)

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        for task, loss in values_of(losses).items():
            self._log_variances[task].descend(0.5 - self.weight(task) * loss, self._lr)

    def after_epoch(self) -> None:
        """Only updates count."""

    def measured(self) -> dict[str, float]:
        return {task: self.weight(task) for task in self._log_variances}

    def state_dict(self) -> dict[str, Any]:
        return {task: asdict(log_variance) for task, log_variance in self._log_variances.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._log_variances = {task: _LogVariance(**saved) for task, saved in state.items()}
