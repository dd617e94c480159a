"""PCGrad: each task's gradient gives up what points against another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.surgery.contract import RunningSurgery
from mtsearch.surgery.gramians import Matrix, Orders, Vector, order_generator, random_orders, solve_on_host

__all__ = ["PCGrad", "projected"]


class PCGrad(Frozen):
    """Projecting conflicting gradients (Yu et al. 2020, arXiv 2001.06782, algorithm 1).

    Where two gradients have a negative inner product, each is projected onto the plane normal to the other; the
    other tasks come in random order, and the projected gradients are summed.
    """

    name: Literal["pcgrad"] = "pcgrad"

    def build(self, tasks: Sequence[str], seed: int) -> RunningSurgery | None:
        """The method at work; ``seed`` is of the random orders."""
        return _RunningPCGrad(order_generator(seed))


class _RunningPCGrad:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def coefficients(self, gramian_KK: Tensor, tasks: Sequence[str]) -> Tensor:
        orders = random_orders(len(tasks), self._rng)
        return solve_on_host(gramian_KK, lambda gramian: projected(gramian, orders))

    def state_dict(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]


def projected(gramian: Matrix, orders: Orders) -> Vector:
    """Coefficients of the sum of all projected gradients.

    Args:
        gramian: [K, K], finite.
        orders: for each task, the other tasks in the order in which its gradient is projected.
    """
    total = np.zeros(len(gramian))
    for i, others in enumerate(orders):
        own = np.zeros(len(gramian))  # the gradient of task i, as a combination of all tasks' gradients
        own[i] = 1.0
        for j in others:
            inner_product = own @ gramian[j]
            if inner_product < 0 < gramian[j, j]:
                own[j] -= inner_product / gramian[j, j]
        total += own
    return total
