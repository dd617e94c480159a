"""Where a trial runs. Nothing here decides its numbers, except the number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """Where a trial runs and writes.

    Attributes:
        folder: the attempt's folder; ``checkpoints/`` and ``tensorboard/`` go under it. None writes nothing.
        data_root: the folder of data sets given by ``--data`` or ``MTSEARCH_DATA``; None if neither was.
        cpus: threads; sums of floats depend on it in their last bits.
        device: where tensors live.
    """

    folder: Path | None
    data_root: Path | None
    cpus: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
