"""What the benchmarks of single steps share: a device, batches of three tasks, and the time of a step over them."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import measure
import torch
from corpus import TASKS, write_corpus

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.tasks.contract import Inventory
from mtsearch.training.parts import TaskParts, load_task
from mtsearch.training.place import Place

__all__ = ["THREADS", "Setting", "arguments", "autocast", "compare", "mean_milliseconds", "three_tasks"]

THREADS = 2
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Setting:
    """Three tasks on a device.

    Attributes:
        tasks: by name.
        batches: of each task, each of sequences of about one length, on the device.
        origin: where the data came from, in words.
    """

    tasks: Mapping[str, TaskParts]
    batches: Mapping[str, Sequence[Batch]]
    origin: str

    @property
    def inventories(self) -> dict[str, Inventory]:
        """What each task learned from its training split."""
        return {name: task.inventory for name, task in self.tasks.items()}

    @property
    def all_batches(self) -> list[Batch]:
        """Of one task after the other."""
        return [batch for own in self.batches.values() for batch in own]


def arguments(description: str | None, rounds: int) -> argparse.Namespace:
    """The command line, with ``--device``; the machine is looked at, and torch has its threads.

    ``rounds`` of what it gives is how many there are to be, and ``device`` a ``torch.device``.
    """
    parser = measure.parser(description, rounds)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.device = torch.device(options.device)
    options.rounds = options.rounds or (1 if options.quick else options.default_rounds)
    measure.warn_unless_idle()
    torch.set_num_threads(THREADS)
    return options


def three_tasks(device: torch.device, batch_size: int, num_batches: int) -> Setting:
    """SST-5, Quora and STS-B, or what stands for them, cut to so many batches each."""
    with tempfile.TemporaryDirectory() as folder:
        origin = write_corpus(Path(folder), train=num_batches * batch_size, dev=batch_size)
        config = TrialConfig.model_validate({"tasks": TASKS})
        place = Place(None, Path(folder), THREADS, "cuda" if device.type == "cuda" else "cpu")
        tasks = {name: load_task(name, kind, config, place) for name, kind in config.tasks.items()}
    splits = {name: task.splits["train"] for name, task in tasks.items()}
    batches = {
        name: [split.batch(rows).to(device) for rows in split.in_length_order(batch_size)]
        for name, split in splits.items()
    }
    return Setting(tasks, batches, origin)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 on a GPU, fp32 on the CPU."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def mean_milliseconds(step: Callable[[_Item], object], items: Sequence[_Item], device: torch.device) -> float:
    """Of a step, on average over what it is done with."""
    _synchronise(device)
    begun = time.perf_counter()
    for item in items:
        step(item)
    _synchronise(device)
    return 1e3 * (time.perf_counter() - begun) / len(items)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def compare(
    sides: Mapping[str, Callable[[], float]], targets: Sequence[measure.Target], rounds: int, unit: str
) -> None:
    """Measure the sides in turn, and print their ratios; ``unit`` says what the milliseconds are of."""
    values = measure.interleaved({name: lambda _, run=run: run() for name, run in sides.items()}, rounds)
    print(f"milliseconds {unit}; lower is better")
    measure.print_ratios(values, targets, less_is_better=True)
