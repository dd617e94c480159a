"""Random weights: the control that every weighting should beat."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.weighting.contract import RunningWeighting
from mtsearch.weighting.softmax import softmax_weights

__all__ = ["RandomWeights"]


class RandomWeights(Frozen):
    """w = K·softmax(z), z drawn from a standard normal distribution for each task and update.

    Source: Lin et al. (2022, arXiv 2111.10603), random loss weighting with normal draws. The paper's weights sum to 1;
    here K tasks' weights sum to K, so that an update is as large as without weighting.
    """

    name: Literal["random"] = "random"

    def build(self, tasks: Sequence[str], seed: int) -> RunningWeighting:
        """The weighting of these tasks; ``seed`` decides its draws, which no other random choice shares."""
        return _RunningRandom(tasks, seed)


class _RunningRandom:
    needs_losses = False

    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        self._tasks, self._seed = tuple(tasks), seed
        self._updates = 0
        self._weights = self._draw()

    def _draw(self) -> dict[str, float]:
        # A generator for each update: the number of updates is all that a checkpoint needs, and every process
        # draws the same.
        rng = np.random.default_rng([self._seed, zlib.crc32(b"loss weights"), self._updates])
        return softmax_weights(dict(zip(self._tasks, rng.standard_normal(len(self._tasks)).tolist(), strict=True)))

    def weight(self, task: str) -> float:
        return self._weights[task]

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        self._updates += 1
        self._weights = self._draw()

    def after_epoch(self) -> None:
        """Only updates count."""

    def measured(self) -> dict[str, float]:
        return dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._updates = state["updates"]
        self._weights = self._draw()
