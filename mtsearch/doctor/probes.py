"""What ``mtsearch doctor`` asks in processes of their own: ``python -m mtsearch.doctor.probes NAME ARGUMENTS``.

Each prints a line of JSON; what it raises is its last line on standard error.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtsearch.errors import MtsearchError

__all__ = ["main"]

_RANK_SECONDS = 60
_HUB_SECONDS = 5


def _torch() -> dict[str, Any]:
    import torch

    torch.ones(8).sum()
    gpus, problem = [], ""
    try:
        torch.ones(8, device="cuda").sum()
    except (AssertionError, RuntimeError) as error:  # a build without CUDA, or no driver
        problem = str(error).strip().splitlines()[0]
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        gpu = {"name": properties.name, "memory": properties.total_memory, "bf16": False, "problem": ""}
        try:
            with torch.cuda.device(number):
                torch.ones(8, device="cuda").sum().item()
                gpu["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        except RuntimeError as error:
            gpu["problem"] = str(error).strip().splitlines()[0]
        gpus.append(gpu)
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "problem": problem,
    }


def _rank(backend: str, rank: str, meeting_place: str) -> float:
    """The sum of 1 and 2 over two ranks, which meet in a file as those of a trial do."""
    import torch
    from torch import distributed

    device = f"cuda:{rank}" if backend == "nccl" else "cpu"
    distributed.init_process_group(
        backend,
        init_method=f"file://{meeting_place}",
        rank=int(rank),
        world_size=2,
        timeout=datetime.timedelta(seconds=_RANK_SECONDS),
    )
    mine = torch.tensor([1.0 + int(rank)], device=device)
    distributed.all_reduce(mine)
    total = float(mine.item())
    distributed.destroy_process_group()
    return total


def _cluster(address: str, shared: str) -> dict[str, Any]:
    from mtsearch.search.checkup import check_up

    return check_up(address or None, Path(shared) if shared else None)


def _hub(endpoint: str) -> str:
    """Why it does not answer; empty if it does."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_HUB_SECONDS).close()
    except urllib.error.HTTPError as error:
        return "" if error.code < 500 else f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _encoder() -> dict[str, str]:
    from mtsearch.config.trial import DEFAULT_ENCODER
    from mtsearch.model.encoder import find_encoder, load_tokenizer

    try:
        source = find_encoder(DEFAULT_ENCODER)
        load_tokenizer(source)
    except MtsearchError as error:
        return {"problem": str(error)}
    return {"problem": "", "name": source.name, "origin": source.origin, "hash": source.weights_hash}


_PROBES: dict[str, Callable[..., Any]] = {
    "torch": _torch,
    "rank": _rank,
    "cluster": _cluster,
    "hub": _hub,
    "encoder": _encoder,
}


def main(name: str, *arguments: str) -> None:
    """Print what a probe finds, and end at once: gloo's threads may abort a process that takes Python down."""
    print(json.dumps(_PROBES[name](*arguments)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
