"""Which layers train when: one file for each method, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.unfreezing.everything import Everything
from mtsearch.unfreezing.gradual import Gradual
from mtsearch.unfreezing.layers import Layers

__all__ = ["Everything", "Gradual", "Layers", "Unfreezing"]

Unfreezing = Annotated[Everything | Gradual | Layers, Field(discriminator="name")]
