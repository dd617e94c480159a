"""The loss weightings: how the tasks' losses are weighed against each other; one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.weighting.dwa import DynamicWeightAverage
from mtsearch.weighting.moving_average import MovingAverage
from mtsearch.weighting.random_weights import RandomWeights
from mtsearch.weighting.static import Static
from mtsearch.weighting.uncertainty import Uncertainty

__all__ = ["DynamicWeightAverage", "MovingAverage", "RandomWeights", "Static", "Uncertainty", "Weighting"]

Weighting = Annotated[
    Static | Uncertainty | MovingAverage | DynamicWeightAverage | RandomWeights, Field(discriminator="name")
]
