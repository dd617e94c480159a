"""Tags by spaCy."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mtsearch.config.base import NameOrPath
from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import Tagger, spelled_texts
from mtsearch.data.places import joined
from mtsearch.data.tag_cache import tags_of_texts
from mtsearch.data.word_tags import TagLayer, Word, WordTags
from mtsearch.errors import ConfigError
from mtsearch.model.extension import Extension, Host
from mtsearch.tags.contract import OpenExport, TagConfig
from mtsearch.tags.embeddings import TagEmbeddings

__all__ = ["Spacy"]

_LAYERS: tuple[TagLayer, ...] = ("pos", "entities")
_UNUSED = ("lemmatizer", "textcat", "textcat_multilabel")  # pipes that take time and on which no tag depends


class Spacy(TagConfig):
    """Universal parts of speech and kinds of named entities, by a pipeline of spaCy (extra ``spacy``).

    A text is tagged once, and its tags are kept on disk, with the words' places as spaCy finds them.
    """

    name: Literal["spacy"] = "spacy"
    pipeline: NameOrPath = Field(default="en_core_web_sm", min_length=1)
    """An installed pipeline, or a folder that one was saved to."""

    def tagger(self, *, is_cached: bool, open_export: OpenExport) -> Tagger | None:
        """The pipeline.

        Raises:
            ConfigError: spaCy or the pipeline is not there.
        """
        return _Pipeline(self.pipeline, _folder(self.pipeline), is_cached)

    def build(self, host: Host) -> Extension | None:
        """The tags' embeddings, hooked into the encoder."""
        return TagEmbeddings(host, self.init_std)


@dataclass(frozen=True)
class _Pipeline:
    """A pipeline, which is loaded when it is first needed.

    Attributes:
        name: as configured.
        folder: where its files are.
        is_cached: whether the tags of texts are kept on disk.
    """

    name: str
    folder: Path
    is_cached: bool

    def describe(self) -> str:
        import spacy

        try:
            meta = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(
                f"tags.pipeline: {self.name!r} must be a pipeline of spaCy, but its meta.json is damaged: {error}; "
                "install the pipeline again"
            ) from error
        return f"{self.name} {meta.get('version', '')} by spaCy {spacy.__version__}"

    def identity(self) -> str:
        import spacy

        return f"spacy {spacy.__version__} {_digest(self.folder)}"

    def tag(self, examples: Sequence[Example], layout: str) -> WordTags:
        texts = [joined(text) for text in spelled_texts(examples, layout)]
        return tags_of_texts(texts, self.identity(), self._tagged, _LAYERS) if self.is_cached else self._tagged(texts)

    def _tagged(self, texts: Sequence[str]) -> WordTags:
        pipeline = _loaded(self.name, self.folder)
        pipeline.max_length = max(pipeline.max_length, 1 + max(map(len, texts), default=0))  # it refuses longer ones
        return WordTags.of(
            (
                [
                    Word(token.idx, token.idx + len(token), (token.pos_, token.ent_type_))
                    for token in document
                    if not token.is_space
                ]
                for document in pipeline.pipe(texts)
            ),
            _LAYERS,
        )


def _folder(name: str) -> Path:
    if importlib.util.find_spec("spacy") is None:
        raise ConfigError(
            "tags.name: spacy needs the package spacy, which is not installed; pip install 'mtsearch[spacy]'"
        )

    folder = Path(name).expanduser()
    if (folder / "meta.json").is_file():
        return folder.resolve()
    if not folder.exists() and (package := _package(name)) is not None and (package / "meta.json").is_file():
        return package
    raise ConfigError(
        f"tags.pipeline: {name!r} must be an installed pipeline of spaCy or a folder of one, but is neither; "
        + ("check the path" if folder.name != name else f"install it with python -m spacy download {name}")
    )


def _package(name: str) -> Path | None:
    """Where an installed package is; spaCy also says of distributions that they are, whatever their packages' names."""
    import spacy

    try:
        found: Path | None = spacy.util.get_package_path(name) if spacy.util.is_package(name) else None
    except ImportError:
        return None
    return found


@lru_cache
def _digest(folder: Path) -> str:
    """Of all files of a pipeline; a process looks once."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1)
def _loaded(name: str, folder: Path) -> Any:
    import spacy

    try:
        return spacy.load(folder if (folder / "config.cfg").is_file() else name, exclude=_UNUSED)
    except Exception as error:  # its own, its dependencies' and builtin ones alike: each means that it is unusable
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ConfigError(
            f"tags.pipeline: {name!r} must be a pipeline of this version of spaCy ({spacy.__version__}), but loading "
            f"it gave: {reason}; install the pipeline again"
        ) from error
