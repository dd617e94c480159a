"""Several processes on one trial: each takes its share of every batch, and all keep the same weights.

Gradients are summed, not averaged: every loss is divided by counts over all processes, so that the sum is the
gradient that one process would have. Not torch's DistributedDataParallel, which averages, and which wants every
parameter used in every pass. With one process nothing here does anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed
from accelerate import Accelerator
from torch import Tensor, nn

from mtsearch.errors import ResourceError

__all__ = [
    "agree",
    "first_word",
    "from_first",
    "gather",
    "join",
    "share_of",
    "sum_gradients",
    "sum_list",
    "sum_tensors",
]

_TIMEOUT = timedelta(days=7)


def join(rank: int, num_ranks: int, device: Literal["cpu", "cuda"], meeting_place: Path) -> None:
    """Make this process one of several on this machine, by gloo on CPUs and NCCL on GPUs; waits for the others.

    Of the GPUs that torch sees each process takes the one with its own number. Nobody waits in vain, whatever the
    time-outs of collectives: whoever has started the processes ends them all when one dies.

    Args:
        rank: from 0.
        num_ranks: how many there are.
        device: of the trials.
        meeting_place: the path of a file that is not there yet, the same for all, on a local disk.

    Raises:
        ResourceError: there is no GPU for this process.
    """
    if device == "cuda":
        if rank >= torch.cuda.device_count():
            raise ResourceError(
                f"resources.workers: each of {num_ranks} workers needs a GPU of its own, but torch sees "
                f"{torch.cuda.device_count()} here; ask for fewer, or set resources.gpus=0"
            )
        torch.cuda.set_device(rank)
    named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "LOCAL_WORLD_SIZE": num_ranks}
    os.environ.update({name: str(number) for name, number in named.items()})  # where Accelerate looks
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")  # open to no one else
    torch.distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        init_method=f"file://{meeting_place}",
        rank=rank,
        world_size=num_ranks,
        timeout=_TIMEOUT,
    )


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


def first_word(value: Any) -> Any:
    """The first process's value, in every process."""
    if not torch.distributed.is_initialized():
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def agree(go_on: bool, accelerator: Accelerator) -> bool:
    """The first process's word on whether to go on; the others wait for it."""
    if accelerator.num_processes == 1:
        return go_on
    word = torch.tensor(int(go_on), device=accelerator.device)
    torch.distributed.broadcast(word, src=0)
    return bool(word)
