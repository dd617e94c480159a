"""Gradient surgery: what becomes of tasks' gradients that disagree. One file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.surgery.gradvac import GradVac
from mtsearch.surgery.none import NoSurgery
from mtsearch.surgery.pcgrad import PCGrad

__all__ = ["GradVac", "NoSurgery", "PCGrad", "Surgery"]

Surgery = Annotated[NoSurgery | PCGrad | GradVac, Field(discriminator="name")]
