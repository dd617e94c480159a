"""Checks of a folder that runs are written to."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mtsearch.doctor.finding import Finding

__all__ = ["folder"]

_CHUNK_BYTES = 4_000_000
_MOST_CHUNKS = 16
_MOST_SECONDS = 5.0
_LEAST_FREE_BYTES = 500_000_000  # two checkpoints of the default encoder with their optimizer's state
_LITTLE_FREE_BYTES = 5_000_000_000
_SLOW_BYTES_PER_SECOND = 20_000_000


def folder(name: str, path: Path) -> Iterator[Finding]:
    """Whether a folder can be written, how much and how fast, and whether its file locks hold.

    Args:
        name: what it is called in the findings.
        path: of it; where it is not there yet, its nearest parent is looked at.
    """
    place = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    if not place.is_dir():
        yield Finding(name, "failure", f"{place} is a file", "name a folder")
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".mtsearch-doctor-", dir=place) as scratch:
            yield _space(name, place)
            yield _speed(name, Path(scratch))
            yield _locks(name, Path(scratch))
    except OSError as error:
        yield Finding(name, "failure", f"{place} cannot be written: {error.strerror}", _remedy(error))


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room"
    return "name another folder with --runs, or have it made writable"


def _space(name: str, place: Path) -> Finding:
    usage = shutil.disk_usage(place)
    found = f"{place}: {usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB are free"
    remedy = "make room, or name another folder; mtsearch plan says how much a search takes"
    if usage.free < _LEAST_FREE_BYTES:
        return Finding(f"{name}, space", "failure", found, remedy)
    if usage.free < _LITTLE_FREE_BYTES:
        return Finding(f"{name}, space", "warning", found, remedy)
    return Finding(f"{name}, space", "ok", found)


def _speed(name: str, scratch: Path) -> Finding:
    chunk = os.urandom(_CHUNK_BYTES)
    begun, written = time.monotonic(), 0
    with (scratch / "speed").open("wb", buffering=0) as file:
        while written < _MOST_CHUNKS and time.monotonic() - begun < _MOST_SECONDS:
            file.write(chunk)
            os.fsync(file)
            written += 1
    speed = written * _CHUNK_BYTES / (time.monotonic() - begun)
    found = f"{speed / 1e6:.0f} MB/s written to disk"
    if speed < _SLOW_BYTES_PER_SECOND:
        remedy = "checkpoints will take long: name a faster disk, or lower search.keep.best"
        return Finding(f"{name}, speed", "warning", found, remedy)
    return Finding(f"{name}, speed", "ok", found)


def _locks(name: str, scratch: Path) -> Finding:
    """Whether a lock keeps a second driver out: two opened files are as good as two processes."""
    subject, path = f"{name}, locks", scratch / "lock"
    without = "never run two drivers on one run folder there"
    with path.open("w") as first, path.open("w") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return Finding(subject, "warning", f"there are no file locks: {error.strerror}", without)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding(subject, "ok", "a second driver is kept out of a run folder")
    return Finding(subject, "warning", "file locks are granted twice", without)
