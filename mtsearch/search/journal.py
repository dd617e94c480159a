"""Optuna's journal as a file with one writer: no lock and no sync for each line, as the events are the truth."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

__all__ = ["JournalFile"]


class JournalFile(BaseJournalBackend):
    """A journal begun anew, in the format of Optuna's ``JournalFileBackend``, which others may read meanwhile.

    What others write into it is not seen.

    Args:
        path: of the file; one that is there is emptied.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._unread: deque[bytes] = deque()
        self._num_read = 0

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write these operations."""
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        unwritten = memoryview(b"".join(lines))
        while unwritten:  # a disk that is filling up takes a part, and refuses the rest the next time
            unwritten = unwritten[self._file.write(unwritten) :]
        self._unread.extend(lines)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from this number on; each is given once, since there is one reader."""
        assert log_number_from == self._num_read, "a JournalFile has one reader"
        while self._unread:
            self._num_read += 1
            yield json.loads(self._unread.popleft())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
