"""The same number of examples of every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.samplers.contract import shuffled

__all__ = ["Uniform"]


class Uniform(Frozen):
    """A fixed number of examples per task and epoch, batches in random order.

    A task with fewer examples than that gives all it has, once. 10,000 is the Göttingen study's number.
    """

    name: Literal["uniform"] = "uniform"
    examples_per_task: int = Field(default=10_000, gt=0)
    """Examples of each task in one epoch, or as many as the task has."""
    mixed: bool = False
    """Whether an update holds up to ``training.accumulation`` batches of each task, rather than of all together."""

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """Examples to draw of each task in one epoch."""
        return {task: min(size, self.examples_per_task) for task, size in sizes.items()}

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """Every task's batches in one random order."""
        return shuffled(num_batches, rng)
