"""Pruning of attention heads while training: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.pruning.l0 import L0
from mtsearch.pruning.none import NoPruning

__all__ = ["L0", "NoPruning", "Pruning"]

Pruning = Annotated[NoPruning | L0, Field(discriminator="name")]
