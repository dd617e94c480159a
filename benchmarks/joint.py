"""What joint training of the five core tasks spends outside the encoder and the task heads.

POS, NER, DEP, CON and SRL on the packaged MiniLM, one batch of 16 sentences a task in turn, the trainer's defaults; the
real sets where ``MTSEARCH_DATA`` names them, else the sample corpus. The sides go through the same updates:

- ``trainer``: :func:`mtsearch.training.updates.train_updates`, all of it: batches, losses, gradients, clipping, AdamW;
- ``passes``: on batches that are ready, the forward pass, the loss and the backward pass, and nothing else.

Target: the passes are at least 0.8 of the trainer's time. Under the ratio each task's share of the passes is printed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import measure
import steps
import torch

from mtsearch.config.trial import TrialConfig
from mtsearch.data.plan import PlannedUpdate
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.updates import start_epoch, train_updates

BATCH = 16
UPDATES = 50  # in a round
TASKS = {
    "pos": {"kind": "tagging", "data": "ud_ewt"},
    "ner": {"kind": "ner", "data": "wnut17"},
    "dep": {"kind": "dependency", "data": "ud_ewt"},
    "con": {"kind": "constituency", "data": "gum_const"},
    "srl": {"kind": "srl", "data": "srl_propbank_ewt"},
}


def build_parts(device: torch.device) -> Parts:
    """A trial of the five tasks, ready to train."""
    config = TrialConfig.model_validate(
        {"tasks": TASKS, "training": {"batch_size": BATCH, "epochs": 1}, "sampler": {"name": "round_robin"}}
    )
    named = os.environ.get("MTSEARCH_DATA")
    place = Place(None, Path(named) if named else None, steps.THREADS, "cuda" if device.type == "cuda" else "cpu")
    return build(config, place)


class Passes:
    """The forward and backward passes of updates, with the seconds of each task's.

    Args:
        parts: whose model it is.
        updates: whose batches are made at once.
    """

    def __init__(self, parts: Parts, updates: Sequence[PlannedUpdate]) -> None:
        self._parts = parts
        self._batches = [
            parts.prefix.batch(parts.tasks[planned.task].splits["train"], planned.rows)
            for update in updates
            for planned in update
        ]
        self.seconds = dict.fromkeys(parts.tasks, 0.0)

    def run(self) -> float:
        """Milliseconds of an update."""
        model = self._parts.state.model.train()
        whole = time.perf_counter()
        for batch in self._batches:
            begun = time.perf_counter()
            task = self._parts.tasks[batch.task]
            with self._parts.accelerator.autocast():
                loss = task.kind.loss(model(batch), batch.targets, task.inventory) / len(batch.rows)
            self._parts.accelerator.backward(loss)
            if loss.is_cuda:
                torch.cuda.synchronize()
            self.seconds[batch.task] += time.perf_counter() - begun
        seconds = time.perf_counter() - whole
        self._parts.state.optimizer.zero_grad()
        return 1e3 * seconds / len(self._batches)


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=5)
    parts = build_parts(options.device)
    planned, _ = parts.plan.epoch(0, {})
    updates = planned[: 10 if options.quick else UPDATES]
    start_epoch(parts)
    train_updates(parts, updates[:5])  # the first ones allocate
    passes = Passes(parts, updates)

    def trainer() -> float:
        begun = time.perf_counter()
        train_updates(parts, updates)
        return 1e3 * (time.perf_counter() - begun) / len(updates)

    origins = ", ".join(sorted({task.data.origin for task in parts.tasks.values()}))
    print(f"{options.device}, {steps.THREADS} threads, {len(updates)} updates a round, on the {origins}")
    targets = (measure.Target("trainer", "passes", 0.8),)
    steps.compare({"trainer": trainer, "passes": passes.run}, targets, options.rounds, "an update")
    total = sum(passes.seconds.values())
    print("of the passes: " + ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in passes.seconds.items()))


if __name__ == "__main__":
    main()
