"""Tasks in proportion to their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.samplers.contract import shuffled
from mtsearch.samplers.shares import power_quotas

__all__ = ["Proportional"]


class Proportional(Frozen):
    """p ∝ N: each task's share of an epoch is its share of all examples, batches in random order."""

    name: Literal["proportional"] = "proportional"
    examples_per_epoch: int | None = Field(default=None, gt=0)
    """Examples of all tasks together in one epoch; null takes every example once."""
    mixed: bool = False
    """Whether an update holds up to ``training.accumulation`` batches of each task, rather than of all together."""

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """Examples to draw of each task: the same in every epoch."""
        return power_quotas(sizes, 1.0, self.examples_per_epoch)

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """Every task's batches in one random order."""
        return shuffled(num_batches, rng)
