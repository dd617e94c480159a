"""Augmentation: altered copies of training examples. One file for each method, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.augmentation.eda import Eda
from mtsearch.augmentation.none import NoAugmentation

__all__ = ["Augmentation", "Eda", "NoAugmentation"]

Augmentation = Annotated[NoAugmentation | Eda, Field(discriminator="name")]
