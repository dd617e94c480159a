"""Asking a driver to stop: a small file in the run folder, so that it can be asked from any machine that sees it."""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtsearch.search.results import write_json

__all__ = ["STOP_REQUEST", "ask_to_stop", "drop_request", "is_asked_to_stop", "stop_requests"]

STOP_REQUEST = "stop_request.json"

_SECONDS_BETWEEN_LOOKS = 1.0


def ask_to_stop(folder: Path) -> None:
    """Leave a request; the driver takes it up, and the file away, in about a second.

    Raises:
        OSError: the folder cannot be written.
    """
    write_json(folder / STOP_REQUEST, {"host": platform.node(), "pid": os.getpid(), "time": time.time()})


def is_asked_to_stop(folder: Path) -> bool:
    """Whether there is a request that no driver has taken up yet."""
    return (folder / STOP_REQUEST).exists()


def drop_request(folder: Path) -> None:
    """Take away a request that was meant for a driver before: it went before it could take it up."""
    (folder / STOP_REQUEST).unlink(missing_ok=True)


@contextmanager
def stop_requests(folder: Path, stop: Callable[[str], None]) -> Iterator[None]:
    """Look for a request meanwhile, in a thread: the one that works may not come to it for long.

    Args:
        folder: the run folder.
        stop: told the reason, in words, once; by the thread.
    """
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_SECONDS_BETWEEN_LOOKS):
            reason = _take(folder)
            if reason is not None:
                os.write(2, f"\n{reason}: running trials are interrupted, and can be gone on with\n".encode())
                stop(reason)
                return

    thread = threading.Thread(target=look, name="stop-requests", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        with suppress(OSError):
            drop_request(folder)  # one of the last second: the driver leaves anyway


def _take(folder: Path) -> str | None:
    """The reason that a request gives, once; None where there is none, or the folder cannot be reached."""
    path = folder / STOP_REQUEST
    try:
        text = path.read_text(encoding="utf-8")
        path.unlink()
    except OSError:
        return None
    try:
        return f"stopped by mtsearch stop on {json.loads(text)['host']}"
    except (ValueError, KeyError, TypeError):  # made by hand
        return f"stopped by the file {STOP_REQUEST}"
