"""The task samplers: which task's examples an epoch draws, how many, and in what order."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.samplers.annealed import Annealed
from mtsearch.samplers.proportional import Proportional
from mtsearch.samplers.round_robin import RoundRobin
from mtsearch.samplers.sqrt import SquareRoot
from mtsearch.samplers.temperature import Temperature
from mtsearch.samplers.uniform import Uniform

__all__ = ["Annealed", "Proportional", "RoundRobin", "Sampler", "SquareRoot", "Temperature", "Uniform"]

Sampler = Annotated[
    Uniform | Proportional | SquareRoot | Temperature | Annealed | RoundRobin, Field(discriminator="name")
]
