"""The learning-rate schedules: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.schedules.constant import Constant
from mtsearch.schedules.cosine import Cosine
from mtsearch.schedules.linear import Linear
from mtsearch.schedules.plateau import Plateau

__all__ = ["Constant", "Cosine", "Linear", "Plateau", "Schedule"]

Schedule = Annotated[Constant | Linear | Cosine | Plateau, Field(discriminator="name")]
