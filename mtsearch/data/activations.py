"""What the frozen part of an encoder gives for each row of a split, in memory-mapped files that trials share.

A folder is named by all that decides the values, so it is never stale. Its files are parts: some rows each,
written under another name and renamed, and never changed. So trials at the same time add to one folder without
waiting for each other, and one that dies takes with it only what it had not yet written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mtsearch.data.cache import cache_folder, make_room

__all__ = ["Activations"]

_PART_BYTES = 64 * 2**20  # held in memory before they are written
_ABSENT = -1


class Activations:
    """Token vectors [L, D] of the rows of one split, those that were computed so far.

    Args:
        key: names all that decides the values.
        lengths: tokens of each row.
    """

    def __init__(self, key: str, lengths: npt.NDArray[np.int64]) -> None:
        self._folder = cache_folder() / "activations" / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._lengths = lengths
        self._part = np.full(len(lengths), _ABSENT, dtype=np.int32)  # of each row
        self._start = np.zeros(len(lengths), dtype=np.int64)  # of each row in its part
        self._parts: list[Tensor] = []
        self._names: set[str] = set()
        self._unwritten: dict[int, Tensor] = {}
        self._unwritten_bytes = 0
        self._open_parts()

    def missing(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of ``rows`` that are not here, each once."""
        absent = np.unique(rows[self._part[rows] == _ABSENT])
        return np.array([row for row in absent.tolist() if row not in self._unwritten], dtype=np.int64)

    def padded(self, rows: npt.NDArray[np.int64], length: int, others: Mapping[int, Tensor]) -> Tensor:
        """The vectors of ``rows``, filled up with zeros: [B, length, D].

        Args:
            rows: that are here or in ``others``.
            length: of the longest row at least.
            others: vectors of rows that are not here.
        """
        pieces: list[Tensor] = []
        starts = self._start[rows]
        places = zip(
            rows.tolist(),
            self._part[rows].tolist(),
            starts.tolist(),
            (starts + self._lengths[rows]).tolist(),
            strict=True,
        )
        for row, part, start, end in places:
            if part != _ABSENT:
                pieces.append(self._parts[part][start:end])
            else:
                pieces.append(self._unwritten[row] if row in self._unwritten else others[row])
        padded_BLD = pieces[0].new_zeros((len(pieces), length, pieces[0].shape[1]))
        for into_LD, piece in zip(padded_BLD.unbind(), pieces, strict=True):
            into_LD[: len(piece)] = piece
        return padded_BLD

    def add(self, vectors: Mapping[int, Tensor]) -> None:
        """Take rows in, and write them once they are many.

        Raises:
            OSError: as for :meth:`publish`.
        """
        for row, tensor in vectors.items():
            self._unwritten[row] = tensor.clone()  # not a view that holds a whole batch
            self._unwritten_bytes += tensor.numel() * tensor.element_size()
        if self._unwritten_bytes > _PART_BYTES:
            self.publish()

    def publish(self) -> None:
        """Write what is not yet written, but for what others wrote meanwhile.

        Raises:
            OSError: the folder cannot be written, or there is no room under the cache's limit.
        """
        if not self._unwritten:
            return
        self._open_parts()
        rows = [row for row in self._unwritten if self._part[row] == _ABSENT]
        if rows:
            self._write(rows)
        self.forget_unwritten()

    def forget_unwritten(self) -> None:
        """Let go of what is held in memory."""
        self._unwritten.clear()
        self._unwritten_bytes = 0

    def _write(self, rows: list[int]) -> None:
        tensors = {"rows": torch.tensor(rows), "vectors": torch.cat([self._unwritten[row] for row in rows])}
        self._folder.mkdir(parents=True, exist_ok=True)
        if not make_room(sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()), self._folder):
            raise OSError(errno.EDQUOT, "the cache has reached its limit")
        handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        path = Path(temporary)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(save(tensors))
                file.flush()
                os.fsync(handle)  # a name must not outlive its content when the power fails
            path.replace(path.with_suffix(".safetensors"))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._open_parts()

    def _open_parts(self) -> None:
        for path in sorted(self._folder.glob("*.safetensors")):
            if path.name in self._names:
                continue
            try:
                tensors = load_file(path)  # maps the file
                rows, vectors = tensors["rows"].numpy(), tensors["vectors"]
                lengths = self._lengths[rows]
                if lengths.sum() != len(vectors):
                    continue
            except (OSError, SafetensorError, KeyError, IndexError):  # damaged, or just deleted
                continue
            with contextlib.suppress(OSError):
                os.utime(path)  # for the deletion of the least recently used
            self._names.add(path.name)
            self._part[rows] = len(self._parts)
            self._start[rows] = np.cumsum(lengths) - lengths
            self._parts.append(vectors)
