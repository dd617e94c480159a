"""Where a trial runs. Nothing here decides its numbers, except the number of threads, and micro-batches by rounding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """Where a trial runs and writes.

    Attributes:
        folder: the attempt's folder; ``checkpoints/`` and ``tensorboard/`` go under it. None writes nothing.
        data_root: the folder of data sets given by ``--data`` or ``MTSEARCH_DATA``; None if neither was.
        cpus: threads; sums of floats depend on it in their last bits.
        device: where tensors live.
        micro_batch_size: examples in one forward pass, at most; None for whole batches. An update's gradient is the
            same up to rounding, as all losses are divided by counts over the whole batch; but dropout, and other noise,
            draws anew for each pass, and what is balanced within a pass (experts) is balanced within fewer examples.
    """

    folder: Path | None
    data_root: Path | None
    cpus: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    micro_batch_size: int | None = None

    def micro_batches(self, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """The rows of a batch by forward pass, as evenly as it can be."""
        if self.micro_batch_size is None:
            return [rows]
        return np.array_split(rows, -(-len(rows) // self.micro_batch_size))
