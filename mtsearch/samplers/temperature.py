"""Tasks in proportion to a power of their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.samplers.contract import shuffled
from mtsearch.samplers.shares import power_quotas

__all__ = ["Temperature"]


class Temperature(Frozen):
    """p ∝ N^tau, batches in random order: from equal shares (tau = 0) to proportional ones (tau = 1).

    N counts examples. The default is that of He & Choi (EMNLP 2021, 2021.emnlp-main.451), whose code counts
    batches: the same up to rounding where every example is one row and all tasks have one batch size.
    """

    name: Literal["temperature"] = "temperature"
    tau: float = Field(default=0.8, ge=0, le=1)
    """Exponent of a task's size."""
    examples_per_epoch: int | None = Field(default=None, gt=0)
    """Examples of all tasks together in one epoch; null takes as many as the tasks have together."""
    mixed: bool = False
    """Whether an update holds up to ``training.accumulation`` batches of each task, rather than of all together."""

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """Examples to draw of each task: the same in every epoch."""
        return power_quotas(sizes, self.tau, self.examples_per_epoch)

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """Every task's batches in one random order."""
        return shuffled(num_batches, rng)
