"""No tags: the encoder sees words alone."""

from __future__ import annotations

from typing import Literal

from mtsearch.config.base import Frozen
from mtsearch.data.piece_tags import Tagger
from mtsearch.data.word_tags import TagLayer
from mtsearch.model.extension import Extension, Host
from mtsearch.tags.contract import OpenExport

__all__ = ["NoTags"]


class NoTags(Frozen):
    """The encoder's own input embeddings."""

    name: Literal["none"] = "none"

    @property
    def tag_layers(self) -> tuple[TagLayer, ...]:
        """None."""
        return ()

    def tagger(self, *, is_cached: bool, open_export: OpenExport) -> Tagger | None:
        """None."""
        return None

    def build(self, host: Host) -> Extension | None:
        """Nothing."""
        return None
