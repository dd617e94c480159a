"""The trial schedulers: which running trials are stopped early."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mtsearch.config.base import Frozen

__all__ = ["Asha", "NoScheduler", "Scheduler"]


class Asha(Frozen):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), the stopping variant.

    Rungs lie at ``grace · reduction_factor^k`` evaluations; at a rung a trial goes on if its score is in the
    top 1/reduction_factor of those that reached it so far.
    """

    name: Literal["asha"] = "asha"
    grace: int = Field(default=1, gt=0)
    """Evaluations that every trial gets."""
    reduction_factor: float = Field(default=3, gt=1)
    """A rung lets one in this many go on."""


class NoScheduler(Frozen):
    """Every trial runs to its end."""

    name: Literal["none"] = "none"


Scheduler = Annotated[Asha | NoScheduler, Field(discriminator="name")]
