"""Several processes on one trial: each takes its share of every batch, and all keep the same weights.

Gradients are summed, not averaged: every loss is divided by counts over all processes, so that the sum is the
gradient that one process would have. Not torch's DistributedDataParallel, which averages, and which wants every
parameter used in every pass. With one process nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed
from accelerate import Accelerator
from torch import Tensor, nn

__all__ = ["agree", "from_first", "gather", "share_of", "sum_gradients", "sum_list", "sum_tensors"]


def share_of(rows: npt.NDArray[np.int64], accelerator: Accelerator) -> npt.NDArray[np.int64]:
    """This process's rows of a batch; may be none."""
    return rows[accelerator.process_index :: accelerator.num_processes]


def sum_gradients(parameters: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """Sum the gradients of these parameters over all processes, each of which names the same ones."""
    if accelerator.num_processes == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:  # this process had no rows
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def sum_list(tensors: Sequence[Tensor], accelerator: Accelerator) -> None:
    """Sum each of these tensors over all processes, in place."""
    if accelerator.num_processes > 1:
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)


def sum_tensors(tensors: dict[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Scalars by name, summed over all processes."""
    if accelerator.num_processes == 1:
        return tensors
    stacked = torch.stack(list(tensors.values()))
    torch.distributed.all_reduce(stacked)
    return dict(zip(tensors, stacked.unbind(), strict=True))


def from_first(tensors: Iterable[Tensor], accelerator: Accelerator) -> None:
    """Overwrite these tensors with those of the first process."""
    if accelerator.num_processes > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)


def gather(value: Any, accelerator: Accelerator) -> list[Any]:
    """Every process's value, by rank, in every process."""
    if accelerator.num_processes == 1:
        return [value]
    gathered: list[Any] = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(gathered, value)
    return gathered


def agree(go_on: bool, accelerator: Accelerator) -> bool:
    """The first process's word on whether to go on; the others wait for it."""
    if accelerator.num_processes == 1:
        return go_on
    word = torch.tensor(int(go_on), device=accelerator.device)
    torch.distributed.broadcast(word, src=0)
    return bool(word)
