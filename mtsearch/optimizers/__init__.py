"""The optimizers: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.optimizers.adamw import AdamW
from mtsearch.optimizers.sophiah import SophiaH

__all__ = ["AdamW", "Optimizer", "SophiaH"]

Optimizer = Annotated[AdamW | SophiaH, Field(discriminator="name")]
