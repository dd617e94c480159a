"""Tags by a model that mtsearch trained and exported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from mtsearch.config.base import NameOrPath
from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import Tagger, spelled_texts
from mtsearch.data.places import Spelled, word_starts
from mtsearch.data.tag_cache import tags_of_texts
from mtsearch.data.word_tags import TagLayer, Word, WordTags
from mtsearch.errors import ConfigError, RunError
from mtsearch.model.extension import Extension, Host
from mtsearch.tags.contract import Export, OpenExport, TagConfig
from mtsearch.tags.embeddings import TagEmbeddings
from mtsearch.tags.treebank_words import treebank_words

__all__ = ["ExportedTags"]

_KINDS: Mapping[TagLayer, str] = {"pos": "tagging", "entities": "ner"}
_WORDS = 1  # raised whenever other words are found in a text


class ExportedTags(TagConfig):
    """The tags that a model predicts which ``mtsearch export`` wrote: of its task of kind ``tagging``, or ``ner``.

    It runs on the CPU in fp32, so that a text has the same tags wherever the trial runs. A text is tagged once, and its
    tags are kept on disk. Words are as the data gives them; in running text they are found as treebanks have them,
    with punctuation and English contractions apart (``do n't``), which suits models trained on such words. An export of
    a trial that uses these tags takes their model along.
    """

    name: Literal["exported"] = "exported"
    folder: NameOrPath = Field(min_length=1)
    """The folder that ``mtsearch export`` wrote."""
    pos_task: str | None = None
    """Its task that tells parts of speech, of kind ``tagging``; null takes its only one."""
    entities_task: str | None = None
    """Its task that finds entities, of kind ``ner``; null takes its only one."""

    def tagger(self, *, is_cached: bool, open_export: OpenExport) -> Tagger | None:
        """The model.

        Raises:
            ConfigError: the folder is no export, or has no such task.
        """
        try:
            export = open_export(Path(self.folder).expanduser())
        except RunError as error:
            raise ConfigError(f"tags.folder: {error}") from error
        return _Model(export, tuple((layer, self._task(layer, export.kinds)) for layer in self.tag_layers), is_cached)

    def build(self, host: Host) -> Extension | None:
        """The tags' embeddings, hooked into the encoder."""
        return TagEmbeddings(host, self.init_std)

    def _task(self, layer: TagLayer, kinds: Mapping[str, str]) -> str:
        """The task that gives a layer's tags."""
        asked, wanted = {"pos": self.pos_task, "entities": self.entities_task}[layer], _KINDS[layer]
        fitting = [task for task, kind in kinds.items() if kind == wanted]
        known = ", ".join(f"{task} ({kind})" for task, kind in kinds.items())
        if asked is not None and asked not in fitting:
            raise ConfigError(
                f"tags.{layer}_task: must be a task of kind {wanted}, but got {asked!r}; {self.folder} has {known}"
            )
        if not fitting:
            raise ConfigError(
                f"tags.layers: {layer} must come from a task of kind {wanted}, but {self.folder} has {known}; "
                f"leave out {layer}, or take another export"
            )
        if asked is None and len(fitting) > 1:
            raise ConfigError(
                f"tags.{layer}_task: must say which task is meant, since {self.folder} has several of kind {wanted}: "
                f"{', '.join(fitting)}"
            )
        return asked or fitting[0]


@dataclass(frozen=True)
class _Model:
    """An export that tags.

    Attributes:
        export: with its tasks.
        tasks: which of them gives the tags of which layer.
        is_cached: whether the tags of words are kept on disk.
    """

    export: Export
    tasks: tuple[tuple[TagLayer, str], ...]
    is_cached: bool

    def describe(self) -> str:
        tasks = " and ".join(f"{layer} by its task {task}" for layer, task in self.tasks)
        return f"{self.export.folder}, {tasks}"

    def identity(self) -> str:
        tasks = " ".join(f"{layer}={task}" for layer, task in self.tasks)
        return f"mtsearch {self.export.content_hash} {tasks} words={_WORDS}"

    def tag(self, examples: Sequence[Example], layout: str) -> WordTags:
        texts = spelled_texts(examples, layout)
        places = [_places(text) for text in texts]
        sentences = [_sentence(text, spans) for text, spans in zip(texts, places, strict=True)]
        flat = np.array([span for spans in places for span in spans], dtype=np.int32).reshape(-1, 2)
        of_layers = [self._of_layer(layer, task, sentences) for layer, task in self.tasks]
        return WordTags(
            np.array([0, *accumulate(map(len, places))], dtype=np.int64),
            flat[:, 0].copy(),
            flat[:, 1].copy(),
            {layer: tags.numbers[layer] for (layer, _), tags in zip(self.tasks, of_layers, strict=True)},
            {layer: tags.names[layer] for (layer, _), tags in zip(self.tasks, of_layers, strict=True)},
        )

    def _of_layer(self, layer: TagLayer, task: str, sentences: Sequence[str]) -> WordTags:
        """The tags of the words of sentences that :func:`_sentence` made; not where they stand."""

        def tagged(some: Sequence[str]) -> WordTags:
            return WordTags.of(self._told(layer, task, [tuple(json.loads(words)) for words in some]), (layer,))

        # By words, not by text: what they are decides their tags, and which task gives them.
        key = f"mtsearch {self.export.content_hash} {task}"
        return tags_of_texts(sentences, key, tagged, (layer,)) if self.is_cached else tagged(sentences)

    def _told(self, layer: TagLayer, task: str, sentences: Sequence[tuple[str, ...]]) -> Iterator[list[Word]]:
        are_blank = [not any(word.strip() for word in words) for words in sentences]
        seen = [words for words, is_blank in zip(sentences, are_blank, strict=True) if not is_blank]
        told = iter(self.export.predict(task, seen))
        for words, is_blank in zip(sentences, are_blank, strict=True):
            tags = [""] * len(words) if is_blank else _tags(layer, next(told)["prediction"], len(words))
            yield [Word(0, 0, (tag,)) for tag in tags]


def _places(text: Spelled) -> list[tuple[int, int]]:
    if isinstance(text, str):
        return treebank_words(text)
    return [(start, start + len(word)) for start, word in zip(word_starts(text), text, strict=True)]


def _sentence(text: Spelled, places: Sequence[tuple[int, int]]) -> str:
    """The words as one string, which other words never have."""
    return json.dumps([text[start:end] for start, end in places] if isinstance(text, str) else list(text))


def _tags(layer: TagLayer, prediction: Any, num_words: int) -> list[str]:
    """The tag of each word, "" for none."""
    if layer == "pos":
        return list(prediction)
    tags = [""] * num_words
    for start, end, label in prediction:
        tags[start:end] = [label] * (end - start)
    return tags
