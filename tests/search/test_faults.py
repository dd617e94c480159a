from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ray.exceptions import OutOfMemoryError, RayActorError
from safetensors import SafetensorError

from mtsearch.errors import DataError
from mtsearch.search.faults import cause_of, death_of, memory_deaths_as_deaths, reason_of


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("no"), "trial"),
        (DataError("sst5: no such folder"), "trial"),
        (FileNotFoundError(errno.ENOENT, "gone"), "trial"),
        (PermissionError(errno.EACCES, "not yours"), "trial"),
        (OSError("a message alone"), "trial"),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), "surroundings"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "surroundings"),
        (ConnectionResetError("peer"), "surroundings"),
        (TimeoutError(), "surroundings"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "disk"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "disk"),
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),  # of its driver: no room for another process there
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "trial"),
    ],
)
def test_whose_doing_an_exception_was(error: BaseException, cause: str) -> None:
    assert cause_of(raised(error)) == cause


def test_an_error_of_ours_that_was_raised_from_another_one_is_judged_by_that() -> None:
    assert cause_of(raised(DataError("sst5 cannot be read"), OSError(errno.ESTALE, "stale"))) == "surroundings"


def test_what_safetensors_tells_of_a_full_disk_is_a_full_disk() -> None:
    told = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert cause_of(raised(SafetensorError(told))) == "disk"
    assert cause_of(raised(SafetensorError("Error while deserializing header: HeaderTooLarge"))) == "trial"


def test_a_reason_is_one_line_with_its_place() -> None:
    assert reason_of(raised(ValueError("two\nlines"))).startswith("ValueError: two lines (test_faults.py:")
    assert reason_of(raised(DataError("sst5: put right"))) == "sst5: put right"
    assert reason_of(raised(MemoryError())) == "out of memory: MemoryError"


def trial_with(folder: Path, *failures: str) -> SimpleNamespace:
    """As much of Ray's trial as is looked at; its file is written as Ray does."""
    path = folder / "error.txt"
    path.write_text(
        "".join(f"Failure # {i} (occurred at 2026-11-21_21-00-00)\n{text}\n" for i, text in enumerate(failures, 1))
    )
    return SimpleNamespace(error_file=str(path))


def test_a_worker_that_the_memory_monitor_killed_ran_out_of_memory(tmp_path: Path) -> None:
    text = (
        "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: e1) was "
        "7.38GB used / 23.54GB limit (0.313663)"
    )
    assert death_of(trial_with(tmp_path, "The actor died", text)) == (  # type: ignore[arg-type]
        "memory",
        "out of memory: its worker was killed as its machine ran low (7.38GB used / 23.54GB limit)",
    )


def test_a_worker_that_was_killed_is_told_with_what_ray_knows(tmp_path: Path) -> None:
    text = (
        "The actor died unexpectedly before finishing this task.\n\tclass_name: Trial\nThe actor is dead because its "
        "worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a "
        "connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM killer"
    )
    assert death_of(trial_with(tmp_path, "running low on memory", text)) == (  # type: ignore[arg-type]
        "surroundings",
        "its worker died: Worker unexpectedly exits with a connection error code 2.",
    )
    assert death_of(SimpleNamespace(error_file=None)) == (  # type: ignore[arg-type]
        "surroundings",
        "its worker died: no reason was given",
    )


def test_ray_takes_a_memory_kill_for_a_death_only_meanwhile() -> None:
    from ray.air.execution._internal import actor_manager

    with memory_deaths_as_deaths():
        assert isinstance(OutOfMemoryError(""), actor_manager.RayActorError)
        assert isinstance(RayActorError(), actor_manager.RayActorError)
    assert actor_manager.RayActorError is RayActorError
