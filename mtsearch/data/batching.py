"""From rows to tensors: a task's encoded splits and the batches cut from them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from mtsearch.data.piece_tags import PieceTags, TagNames
from mtsearch.data.tokens import Ragged, TokenTable

__all__ = ["Batch", "EncodedSplit", "Inputs", "PrefixStates"]

_IGNORE = -100  # what torch's losses ignore
_SUFFIXES = ("", "_2")  # of the columns of a row's first and second sequence


@dataclass(frozen=True)
class Inputs:
    """One sequence per row, padded on the right.

    Attributes:
        ids_BL: token ids.
        mask_BL: 1 where there is a token, else 0.
        token_types_BL: segment of each token; None for encoders without segments.
        word_ids_BL: word of each token, -1 for none; None unless texts are given as words.
        tags_BLT: each token's tags, one for each layer of them, 0 for none; None unless the model takes tags.
    """

    ids_BL: Tensor
    mask_BL: Tensor
    token_types_BL: Tensor | None = None
    word_ids_BL: Tensor | None = None
    tags_BLT: Tensor | None = None

    def arguments(self) -> dict[str, Tensor]:
        """What a transformers encoder is called with."""
        types = {} if self.token_types_BL is None else {"token_type_ids": self.token_types_BL}
        return {"input_ids": self.ids_BL, "attention_mask": self.mask_BL, **types}

    def take(self, rows_N: Tensor) -> Inputs:
        """These rows, in their order."""
        return Inputs(*(None if x is None else x[rows_N] for x in self._tensors()))  # type: ignore[arg-type]

    def padded_to(self, length: int) -> Inputs:
        """The same, filled up to ``length`` tokens."""
        return Inputs(*(None if x is None else _filled_up(x, length) for x in self._tensors()))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Inputs:
        """The same on another device."""
        return Inputs(*(None if x is None else x.to(device, non_blocking=True) for x in self._tensors()))  # type: ignore[arg-type]

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.ids_BL, self.mask_BL, self.token_types_BL, self.word_ids_BL, self.tags_BLT

    @staticmethod
    def stack(inputs: Sequence[Inputs]) -> Inputs:
        """The rows of all of ``inputs`` one after the other, padded to one length."""
        length = max(one.ids_BL.shape[1] for one in inputs)

        def join(tensors: Sequence[Tensor | None]) -> Tensor | None:
            present = [tensor for tensor in tensors if tensor is not None]
            if not present:
                return None
            return torch.cat([_filled_up(x, length) for x in present])

        return Inputs(*(join(column) for column in zip(*(one._tensors() for one in inputs), strict=True)))  # type: ignore[arg-type]


def _filled_up(tokens: Tensor, length: int) -> Tensor:
    """[B, L] or [B, L, T] with ``length`` tokens."""
    return torch.nn.functional.pad(tokens, (*(0, 0) * (tokens.ndim - 2), 0, length - tokens.shape[1]))


@dataclass(frozen=True)
class PrefixStates:
    """What the lowest layers of the encoder give for a batch, computed before.

    Attributes:
        depth: the embeddings and so many layers are done; all of them means the encoder's output.
        sequences_BLD: one entry per sequence of a row.
    """

    depth: int
    sequences_BLD: tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """Rows of one task, ready for the model.

    Attributes:
        task: the task's name.
        rows: which rows of the split, [B].
        inputs: one entry per sequence of a row.
        targets: target columns; [B], or [B, W] filled with -100 where ragged.
        states: where the encoder starts from; None starts from the token ids.
    """

    task: str
    rows: npt.NDArray[np.int64]
    inputs: tuple[Inputs, ...]
    targets: dict[str, Tensor]
    states: PrefixStates | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device; states are made where they are used."""
        return Batch(
            self.task,
            self.rows,
            tuple(one.to(device) for one in self.inputs),
            {name: target.to(device, non_blocking=True) for name, target in self.targets.items()},
            self.states,
        )


class EncodedSplit:
    """One task's split as rows of token ids and targets.

    Args:
        task: the task's name.
        tokens: the input rows.
        targets: target columns with one entry per row; lists where ragged.
        pad_id: the token that fills up short sequences.
        tags: of the tokens; None where the model takes none.
    """

    def __init__(
        self,
        task: str,
        tokens: TokenTable,
        targets: Mapping[str, pa.Array],
        pad_id: int,
        tags: PieceTags | None = None,
    ) -> None:
        self.task = task
        self.tokens = tokens
        self.tags = tags
        self.lengths = tokens.lengths
        self._targets: dict[str, npt.NDArray[np.generic] | Ragged] = {
            name: Ragged(column.values.to_numpy(), column.offsets.to_numpy().astype(np.int64))
            if pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
            else column.to_numpy()
            for name, column in targets.items()
        }
        self._pad_id = pad_id
        self._first_row = np.searchsorted(tokens.example, np.arange(self.num_examples + 1)).astype(np.int64)

    def with_tag_names(self, names: TagNames) -> EncodedSplit:
        """The same split, with its tags in the numbers of ``names``."""
        assert self.tags is not None
        twin = copy.copy(self)
        twin.tags = self.tags.renumbered(names)
        return twin

    @property
    def num_examples(self) -> int:
        """Examples in the split."""
        return int(self.tokens.example[-1]) + 1 if len(self.tokens.example) else 0

    def rows_of(self, examples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows (windows) of these examples, in their order."""
        counts = self._first_row[examples + 1] - self._first_row[examples]
        starts = np.repeat(self._first_row[examples] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        return starts + np.arange(int(counts.sum()))

    def batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        """These rows as padded tensors on the CPU."""
        inputs = tuple(self.inputs(rows, number) for number in range(self.num_sequences))
        return Batch(self.task, rows, inputs, self.targets(rows))

    @property
    def num_sequences(self) -> int:
        """Sequences of a row: two of a siamese pair, else one."""
        return 2 if "ids_2" in self.tokens.columns else 1

    def sequence_lengths(self, number: int) -> npt.NDArray[np.int64]:
        """Tokens of each row in its first (0) or second (1) sequence."""
        return self.tokens.columns[f"ids{_SUFFIXES[number]}"].lengths

    def sequence_digest(self, number: int) -> str:
        """Names all that an encoder sees of the first (0) or second (1) sequences of the rows."""
        digest = hashlib.sha256()
        for name in ("ids", "types"):
            if (column := self.tokens.columns.get(f"{name}{_SUFFIXES[number]}")) is not None:
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(column.values).data)
                digest.update(np.ascontiguousarray(column.offsets).data)
        return digest.hexdigest()

    def targets(self, rows: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        """The targets of these rows alone."""
        return {
            name: torch.from_numpy(
                column.padded(rows, _IGNORE)[0] if isinstance(column, Ragged) else column[rows].copy()
            )
            for name, column in self._targets.items()
        }

    def inputs(self, rows: npt.NDArray[np.int64], number: int) -> Inputs:
        """The first (0) or second (1) sequence of these rows."""
        columns, suffix = self.tokens.columns, _SUFFIXES[number]
        ids, mask = columns[f"ids{suffix}"].padded(rows, self._pad_id)

        def optional(name: str, fill: int) -> Tensor | None:
            return torch.from_numpy(columns[name].padded(rows, fill)[0]) if name in columns else None

        return Inputs(
            torch.from_numpy(ids),
            torch.from_numpy(mask.astype(np.int64)),
            optional(f"types{suffix}", 0),
            optional("words", -1) if not suffix else None,
            None if self.tags is None else torch.from_numpy(self.tags.padded(rows, suffix)),
        )

    def in_length_order(self, batch_size: int) -> Iterator[npt.NDArray[np.int64]]:
        """All rows once, longest first, in lots of ``batch_size``: the least padding."""
        order = np.argsort(-self.lengths, kind="stable")
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]
