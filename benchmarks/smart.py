"""A training step with SMART's adversarial smoothness against a plain one.

The packaged MiniLM under three task heads, batch 16, at most 128 tokens, AdamW, clipped gradients; fp32 on the CPU with
2 threads, bf16 on a GPU. Both sides have their own model and go through the same batches of all three tasks, each of
sequences of about one length. A step is everything from the batch on its device to the changed weights.

Target: a step with SMART at most 3.2 x a plain one's time, which is 0.31 x its speed. The arithmetic is 2.7 x: plain
is 1 forward and 2 back; SMART adds 1 + 1 for the ascent, back to the embeddings alone, and 1 + 2 for the penalty.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import torch
from corpus import TASKS, write_corpus
from torch import nn

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.regularizers import Regularizers
from mtsearch.regularizers.contract import RunningRegularizer
from mtsearch.regularizers.replay import RandomState
from mtsearch.training.parts import TaskParts, build_model, load_task
from mtsearch.training.place import Place

BATCH = 16
THREADS = 2
BATCHES = 8  # of each task in a round
SIDES: dict[str, dict[str, Any]] = {"plain": {}, "SMART": {"smart": {}}}
TARGETS = (measure.Target("SMART", "plain", 1 / 3.2),)


@dataclass
class Side:
    """A model that trains with or without regularisers.

    Attributes:
        tasks: by name.
        model: on ``device``, in training mode.
        optimizer: of the model.
        regularizers: at work on the model.
        device: where it trains.
    """

    tasks: dict[str, TaskParts]
    model: nn.Module
    optimizer: torch.optim.Optimizer
    regularizers: Sequence[RunningRegularizer]
    device: torch.device

    @classmethod
    def of(
        cls, regularizers: dict[str, Any], config: TrialConfig, tasks: dict[str, TaskParts], device: torch.device
    ) -> Side:
        """The side that trains with these regularisers."""
        model = build_model(config, {name: task.inventory for name, task in tasks.items()}).to(device).train()
        optimizer = config.optimizer.build(model, config.training.seed)
        return cls(tasks, model, optimizer, Regularizers.model_validate(regularizers).build(model), device)

    def milliseconds(self, batches: Sequence[Batch]) -> float:
        """Of a step, on average over these batches."""
        self._synchronise()
        begun = time.perf_counter()
        for batch in batches:
            self.step(batch)
        self._synchronise()
        return 1e3 * (time.perf_counter() - begun) / len(batches)

    def step(self, batch: Batch) -> None:
        """One update from one batch."""
        task = self.tasks[batch.task]
        random = RandomState.now(self.device)
        with torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext():
            logits = self.model(batch)
            loss = task.kind.loss(logits, batch.targets, task.inventory)
            for regularizer in self.regularizers:
                loss = loss + regularizer.penalty(self.model, batch, task.kind, task.inventory, logits, random)
        (loss / len(batch.rows)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        for regularizer in self.regularizers:
            regularizer.after_update(self.model)

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Measure and print."""
    arguments = measure.parser(__doc__, rounds=5)
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = arguments.parse_args()
    measure.warn_unless_idle()
    torch.set_num_threads(THREADS)
    device = torch.device(options.device)
    num_batches = 2 if options.quick else BATCHES
    with tempfile.TemporaryDirectory() as folder:
        origin = write_corpus(Path(folder), train=num_batches * BATCH, dev=BATCH)
        config = TrialConfig.model_validate({"tasks": TASKS})
        place = Place(folder=None, data_root=Path(folder), cpus=THREADS, device=options.device)
        tasks = {name: load_task(name, kind, config, place) for name, kind in config.tasks.items()}
    batches = [
        task.splits["train"].batch(rows).to(device)
        for task in tasks.values()
        for rows in task.splits["train"].in_length_order(BATCH)
    ]
    sides = {name: Side.of(regularizers, config, tasks, device) for name, regularizers in SIDES.items()}
    for side in sides.values():
        side.step(batches[0])  # the first step allocates the optimizer's state
    print(f"{options.device}, {THREADS} threads, {len(batches)} steps of each side in a round, on {origin}")
    values = measure.interleaved(
        {name: lambda _, side=side: side.milliseconds(batches) for name, side in sides.items()},
        options.rounds or (1 if options.quick else options.default_rounds),
    )
    print("milliseconds a step; lower is better")
    measure.print_ratios(values, TARGETS, less_is_better=True)


if __name__ == "__main__":
    main()
