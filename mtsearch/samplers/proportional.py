"""Tasks in proportion to their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.samplers.contract import shuffled

__all__ = ["Proportional"]


class Proportional(Frozen):
    """p ∝ N: each task's share of an epoch is its share of all examples, batches in random order."""

    name: Literal["proportional"] = "proportional"
    examples_per_epoch: int | None = Field(default=None, gt=0)
    """Examples of all tasks together in one epoch; null takes every example once."""

    def quotas(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Examples to draw of each task: largest remainders, at least one each."""
        total = sum(sizes.values())
        wanted = self.examples_per_epoch or total
        exact = {task: wanted * size / total for task, size in sizes.items()}
        quotas = {task: int(share) for task, share in exact.items()}
        by_remainder = sorted(exact, key=lambda task: quotas[task] - exact[task])
        for task in by_remainder[: wanted - sum(quotas.values())]:
            quotas[task] += 1
        return {task: max(1, quota) for task, quota in quotas.items()}

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """Every task's batches in one random order."""
        return shuffled(num_batches, rng)
