"""Gold tags that stand in the data set beside its texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from re import finditer
from typing import Literal

from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import Tagger, spelled_texts
from mtsearch.data.places import Spelled, word_starts
from mtsearch.data.word_tags import Word, WordTags
from mtsearch.errors import DataError
from mtsearch.model.extension import Extension, Host
from mtsearch.tags.contract import OpenExport, TagConfig
from mtsearch.tags.embeddings import TagEmbeddings

__all__ = ["Columns"]


class Columns(TagConfig):
    """The data sets' own tags: every task's data has them (``data.columns``). Such a model predicts on no bare text."""

    name: Literal["columns"] = "columns"

    def tagger(self, *, is_cached: bool, open_export: OpenExport) -> Tagger | None:
        """Reads the tags off the examples."""
        return _GoldTags()

    def build(self, host: Host) -> Extension | None:
        """The tags' embeddings, hooked into the encoder."""
        return TagEmbeddings(host, self.init_std)


@dataclass(frozen=True)
class _GoldTags:
    def describe(self) -> str:
        return "gold tags of the data"

    def identity(self) -> str:
        return "gold"

    def tag(self, examples: Sequence[Example], layout: str) -> WordTags:
        layers = tuple(examples[0].tags or ()) if examples else ()
        texts = iter(spelled_texts(examples, layout))
        words: list[list[Word]] = []
        for example in examples:
            gold = [(example.tags or {}).get(layer, ()) for layer in layers]
            if not gold or not all(gold):
                raise DataError(
                    "tags.name: columns needs gold tags for every text, but these have none; name their columns with "
                    "data.columns: {pos: NAME, entities: NAME}, or let spacy tag them"
                )
            words += [_words(next(texts), of_text) for of_text in zip(*gold, strict=True)]
        return WordTags.of(words, layers)


def _words(text: Spelled, tags: Sequence[Sequence[str]]) -> list[Word]:
    if isinstance(text, str):
        spans = [match.span() for match in finditer(r"\S+", text)]
    else:
        spans = [(start, start + len(word)) for start, word in zip(word_starts(text), text, strict=True)]
    return [Word(start, end, of) for (start, end), of in zip(spans, zip(*tags, strict=True), strict=True)]
