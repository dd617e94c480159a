"""A training step with SMART's adversarial smoothness against a plain one.

The packaged MiniLM under three task heads, batch 16, at most 128 tokens, AdamW, clipped gradients; fp32 on the CPU with
2 threads, bf16 on a GPU. Both sides have their own model and go through the same batches of all three tasks, each of
sequences of about one length. A step is everything from the batch on its device to the changed weights.

Target: a step with SMART at most 3.2 x a plain one's time, which is 0.31 x its speed. The arithmetic is 2.7 x: plain
is 1 forward and 2 back; SMART adds 1 + 1 for the ascent, back to the embeddings alone, and 1 + 2 for the penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import measure
import steps
import torch
from corpus import TASKS
from torch import nn

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.regularizers import Regularizers
from mtsearch.regularizers.contract import RunningRegularizer
from mtsearch.regularizers.replay import RandomState
from mtsearch.training.assembly import build_model

BATCH = 16
BATCHES = 8  # of each task in a round
SIDES: dict[str, dict[str, Any]] = {"plain": {}, "SMART": {"smart": {}}}
TARGETS = (measure.Target("SMART", "plain", 1 / 3.2),)


@dataclass
class Side:
    """A model that trains with or without regularisers.

    Attributes:
        setting: the tasks and their batches.
        model: on ``device``, in training mode.
        optimizer: of the model.
        regularizers: at work on the model.
        device: where it trains.
    """

    setting: steps.Setting
    model: nn.Module
    optimizer: torch.optim.Optimizer
    regularizers: Sequence[RunningRegularizer]
    device: torch.device

    @classmethod
    def of(cls, regularizers: dict[str, Any], setting: steps.Setting, device: torch.device) -> Side:
        """The side that trains with these regularisers."""
        config = TrialConfig.model_validate({"tasks": TASKS})
        model = build_model(config, setting.inventories).to(device).train()
        optimizer = config.optimizer.build(model, config.training.seed)
        return cls(setting, model, optimizer, Regularizers.model_validate(regularizers).build(model), device)

    def step(self, batch: Batch) -> None:
        """One update from one batch."""
        task = self.setting.tasks[batch.task]
        random = RandomState.now(self.device)
        with steps.autocast(self.device):
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


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=5)
    setting = steps.three_tasks(options.device, BATCH, 2 if options.quick else BATCHES)
    batches = setting.all_batches
    sides = {}
    for name, regularizers in SIDES.items():
        side = Side.of(regularizers, setting, options.device)
        side.step(batches[0])  # the first step allocates the optimizer's state
        sides[name] = partial(steps.mean_milliseconds, side.step, batches, options.device)
    print(f"{options.device}, {steps.THREADS} threads, {len(batches)} steps a round, on {setting.origin}")
    steps.compare(sides, TARGETS, options.rounds, "a step")


if __name__ == "__main__":
    main()
