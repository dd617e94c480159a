"""What a source of tags decides, and the fields that all of them have."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.data.piece_tags import Tagger
from mtsearch.data.word_tags import TagLayer
from mtsearch.model.extension import ExtensionMethod

__all__ = ["TagConfig", "TagSource"]


class TagSource(ExtensionMethod, Protocol):
    """The frozen config of a source of tags."""

    @property
    def tag_layers(self) -> tuple[TagLayer, ...]:
        """Which tags the encoder sees."""

    def tagger(self, *, is_cached: bool) -> Tagger | None:
        """What gives texts their tags, in all layers that it knows; None if the encoder sees none.

        Args:
            is_cached: whether it may keep on disk what it told of a text.

        Raises:
            ConfigError: what it needs is not there.
        """


class TagConfig(Frozen):
    """The fields that every source has."""

    layers: Literal["pos", "entities", "both"] = "both"
    """Parts of speech, kinds of named entities, or both; their embeddings add up."""
    init_std: float = Field(default=0.0, ge=0)
    """Standard deviation of the tags' initial embeddings; 0 starts as the plain encoder."""

    @property
    def tag_layers(self) -> tuple[TagLayer, ...]:
        """Which tags the encoder sees."""
        every: tuple[TagLayer, ...] = get_args(TagLayer)
        return tuple(layer for layer in every if self.layers in (layer, "both"))
