"""Tasks in strict turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen

__all__ = ["RoundRobin"]


class RoundRobin(Frozen):
    """One batch of each task in turn, in the order of the config."""

    name: Literal["round_robin"] = "round_robin"
    examples_per_task: int | None = Field(default=None, gt=0)
    """Examples of each task in one epoch; a smaller task starts again. Null takes the largest task's size."""
    mixed: bool = False
    """Whether an update holds up to ``training.accumulation`` batches of each task, rather than of all together."""

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """The same number of examples of every task, smaller tasks repeated."""
        return dict.fromkeys(sizes, self.examples_per_task or max(sizes.values()))

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """The tasks in turn, in the order of the config."""
        rounds = max(num_batches.values())
        return [task for turn in range(rounds) for task, count in num_batches.items() if turn < count]
