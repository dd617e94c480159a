"""A mean update with SophiaH against one with AdamW.

The packaged MiniLM under one of our task heads, fp32, clipped gradients, batches of 16 random sequences of 64 and of 24
tokens, 2 threads on the CPU. SophiaH estimates its curvature every 10 updates on a quarter of the batch; a round is
two such intervals of each side, so that the mean counts the estimates in full.

``differences`` is SophiaH with its other estimator, which takes two gradients on the quarter and no second derivative.

Targets: a step of at most 1.25 times AdamW's at 64 tokens, which is a ratio of speeds of at least 0.80. At 24 tokens,
where the parameters weigh more against the tokens, at least 0.70.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import measure
import numpy as np
import steps
import torch
from corpus import TASKS
from torch import Tensor, nn

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch, Inputs
from mtsearch.optimizers.contract import NeedsCurvature
from mtsearch.tasks.contract import Inventory
from mtsearch.training.assembly import build_model

TASK = "sentiment"
BATCH = 16
INTERVAL = 10
RATIO = 0.25
INVENTORY = Inventory(labels=("0", "1", "2", "3", "4"), counts=(1, 1, 1, 1, 1))
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {"name": "adamw"},
    "SophiaH": {"name": "sophiah", "hessian_interval": INTERVAL, "hessian_batch_ratio": RATIO},
    "differences": {
        "name": "sophiah",
        "hessian_interval": INTERVAL,
        "hessian_batch_ratio": RATIO,
        "estimator": "finite_difference",
    },
}
LENGTHS = {64: 0.80, 24: 0.70}  # tokens of a sequence -> the target


@dataclass
class Side:
    """A model with its optimizer, which train on batches of one size.

    Attributes:
        config: the trial's.
        model: on ``device``, in training mode.
        optimizer: of the model.
        length: tokens in a sequence.
        device: ``cpu`` or ``cuda``.
    """

    config: TrialConfig
    model: nn.Module
    optimizer: torch.optim.Optimizer
    length: int
    device: torch.device

    @classmethod
    def of(cls, optimizer: dict[str, Any], length: int, device: torch.device) -> Side:
        """The side that trains with this optimizer."""
        config = TrialConfig.model_validate({"tasks": {TASK: TASKS[TASK]}, "optimizer": optimizer})
        model = build_model(config, {TASK: INVENTORY}).to(device).train()
        return cls(config, model, config.optimizer.build(model, config.training.seed), length, device)

    def batch(self, number: int, rows: int = BATCH) -> Batch:
        """Random tokens and labels."""
        random = torch.Generator().manual_seed(number)
        ids_BL = torch.randint(1000, 30_000, (rows, self.length), generator=random)
        inputs = Inputs(ids_BL, torch.ones_like(ids_BL), torch.zeros_like(ids_BL))
        labels = torch.randint(0, len(INVENTORY.labels), (rows,), generator=random)
        return Batch(TASK, np.arange(rows), (inputs,), {"label": labels}).to(self.device)

    def loss(self, batch: Batch) -> Tensor:
        """The mean over the batch's rows."""
        kind = self.config.tasks[TASK]
        return kind.loss(self.model(batch), batch.targets, INVENTORY) / len(batch.rows)

    def step(self, batch: Batch) -> None:
        """One update from one batch."""
        self.optimizer.zero_grad()
        self.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if isinstance(self.optimizer, NeedsCurvature) and self.optimizer.curvature_is_due():
            part = self.batch(0, round(BATCH * self.optimizer.hessian_batch_ratio))
            self.optimizer.estimate_curvature(lambda: self.loss(part))
        self.optimizer.step()


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=5)
    updates = INTERVAL if options.quick else 2 * INTERVAL
    sides = {}
    for length in LENGTHS:
        for name, optimizer in OPTIMIZERS.items():
            side = Side.of(optimizer, length, options.device)
            batches = [side.batch(number) for number in range(updates)]
            for batch in batches[:INTERVAL]:  # the first updates allocate the state
                side.step(batch)
            sides[f"{name} {BATCH}x{length}"] = partial(steps.mean_milliseconds, side.step, batches, options.device)
    targets = [
        measure.Target(f"{name} {BATCH}x{length}", f"AdamW {BATCH}x{length}", ratio)
        for length, ratio in LENGTHS.items()
        for name in OPTIMIZERS
        if name != "AdamW"
    ]
    print(f"{options.device}, {steps.THREADS} threads, {updates} updates of each side in a round")
    steps.compare(sides, targets, options.rounds, "an update")


if __name__ == "__main__":
    main()
