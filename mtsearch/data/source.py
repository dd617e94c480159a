"""Where a task's examples come from: the ``data`` field of a task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mtsearch.config.base import Frozen, NameOrPath

__all__ = ["ColumnRole", "DataField", "DataSource", "FileFormat", "SplitName"]

SplitName = Literal["train", "dev", "test"]
_TagRole = Literal["pos", "pos_a", "pos_b", "entities", "entities_a", "entities_b"]
ColumnRole = Literal["text", "text_a", "text_b", "words", "label", "id", _TagRole]
_TextFormat = Literal["cs224n", "csv", "tsv", "jsonl", "glue", "snli", "label_first", "trec"]
_StructuredFormat = Literal["conllu", "columns", "brackets", "props", "propositions", "squad"]
FileFormat = Literal[_TextFormat, _StructuredFormat]
"""The keys of :data:`mtsearch.data.readers.READERS`, which says what each is."""


class DataSource(Frozen):
    """A data set: a name of the catalogue, a folder, a data set of the hub, or a layer of the sample corpus."""

    source: NameOrPath = Field(min_length=1)
    """A catalogue name (``sst5``), a path to a folder, ``hub:OWNER/NAME``, or ``sample:LAYER``."""
    format: FileFormat | Literal["auto", "hub"] = "auto"
    """How the files are laid out; ``auto`` takes the catalogue's word or the file's ending, ``hub`` reads a
    local folder in the hub's layout."""
    layer: str | None = None
    """Which annotation to read where a set carries several (``sick``: relatedness or entailment; a CoNLL-U file:
    ``upos``, ``xpos`` or ``dependencies``). Null takes the set's usual one, or the one that the kind of task is for."""
    columns: dict[ColumnRole, str] = Field(default_factory=dict)
    """Which column holds what: keys ``text`` (or ``text_a`` and ``text_b``, or ``words``), ``label``, ``id``. Column
    numbers, from 1, say that a csv or tsv file has no header. Common names need no mapping. Gold tags, for
    ``tags.name: columns``, are in ``pos`` and ``entities`` (or ``pos_a`` and ``pos_b`` ..): a list, or tags with white
    space between them, one for each word between white space of the text."""
    splits: dict[SplitName, str] = Field(default_factory=dict)
    """The file (or hub split) of each split, relative to the source's folder."""
    subset: str | None = None
    """The configuration of a hub data set (``mrpc`` of ``hub:nyu-mll/glue``)."""
    limit: int | None = Field(default=None, gt=0)
    """At most this many examples of each split, the first ones of the file."""
    max_bad_ratio: float = Field(default=0.05, ge=0.0, le=1.0)
    """The largest share of refused rows in a file; more is an error."""


def _from_name(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


DataField = Annotated[DataSource, BeforeValidator(_from_name, json_schema_input_type=str | DataSource)]
"""A ``data`` field: a bare name stands for ``{source: NAME}``."""
