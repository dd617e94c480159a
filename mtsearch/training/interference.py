"""How far the tasks' gradients agreed between two evaluations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from mtsearch.training.gradients import cosines
from mtsearch.training.report import Interference

__all__ = ["Agreement"]


class Agreement:
    """Mean cosines of all pairs of tasks; measurements stay on the device until they are asked for.

    Args:
        tasks: all of them, in the order of the config.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = list(tasks)
        self._measured: list[tuple[list[str], Tensor]] = []

    def add(self, tasks: list[str], gramian_KK: Tensor) -> None:
        """Count a measurement.

        Args:
            tasks: those in it, in the order of the config.
            gramian_KK: the inner products of their gradients.
        """
        self._measured.append((tasks, cosines(gramian_KK)))

    def means(self) -> tuple[Interference, ...]:
        """A pair whose gradients were always zero or not finite is left out."""
        found = []
        for first, second in itertools.combinations(self._tasks, 2):
            of_pair = [
                matrix[tasks.index(first), tasks.index(second)]
                for tasks, matrix in self._measured
                if first in tasks and second in tasks
            ]
            values = torch.stack(of_pair) if of_pair else torch.zeros(0)
            values = values[values.isfinite()]
            if len(values):
                found.append(Interference(first, second, float(values.mean()), len(values)))
        return tuple(found)
