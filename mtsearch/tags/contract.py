"""What a source of tags decides, and the fields that all of them have."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.data.piece_tags import Tagger
from mtsearch.data.word_tags import TagLayer
from mtsearch.model.extension import ExtensionMethod

__all__ = ["Export", "OpenExport", "TagConfig", "TagSource"]


class Export(Hashable, Protocol):
    """A trained model in a folder of its own (``mtsearch export``), as far as tags come from it."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    @property
    def content_hash(self) -> str:
        """Of all that decides what it predicts."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each of its tasks."""

    def predict(self, task: str, texts: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
        """What the model says of sentences given as words: a dict with ``prediction`` for each."""


OpenExport: TypeAlias = Callable[[Path], Export]
"""Finds the export in a folder, or raises RunError; the model is loaded when it is first asked."""


class TagSource(ExtensionMethod, Protocol):
    """The frozen config of a source of tags."""

    @property
    def tag_layers(self) -> tuple[TagLayer, ...]:
        """Which tags the encoder sees."""

    def tagger(self, *, is_cached: bool, open_export: OpenExport) -> Tagger | None:
        """What gives texts their tags, in all layers that it knows; None if the encoder sees none.

        Args:
            is_cached: whether it may keep on disk what it told of a text.
            open_export: how a trained model is found, for a source that is one.

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
