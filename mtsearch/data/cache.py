"""Where mtsearch keeps what it can always make again: token caches, tags, activations and the sample corpus."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from mtsearch.errors import DataError

__all__ = ["cache_folder", "make_room"]

_DEFAULT_LIMIT_BYTES = 4 * 2**30
_KEPT = ("tokens/*.arrow", "tags/*/*.arrow", "activations/*/*.safetensors")
_UNFINISHED = ("tokens/*.tmp", "tags/*/*.tmp", "activations/*/*.tmp")
_UNFINISHED_SECONDS = 24 * 3600.0


def cache_folder() -> Path:
    """The folder named by ``MTSEARCH_CACHE``, by default ``~/.cache/mtsearch``; it need not exist yet.

    Everything under it may be deleted at any time between runs.
    """
    return Path(os.environ.get("MTSEARCH_CACHE") or "~/.cache/mtsearch").expanduser()


def make_room(num_bytes: int, keep: Path) -> bool:
    """Delete the least recently used files until so many more bytes fit under the cache's limit.

    Where they cannot fit, nothing is deleted. What a process left unfinished a day ago or more always is.

    Args:
        num_bytes: to be written.
        keep: a file, or a folder of files, that stays.

    Returns:
        Whether they fit.

    Raises:
        DataError: ``MTSEARCH_CACHE_BYTES`` is no number.
    """
    limit, root = _limit_bytes(), cache_folder()
    for file in (file for pattern in _UNFINISHED for file in root.glob(pattern)):
        with contextlib.suppress(FileNotFoundError):  # another process may delete at the same time
            if time.time() - file.stat().st_mtime > _UNFINISHED_SECONDS:
                file.unlink()
    total, may_go = num_bytes, []
    for file in (file for pattern in _KEPT for file in root.glob(pattern)):
        with contextlib.suppress(FileNotFoundError):
            facts = file.stat()
            total += facts.st_size
            if keep not in (file, file.parent):
                may_go.append((facts.st_mtime, facts.st_size, file))
    if total - sum(size for _, size, _ in may_go) > limit:
        return False
    for _, size, file in sorted(may_go):
        if total <= limit:
            break
        file.unlink(missing_ok=True)
        total -= size
    return True


def _limit_bytes() -> int:
    named = os.environ.get("MTSEARCH_CACHE_BYTES", str(_DEFAULT_LIMIT_BYTES))
    if not named.isdecimal():
        raise DataError(f"MTSEARCH_CACHE_BYTES: must be a whole number of bytes, but got {named!r}")
    return int(named)
