"""How much memory a trial took at its peak."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import torch

__all__ = ["peak_memory_bytes", "reset_peak_memory"]


def reset_peak_memory(device: str) -> None:
    """Begin to measure: a process runs many trials, one after the other."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):  # only Linux has it, and some containers forbid it
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: str) -> int:
    """The most memory held since the reset: torch's on a GPU, the process's resident memory on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        match = None
    if match:
        return int(match[1]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
