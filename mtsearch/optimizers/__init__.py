"""The optimizers: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.optimizers.adamw import AdamW

__all__ = ["AdamW", "Optimizer"]

Optimizer = Annotated[AdamW, Field(discriminator="name")]
