"""No weighting: the plain sum of the tasks' losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.weighting.contract import RunningWeighting

__all__ = ["Static"]


class Static(Frozen):
    """Every task's loss counts as its own ``weight`` says, from the first update to the last."""

    name: Literal["static"] = "static"

    def build(self, tasks: Sequence[str], seed: int) -> RunningWeighting:
        """The weighting of these tasks; nothing in it is random."""
        return _RunningStatic(tasks)


class _RunningStatic:
    needs_losses = False

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = tuple(tasks)

    def weight(self, task: str) -> float:
        return 1.0

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        """Losses do not move it."""

    def after_epoch(self) -> None:
        """Epochs do not move it."""

    def measured(self) -> dict[str, float]:
        return dict.fromkeys(self._tasks, 1.0)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is none."""
