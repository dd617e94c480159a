"""Cosine decay to zero."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch.optim import Optimizer

from mtsearch.config.base import Frozen
from mtsearch.schedules.contract import RunningSchedule
from mtsearch.schedules.per_update import PerUpdate

__all__ = ["Cosine"]


class Cosine(Frozen):
    """Linear warm-up from 0, then half a cosine to 0 at the last update (Loshchilov & Hutter 2017).

    One half wave over the whole trial: it does not restart at epochs.
    """

    name: Literal["cosine"] = "cosine"
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1)
    """Share of all updates over which the rate rises linearly from 0."""

    def build(self, optimizer: Optimizer, num_updates: int) -> RunningSchedule:
        """The schedule at work on ``optimizer`` for ``num_updates`` updates."""
        return PerUpdate("cosine", optimizer, self.warmup_ratio, num_updates)
