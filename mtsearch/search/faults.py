"""What went wrong with an attempt at a trial, and whose doing it was: that decides whether the trial is tried again.

Ray Tune's own retries are not used: it retries whatever happened, from the same settings.
"""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ray.air.execution._internal import actor_manager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller
from ray.tune.experiment import Trial

from mtsearch.errors import MtsearchError

__all__ = ["Cause", "cause_of", "death_in", "death_of", "halved", "memory_deaths_as_deaths", "reason_of"]

Cause = Literal["trial", "surroundings", "memory", "disk"]
"""Whose doing a failure was.

``trial``: its configuration's, or the code's: it would come to the same again. ``surroundings``: a worker died or hung,
a shared path or a connection was lost. ``memory``: it ran out of memory. ``disk``: the disk is full.
"""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSING = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.EAGAIN,
        errno.EBUSY,
        errno.ENOLCK,
        errno.EPIPE,
        errno.EREMOTEIO,
        errno.ENODEV,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
    }
)
# Of plain RuntimeErrors: the CPU's allocator and CUDA's on the host, CUDA itself and NCCL, cuBLAS and cuDNN.
_OUT_OF_MEMORY = re.compile("allocate memory|out of memory|_ALLOC_FAILED")
_RUST_ERRNO = re.compile(r"\(os error (\d+)\)")  # safetensors and tokenizers tell no errno in any other way


def halved(batch_size: int, micro_batch_size: int | None) -> int | None:
    """How many examples in a forward pass are to be tried once memory has run out; None if no fewer are.

    Args:
        batch_size: of an update, which stays as it is.
        micro_batch_size: what it was halved to before; None if it was not.
    """
    return None if micro_batch_size is not None or batch_size == 1 else -(-batch_size // 2)


def cause_of(error: BaseException) -> Cause:
    """Whose doing an exception was, by itself or by the one that it was raised from."""
    found: BaseException | None = error
    while found is not None:
        if _is_memory(found):
            return "memory"
        code = _errno(found)
        if code in _FULL:
            return "disk"
        if code in _PASSING or isinstance(found, ConnectionError | TimeoutError):
            return "surroundings"
        found = found.__cause__
    return "trial"


def reason_of(error: BaseException) -> str:
    """An exception in one line, with the place in the code where it is not a person's mistake."""
    if isinstance(error, MtsearchError):
        return str(error)
    text = " ".join(str(error).split())[:300]
    if _is_memory(error):
        return f"out of memory: {text or type(error).__name__}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(frame.filename).name}:{frame.lineno})"


def _is_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's class has that name, too
        or (isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None)
    )


def _errno(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = _RUST_ERRNO.search(str(error))
    return int(match[1]) if match else None


def death_of(trial: Trial) -> tuple[Cause, str]:
    """Why a trial's worker died, from what Ray has written of it."""
    # Not get_error, which looks where Ray would have copied the file to by the end of the search.
    path = trial.error_file
    failures = Path(path).read_text(encoding="utf-8", errors="replace") if path and Path(path).is_file() else ""
    return death_in(failures.rpartition("Failure # ")[2].partition("\n")[2])


def death_in(text: str) -> tuple[Cause, str]:
    """Why a worker died, from Ray's words for it."""
    if "running low on memory" in text:  # Ray's memory monitor, before the kernel would
        used = re.search(r"was (\S+ used / \S+ limit)", text)
        return (
            "memory",
            f"out of memory: its worker was killed as its machine ran low ({used[1] if used else 'no figures'})",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason was given"]
    cause = lines[-1] if "Traceback" in text or "ray::" in lines[0] else lines[0]
    detail = re.search(r"Worker exit detail: (.*?\.) ", text.replace("\n", " "))
    return "surroundings", f"its worker died: {detail[1] if detail else cause}"


@contextmanager
def memory_deaths_as_deaths() -> Iterator[None]:
    """Have Ray Tune take a worker that Ray's memory monitor has killed for one that died.

    Ray (2.60) tells of it by an exception that is no ``RayActorError``, on which Tune ends the whole search:
    "Caught unexpected exception".
    """
    modules: tuple[Any, ...] = (actor_manager, tune_controller)
    for module in modules:
        module.RayActorError = (RayActorError, OutOfMemoryError)
    try:
        yield
    finally:
        for module in modules:
            module.RayActorError = RayActorError
