"""Ctrl-C and SIGTERM: the first one stops in good order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stop_signals"]


@contextmanager
def stop_signals(stop: Callable[[str], None]) -> Iterator[list[str]]:
    """Have the first SIGINT or SIGTERM stop the work in good order; the next one does what it did before.

    Gives the list that the reason is put into. Ray's own handler knows SIGINT alone.

    Args:
        stop: told the reason, in words.
    """
    reasons: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield reasons  # Python gives signals to the main thread
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, frame: FrameType | None) -> None:
        os.write(2, b"\nstopping: running trials are interrupted, and can be gone on with; once more ends at once\n")
        reasons.append(f"stopped by {signal.Signals(number).name}")
        stop(reasons[0])
        restore()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield reasons
    finally:
        restore()
