"""Tags beside the words: parts of speech and named entities as a further input. One file a source, and the table."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.tags.columns import Columns
from mtsearch.tags.exported import ExportedTags
from mtsearch.tags.none import NoTags
from mtsearch.tags.spacy import Spacy

__all__ = ["Columns", "ExportedTags", "NoTags", "Spacy", "Tags"]

Tags = Annotated[NoTags | Spacy | Columns | ExportedTags, Field(discriminator="name")]
