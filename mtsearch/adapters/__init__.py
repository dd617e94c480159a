"""Adapters: small layers of each task's own beside the encoder's. One file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.adapters.none import NoAdapters
from mtsearch.adapters.pal import Pal

__all__ = ["Adapters", "NoAdapters", "Pal"]

Adapters = Annotated[NoAdapters | Pal, Field(discriminator="name")]
