"""The task samplers: which task's examples an epoch draws, how many, and in what order."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.samplers.proportional import Proportional
from mtsearch.samplers.round_robin import RoundRobin
from mtsearch.samplers.uniform import Uniform

__all__ = ["Proportional", "RoundRobin", "Sampler", "Uniform"]

Sampler = Annotated[Uniform | Proportional | RoundRobin, Field(discriminator="name")]
