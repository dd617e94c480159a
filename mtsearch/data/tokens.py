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
from mtsearch.data.places import spaced, token_places
from mtsearch.data.windows import Window, text_words, windows_of

__all__ = ["Ragged", "TokenTable", "tokenise", "tokenise_uncached"]

_VERSION = 4
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
        columns: ``ids``, and where they apply ``types`` (segment), ``words`` (word of each token, counted from the
            row's first one, -1 for none),
            ``places`` (of each token's first character in its text, -1 for none) and ``sides`` (which text of the
            sequence that is), and the same with ``_2`` for the second sequence of a siamese pair.
        example: the example that each row comes from, ascending.
        num_cut: examples that were longer than the limit, and lost something.
        spans: the words ``[first, end)`` of its example that each row shows, [rows, 2]; None in the layouts without
            words.
    """

    columns: dict[str, Ragged]
    example: npt.NDArray[np.int32]
    num_cut: int
    spans: npt.NDArray[np.int32] | None = None

    @property
    def num_windowed(self) -> int:
        """Examples that take several rows."""
        return int((np.bincount(self.example) > 1).sum()) if len(self.example) else 0

    def windows(self, rows: Sequence[int]) -> list[Window]:
        """The windows that the rows of one example are."""
        assert self.spans is not None
        return windows_of([(first, end) for first, end in self.spans[list(rows)].tolist()])

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
        layout: ``single``, ``pair``, ``siamese``, ``words`` or ``question``
            (:data:`mtsearch.tasks.contract.Layout`).
        max_length: tokens of a sequence, special ones included; longer ones are cut from the right (of the
            longer text of a pair), and counted. Words, and the text that is asked about, take several rows instead,
            which overlap by a third; a question that is longer than a third is cut.
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
    made = _Rows(with_places)
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        match layout:
            case "words":
                _add_words(made, start, chunk, tokenizer, max_length)
            case "question":
                _add_questions(made, start, chunk, tokenizer, max_length)
            case _:
                _add_whole(made, start, chunk, tokenizer, layout, max_length)
    return made.to_arrow()


class _Rows:
    """Input rows in the making."""

    def __init__(self, with_places: bool) -> None:
        self._with_places = with_places
        self._columns: dict[str, list[Sequence[int]]] = {}
        self._spans: list[tuple[int, int]] = []
        self._examples: list[int] = []
        self.num_cut = 0

    def add(self, example: int) -> None:
        """A row of an example; its sequences follow."""
        self._examples.append(example)

    def add_sequence(self, encoded: Any, number: int, sides: Sequence[str | Sequence[str]], suffix: str = "") -> None:
        """A sequence of the row: entry ``number`` of what the tokenizer gave for these texts, or texts in parts."""
        self._append(f"ids{suffix}", encoded["input_ids"][number])
        if "token_type_ids" in encoded:
            self._append(f"types{suffix}", encoded["token_type_ids"][number])
        if self._with_places:
            places, of_sides = token_places(encoded.encodings[number], sides)
            self._append(f"places{suffix}", places)
            self._append(f"sides{suffix}", of_sides)

    def add_words(self, words: Sequence[int], first: int, end: int) -> None:
        """Of the row's tokens the words, -1 for none; the row shows the words [first, end)."""
        self._append("words", [word - first if word >= 0 else -1 for word in words])
        self._spans.append((first, end))

    def _append(self, column: str, sequence: Sequence[int]) -> None:
        self._columns.setdefault(column, []).append(sequence)

    def to_arrow(self) -> pa.Table:
        """All rows."""
        arrays: dict[str, pa.Array] = {
            column: pa.array(sequences, pa.large_list(pa.int32())) for column, sequences in self._columns.items()
        }
        arrays["example"] = pa.array(self._examples, pa.int32())
        if self._spans:
            for name, numbers in zip(_SPANS, zip(*self._spans, strict=True), strict=True):
                arrays[name] = pa.array(numbers, pa.int32())
        return pa.table(arrays).replace_schema_metadata({"num_cut": str(self.num_cut)})


_SPANS = ("first_word", "end_word")


def _add_whole(
    made: _Rows, start: int, examples: Sequence[Example], tokenizer: Any, layout: str, max_length: int
) -> None:
    sequences = [
        (suffix, sides, tokenizer(*sides, truncation="longest_first", max_length=max_length))
        for suffix, sides in _sides(examples, layout)
    ]
    for number in range(len(examples)):
        made.add(start + number)
        for suffix, sides, encoded in sequences:
            made.add_sequence(encoded, number, [side[number] for side in sides], suffix)
        made.num_cut += any(encoded.encodings[number].overflowing for *_, encoded in sequences)


def _sides(examples: Sequence[Example], layout: str) -> list[tuple[str, tuple[list[str], ...]]]:
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
    raise ValueError(f"layout must be single, pair, siamese, words or question, but got {layout!r}")


def _add_words(made: _Rows, start: int, examples: Sequence[Example], tokenizer: Any, max_length: int) -> None:
    # With the space before each word, a tokenizer that counts it to the word sees what it does in running text.
    parts = [spaced(example.words or ()) for example in examples]
    encoded = _in_windows(tokenizer, parts, max_length)
    unseen = [set(range(len(words))) for words in parts]
    for encoding, of_example in zip(encoded.encodings, encoded["overflow_to_sample_mapping"], strict=True):
        unseen[of_example].difference_update(encoding.word_ids)
    if any(unseen):  # words of signs that the tokenizer passes over
        known = [
            [tokenizer.unk_token if at in lost else part for at, part in enumerate(words)]
            for words, lost in zip(parts, unseen, strict=True)
        ]
        encoded = _in_windows(tokenizer, known, max_length)
    for number, of_example in enumerate(encoded["overflow_to_sample_mapping"]):
        made.add(start + of_example)
        made.add_sequence(encoded, number, [parts[of_example]])
        found = [-1 if word is None else word for word in encoded.encodings[number].word_ids]
        shown = [word for word in found if word >= 0]
        made.add_words(found, shown[0], shown[-1] + 1)


def _in_windows(tokenizer: Any, parts: Sequence[Sequence[str]], max_length: int) -> Any:
    room = max_length - tokenizer.num_special_tokens_to_add()
    return tokenizer(
        parts,
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=min(max_length // 3, room // 2),
        return_overflowing_tokens=True,
    )


def _add_questions(made: _Rows, start: int, examples: Sequence[Example], tokenizer: Any, max_length: int) -> None:
    longest = max_length // 3
    questions = [example.texts[0] for example in examples]
    cut = tokenizer(questions, add_special_tokens=False, truncation=True, max_length=longest)
    for number, encoding in enumerate(cut.encodings):
        if encoding.overflowing:
            made.num_cut += 1
            questions[number] = questions[number][: encoding.offsets[-1][1]]
    contexts = [example.texts[1] for example in examples]
    room = max_length - longest - tokenizer.num_special_tokens_to_add(pair=True)
    encoded = tokenizer(
        questions,
        contexts,
        truncation="only_second",
        max_length=max_length,
        stride=min(max_length // 3, room // 2),
        return_overflowing_tokens=True,
    )
    bounds = [np.array(text_words(context), dtype=np.int64).reshape(-1, 2) for context in contexts]
    mapping = encoded["overflow_to_sample_mapping"]
    for number, of_example in enumerate(mapping):
        made.add(start + of_example)
        made.add_sequence(encoded, number, [questions[of_example], contexts[of_example]])
        encoding, words = encoded.encodings[number], bounds[of_example]
        of_tokens = _words_at(encoding.offsets, words)
        found = [word if side == 1 else -1 for side, word in zip(encoding.sequence_ids, of_tokens, strict=True)]
        # Words without a token of their own, which are part of another word's or of none, belong to a row all the same.
        shown = [place for side, place in zip(encoding.sequence_ids, encoding.offsets, strict=True) if side == 1]
        first, end = 0, len(words)
        if number and mapping[number - 1] == of_example:
            first = int(np.searchsorted(words[:, 1], shown[0][0], side="right"))
        if number + 1 < len(mapping) and mapping[number + 1] == of_example:
            end = int(np.searchsorted(words[:, 0], shown[-1][1]))
        made.add_words(found, first, max(first, end))


def _words_at(places: Sequence[tuple[int, int]], words: npt.NDArray[np.int64]) -> list[int]:
    """For each token the first word that it has a character of, -1 for none.

    Args:
        places: each token's first character and the one after its last; it may begin with a space.
        words: the same of the words, [W, 2].
    """
    begins, ends = np.array(places, dtype=np.int64).T
    found = np.searchsorted(words[:, 1], begins, side="right")  # the first word that ends behind the token's begin
    is_inside = (found < len(words)) & (ends > np.append(words[:, 0], np.inf)[found])
    words_of_tokens: list[int] = np.where(is_inside, found, -1).tolist()
    return words_of_tokens


def _from_arrow(table: pa.Table) -> TokenTable:
    scalars = {"example", *_SPANS}
    columns = {name: Ragged(*column_arrays(table, name)) for name in table.column_names if name not in scalars}
    (example,) = column_arrays(table, "example")
    spans = None
    if _SPANS[0] in table.column_names:
        spans = np.stack([column_arrays(table, name)[0] for name in _SPANS], axis=1)
    return TokenTable(columns, example, int(table.schema.metadata[b"num_cut"]), spans)
