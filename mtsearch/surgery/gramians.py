"""What the methods that work pair by pair share: Gramians on the host, and random orders of the other tasks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Matrix", "Orders", "Vector", "order_generator", "random_orders", "solve_on_host"]

Matrix: TypeAlias = npt.NDArray[np.float64]
Vector: TypeAlias = npt.NDArray[np.float64]
Orders: TypeAlias = Sequence[Sequence[int]]
"""For each task, the other tasks in the order in which its gradient meets theirs."""


def solve_on_host(gramian_KK: Tensor, solve: Callable[[Matrix], Vector]) -> Tensor:
    """Coefficients as ``solve`` finds them in float64 on the host; all ones where the Gramian is not finite.

    Each step of a pairwise method depends on the one before, and a kernel's launch takes longer than all of its sums.
    """
    gramian = gramian_KK.cpu().double().numpy()
    if not np.isfinite(gramian).all():
        return torch.ones_like(gramian_KK[0])
    return torch.as_tensor(solve(gramian), dtype=gramian_KK.dtype, device=gramian_KK.device)


def order_generator(seed: int) -> np.random.Generator:
    """The source of random orders; the same in every process of a trial."""
    return np.random.default_rng([seed, zlib.crc32(b"order of gradient surgery")])


def random_orders(num_tasks: int, rng: np.random.Generator) -> list[list[int]]:
    """An order of the other tasks for each task, each drawn anew."""
    return [[int(j) for j in rng.permutation(num_tasks) if j != i] for i in range(num_tasks)]
