"""GradVac: pull gradients together that disagree more than they used to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.surgery.contract import RunningSurgery
from mtsearch.surgery.gramians import Matrix, Orders, Vector, order_generator, random_orders, solve_on_host

__all__ = ["GradVac", "vaccinated"]

_LARGEST_TARGET = 1 - 1e-6  # at a cosine of 1 the formula divides by 0; Gramians in float32 are no more exact than this


class GradVac(Frozen):
    """Gradient vaccine (Wang et al. 2021, arXiv 2010.05874, algorithm 1).

    Every ordered pair of tasks has a target, the running mean of the cosine between their gradients. A gradient whose
    cosine with another's lies below the target gets as much of the other's as lifts it there. The targets start at 0,
    so that the first update is PCGrad's.
    """

    name: Literal["gradvac"] = "gradvac"
    beta: float = Field(default=1e-2, gt=0, le=1)
    """Share of a new cosine in the running mean, per update; 0.01 is the paper's."""

    def build(self, tasks: Sequence[str], seed: int) -> RunningSurgery | None:
        """The method at work on these tasks; ``seed`` is of the random orders."""
        return _RunningGradVac(tasks, self.beta, order_generator(seed))


class _RunningGradVac:
    def __init__(self, tasks: Sequence[str], beta: float, rng: np.random.Generator) -> None:
        self._beta = beta
        self._rng = rng
        self._tasks = list(tasks)
        self._targets = np.zeros((len(tasks), len(tasks)))

    def coefficients(self, gramian_KK: Tensor, tasks: Sequence[str]) -> Tensor:
        orders = random_orders(len(tasks), self._rng)
        present = [self._tasks.index(task) for task in tasks]

        def solve(gramian: Matrix) -> Vector:
            pairs = np.ix_(present, present)
            coefficients, self._targets[pairs] = vaccinated(gramian, self._targets[pairs], self._beta, orders)
            return coefficients

        return solve_on_host(gramian_KK, solve)

    def state_dict(self) -> dict[str, Any]:
        targets = [dict(zip(self._tasks, row, strict=True)) for row in self._targets.tolist()]
        return {"rng": self._rng.bit_generator.state, "targets": dict(zip(self._tasks, targets, strict=True))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        self._targets = np.array([[state["targets"][a][b] for b in self._tasks] for a in self._tasks])


def vaccinated(gramian: Matrix, targets: Matrix, beta: float, orders: Orders) -> tuple[Vector, Matrix]:
    """Coefficients of the sum of all vaccinated gradients, and the targets after this update.

    A pair's target moves towards its cosine whether or not the gradient was changed. A pair in which one gradient is
    zero has no cosine: nothing happens to it.

    Args:
        gramian: [K, K], finite.
        targets: [K, K], the cosine that gradient i should have at least with gradient j.
        beta: share of the new cosine in the running mean.
        orders: for each task, the other tasks in the order in which its gradient meets theirs.
    """
    total, targets = np.zeros(len(gramian)), targets.copy()
    norms = np.sqrt(np.diag(gramian))
    for i, others in enumerate(orders):
        own = np.zeros(len(gramian))  # the gradient of task i, as a combination of all tasks' gradients
        own[i] = 1.0
        for j in others:
            norm = math.sqrt(max(float(own @ gramian @ own), 0.0))
            if norm == 0 or norms[j] == 0:
                continue
            cosine = float(np.clip(own @ gramian[j] / (norm * norms[j]), -1, 1))
            target = min(targets[i, j], _LARGEST_TARGET)
            if cosine < target:
                sine, target_sine = math.sqrt(1 - cosine**2), math.sqrt(1 - target**2)
                own[j] += norm * (target * sine - cosine * target_sine) / (norms[j] * target_sine)
            targets[i, j] += beta * (cosine - targets[i, j])
        total += own
    return total, targets
