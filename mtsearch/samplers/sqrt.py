"""Tasks in proportion to the square roots of their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.samplers.contract import shuffled
from mtsearch.samplers.shares import power_quotas

__all__ = ["SquareRoot"]


class SquareRoot(Frozen):
    """p ∝ √N: small tasks come more often than in proportion to size, batches in random order."""

    name: Literal["sqrt"] = "sqrt"
    examples_per_epoch: int | None = Field(default=None, gt=0)
    """Examples of all tasks together in one epoch; null takes as many as the tasks have together."""
    mixed: bool = False
    """Whether an update holds up to ``training.accumulation`` batches of each task, rather than of all together."""

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """Examples to draw of each task: the same in every epoch."""
        return power_quotas(sizes, 0.5, self.examples_per_epoch)

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """Every task's batches in one random order."""
        return shuffled(num_batches, rng)
