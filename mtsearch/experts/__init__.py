"""Mixtures of experts in the encoder: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.experts.encoders import EncoderExperts
from mtsearch.experts.feed_forward import FeedForwardExperts
from mtsearch.experts.none import NoExperts

__all__ = ["EncoderExperts", "Experts", "FeedForwardExperts", "NoExperts"]

Experts = Annotated[NoExperts | FeedForwardExperts | EncoderExperts, Field(discriminator="name")]
