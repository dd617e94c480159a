"""Tables of integers in Arrow files that processes share: written whole or not at all, and damage is found."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["column_arrays", "read_table", "write_table"]


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table under another name, with a digest of its columns, and rename it.

    Args:
        table: of integers and ragged integers (``large_list``), with metadata of its own.
        path: its final place; the folder is made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.combine_chunks()
    table = table.replace_schema_metadata({**table.schema.metadata, "digest": _digest(table)})
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        with pa.OSFile(temporary, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_table(path: Path) -> pa.Table | None:
    """The table at ``path``, memory-mapped; None where there is none or it is damaged."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if _digest(table).encode() != table.schema.metadata[b"digest"]:
            return None
        os.utime(path)  # for the eviction of the least recently used
    except (OSError, pa.ArrowInvalid, KeyError, TypeError):
        return None
    return table


def column_arrays(table: pa.Table, name: str) -> tuple[npt.NDArray[Any], ...]:
    """A column without copying: (values, offsets) of a ragged one, else (values,)."""
    array = table[name].combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_large_list(array.type):
        return array.values.to_numpy(), array.offsets.to_numpy()
    return (array.to_numpy(),)


def _digest(table: pa.Table) -> str:
    # Over the values, not Arrow's buffers, whose padding differs between memory and file.
    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(name.encode())
        for array in column_arrays(table, name):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
