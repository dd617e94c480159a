"""Number formats, through Accelerate."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from mtsearch.errors import ResourceError
from mtsearch.training.place import Place

__all__ = ["OneCpu", "build_accelerator", "check_precision", "choose_precision"]

Precision = Literal["fp32", "bf16", "fp16"]


def check_precision(asked: Literal["auto", "fp32", "bf16", "fp16"], device: str) -> None:
    """Whether trials on such a device can have it; nothing is asked of the device itself.

    Raises:
        ResourceError: fp16 without a GPU, which no kernel there supports well.
    """
    if asked == "fp16" and device == "cpu":
        raise ResourceError(
            "training.precision: fp16 needs a GPU, but the trial runs on the CPU; choose auto, bf16 or fp32"
        )


def choose_precision(asked: Literal["auto", "fp32", "bf16", "fp16"], device: str) -> Precision:
    """What ``auto`` comes to: bf16 where the processor multiplies it natively, else fp32.

    Those are GPUs that torch says can, and CPUs with AVX512-BF16 or AMX-BF16, on which it trains MiniLM about
    1.4 times as fast. Where bf16 is emulated it would be slower than fp32.

    Raises:
        ResourceError: as :func:`check_precision`.
    """
    check_precision(asked, device)
    if asked == "auto":
        return "bf16" if _multiplies_bf16(device) else "fp32"
    return asked


def _multiplies_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not hasattr(torch.cpu, "get_capabilities"):  # it came after torch 2.9
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def build_accelerator(precision: Precision, place: Place) -> Accelerator:
    """An Accelerator for one trial; one process may run trials of different precision one after the other.

    Raises:
        ResourceError: a GPU is asked for where there is none.
    """
    if place.device == "cuda" and not torch.cuda.is_available():
        raise ResourceError("resources.gpus: a GPU is asked for, but torch sees none here; set resources.gpus=0")
    # Singletons that refuse another precision and keep the first device; of several processes they hold the group.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=place.device == "cpu")


class OneCpu:
    """This process alone, on its CPU and in fp32: what predicting asks of an Accelerator.

    For a model that runs beside a trial, whose Accelerator a second one would move to another device and format.
    """

    device = torch.device("cpu")
    mixed_precision = "no"
    process_index = 0
    num_processes = 1

    def autocast(self) -> AbstractContextManager[None]:
        """Nothing is cast."""
        return nullcontext()
