"""Tasks in proportion to their sizes at first, and nearly alike at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.samplers.contract import shuffled
from mtsearch.samplers.shares import power_quotas

__all__ = ["Annealed"]


class Annealed(Frozen):
    """p ∝ N^α with α = 1 - 0.8·(e - 1)/(E - 1) in epoch e of E, batches in random order.

    From proportional in the first epoch to α = 0.2 in the last; a training of one epoch has α = 0.2.

    Source: Stickland & Murray (2019, arXiv 1902.02671); N counts examples.
    """

    name: Literal["annealed"] = "annealed"
    examples_per_epoch: int | None = Field(default=None, gt=0)
    """Examples of all tasks together in one epoch; null takes as many as the tasks have together."""
    mixed: bool = False
    """Whether an update holds up to ``training.accumulation`` batches of each task, rather than of all together."""

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """Examples to draw of each task in this epoch."""
        done = epoch / (epochs - 1) if epochs > 1 else 1.0
        return power_quotas(sizes, 1.0 - 0.8 * done, self.examples_per_epoch)

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """Every task's batches in one random order."""
        return shuffled(num_batches, rng)
