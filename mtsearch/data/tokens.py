"""Tokenise once: a split's token ids in a memory-mapped Arrow file that all trials on a node share.

A file is named by what its content depends on (the examples, the tokenizer, the layout, the length), so
it is never stale. It is written under another name and renamed, and carries a digest of its columns: a
damaged file is found and made again. The least recently used files go when the cache outgrows its limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mtsearch.data.arrow_files import column_arrays, read_table, write_table
from mtsearch.data.cache import cache_folder, make_room
from mtsearch.data.examples import Example
from mtsearch.data.places import token_places

__all__ = ["Ragged", "TokenTable", "tokenise", "tokenise_uncached"]

_VERSION = 2
_CHUNK = 10_000  # examples per call of the tokenizer, which bounds its memory


@dataclass(frozen=True)
class Ragged:
    """Sequences of integers, end to end: sequence i is ``values[offsets[i]:offsets[i + 1]]``."""

    values: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each sequence."""
        return np.diff(self.offsets)

    def padded(self, rows: npt.NDArray[np.int64], fill: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The sequences of ``rows`` as [B, L], filled up on the right, and where they are real."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        positions = np.arange(int(lengths.max()))
        mask = positions < lengths[:, None]
        padded = np.full(mask.shape, fill, dtype=np.int64)
        padded[mask] = self.values[(starts[:, None] + positions)[mask]]
        return padded, mask


@dataclass(frozen=True)
class TokenTable:
    """The input rows of one split.

    Attributes:
        columns: ``ids``, and where they apply ``types`` (segment), ``words`` (word of each token, -1 for none),
            ``places`` (of each token's first character in its text, -1 for none) and ``sides`` (which text of the
            sequence that is), and the same with ``_2`` for the second sequence of a siamese pair.
        example: the example that each row comes from, ascending.
        num_cut: examples that were longer than the limit.
    """

    columns: dict[str, Ragged]
    example: npt.NDArray[np.int32]
    num_cut: int

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row; of the longer sequence where a row has two."""
        first = self.columns["ids"].lengths
        return np.maximum(first, self.columns["ids_2"].lengths) if "ids_2" in self.columns else first


def tokenise(
    examples: Sequence[Example],
    tokenizer: Any,
    layout: str,
    max_length: int,
    content_key: str,
    *,
    with_places: bool = False,
) -> TokenTable:
    """The input rows of ``examples``, from the cache where it has them.

    Args:
        examples: of one split, in file order.
        tokenizer: a fast tokenizer of transformers.
        layout: ``single``, ``pair``, ``siamese`` or ``words`` (:data:`mtsearch.tasks.contract.Layout`).
        max_length: tokens of a sequence, special ones included; longer ones are cut from the right (of the
            longer text of a pair), and counted.
        content_key: names the examples: the same key means the same texts in the same order.
        with_places: whether to tell where in its text each token stands.
    """
    key = {
        "version": _VERSION,
        "content": content_key,
        "tokenizer": _tokenizer_digest(tokenizer),
        "layout": layout,
        "max_length": max_length,
        **({"with_places": True} if with_places else {}),
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "tokens" / f"{name}.arrow"
    table = read_table(path)
    if table is None:
        table = _tokenised(examples, tokenizer, layout, max_length, with_places)
        # A full or read-only disk costs the next trial some seconds, not this one its life.
        with contextlib.suppress(OSError):
            write_table(table, path)
            table = read_table(path) or table
            if not make_room(0, keep=path):  # it alone is larger than the limit
                path.unlink(missing_ok=True)
    return _from_arrow(table)


@lru_cache(maxsize=8)
def _tokenizer_digest(tokenizer: Any) -> str:
    # The last call's truncation and padding stand in the serialised tokenizer too. What it gives beside ids does not:
    # DistilBERT's tokenizer is BERT's without segments.
    state = {
        **json.loads(tokenizer.backend_tokenizer.to_str()),
        "truncation": tokenizer.truncation_side,
        "padding": None,
        "inputs": tokenizer.model_input_names,
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def tokenise_uncached(
    examples: Sequence[Example], tokenizer: Any, layout: str, max_length: int, *, with_places: bool = False
) -> TokenTable:
    """The input rows of ``examples``, as :func:`tokenise` makes them, without a file."""
    return _from_arrow(_tokenised(examples, tokenizer, layout, max_length, with_places))


def _tokenised(
    examples: Sequence[Example], tokenizer: Any, layout: str, max_length: int, with_places: bool
) -> pa.Table:
    columns: dict[str, list[list[int]]] = {}
    num_cut = 0
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        cut = np.zeros(len(chunk), dtype=bool)
        for suffix, sides in _sides(chunk, layout):
            encoded = tokenizer(
                *sides, truncation="longest_first", max_length=max_length, is_split_into_words=layout == "words"
            )
            columns.setdefault(f"ids{suffix}", []).extend(encoded["input_ids"])
            if "token_type_ids" in encoded:
                columns.setdefault(f"types{suffix}", []).extend(encoded["token_type_ids"])
            if layout == "words":
                columns.setdefault("words", []).extend(
                    [-1 if word is None else word for word in encoding.word_ids] for encoding in encoded.encodings
                )
            if with_places:
                told = [token_places(*one) for one in zip(encoded.encodings, zip(*sides, strict=True), strict=True)]
                for name, numbers in zip(("places", "sides"), zip(*told, strict=True), strict=True):
                    columns.setdefault(f"{name}{suffix}", []).extend(numbers)
            cut |= [bool(encoding.overflowing) for encoding in encoded.encodings]
        num_cut += int(cut.sum())
    arrays: dict[str, pa.Array] = {
        column: pa.array(sequences, pa.large_list(pa.int32())) for column, sequences in columns.items()
    }
    arrays["example"] = pa.array(np.arange(len(examples), dtype=np.int32))
    return pa.table(arrays).replace_schema_metadata({"num_cut": str(num_cut)})


def _sides(examples: Sequence[Example], layout: str) -> list[tuple[str, tuple[list[Any], ...]]]:
    """Per sequence of a row: the column suffix and the tokenizer's positional arguments."""
    match layout:
        case "single":
            return [("", ([example.texts[0] for example in examples],))]
        case "pair":
            return [("", ([example.texts[0] for example in examples], [example.texts[1] for example in examples]))]
        case "siamese":
            return [
                (suffix, ([example.texts[side] for example in examples],)) for side, suffix in enumerate(("", "_2"))
            ]
        case "words":
            return [("", ([list(example.words or ()) for example in examples],))]
    raise ValueError(f"layout must be single, pair, siamese or words, but got {layout!r}")


def _from_arrow(table: pa.Table) -> TokenTable:
    columns = {name: Ragged(*column_arrays(table, name)) for name in table.column_names if name != "example"}
    (example,) = column_arrays(table, "example")
    return TokenTable(columns, example, int(table.schema.metadata[b"num_cut"]))
