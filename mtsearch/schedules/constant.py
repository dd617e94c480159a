"""No schedule: the learning rate stays."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch.optim import Optimizer

from mtsearch.config.base import Frozen
from mtsearch.schedules.contract import RunningSchedule
from mtsearch.schedules.per_update import PerUpdate

__all__ = ["Constant"]


class Constant(Frozen):
    """A constant learning rate, after an optional warm-up."""

    name: Literal["none"] = "none"
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1)
    """Share of all updates over which the rate rises linearly from 0."""

    def build(self, optimizer: Optimizer, num_updates: int) -> RunningSchedule:
        """The schedule at work on ``optimizer`` for ``num_updates`` updates."""
        return PerUpdate("constant_with_warmup", optimizer, self.warmup_ratio, num_updates)
