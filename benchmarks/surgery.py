"""A training step with PCGrad against one of the summed losses, and against TorchJD's.

The packaged MiniLM under three task heads, batch 16 of each task in an update, at most 128 tokens, AdamW, clipped
gradients; fp32 on the CPU with 2 threads, bf16 on a GPU. Each side has its own model and goes through the same updates,
whose batches hold sequences of about one length. A step is everything from the batches on their device to the changed
weights. The sides:

- ``summed``: one backward pass after the other, gradients added up by autograd;
- ``pcgrad``: the same into a row for each task, then PCGrad on the rows' Gramian;
- ``torchjd``: its ``autojac.mtl_backward`` with its own PCGrad, one task at a time (``parallel_chunk_size=1``, which is
  the faster way here: each of its rows goes back through the graphs of all tasks).

Targets: a step with PCGrad at most 1.35 x the summed losses' time, which is 0.74 x its speed, and no slower than
TorchJD's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import measure
import steps
import torch
from corpus import TASKS
from torch import Tensor
from torchjd.aggregation import PCGrad as PCGradOfTorchJD
from torchjd.autojac import jac_to_grad, mtl_backward

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.surgery import PCGrad
from mtsearch.training.assembly import build_model
from mtsearch.training.gradients import TaskGradients

BATCH = 16
UPDATES = 8  # in a round
TARGETS = (measure.Target("pcgrad", "summed", 1 / 1.35), measure.Target("pcgrad", "torchjd", 1.0))

Update = Sequence[Batch]


class Side:
    """A model and its optimizer.

    Args:
        setting: the tasks and their batches.
        device: where it trains.
    """

    def __init__(self, setting: steps.Setting, device: torch.device) -> None:
        config = TrialConfig.model_validate({"tasks": TASKS})
        self._tasks = setting.tasks
        self._device = device
        self.model = build_model(config, setting.inventories).to(device).train()
        self.shared = list(self.model.encoder.parameters())
        self._optimizer = config.optimizer.build(self.model, config.training.seed)

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch."""
        task = self._tasks[batch.task]
        with steps.autocast(self._device):
            return task.kind.loss(self.model(batch), batch.targets, task.inventory) / len(batch.rows)

    def step(self, differentiate: Callable[[Update], None], update: Update) -> None:
        """One update from a batch of each task."""
        differentiate(update)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()


def summed(side: Side) -> Callable[[Update], None]:
    """The gradient of the summed losses."""

    def differentiate(update: Update) -> None:
        for batch in update:
            side.loss(batch).backward()

    return differentiate


def pcgrad(side: Side) -> Callable[[Update], None]:
    """Our PCGrad, as the trainer calls it."""
    gradients, surgery = TaskGradients(side.shared, len(TASKS)), PCGrad().build(list(TASKS), seed=0)
    assert surgery is not None

    def differentiate(update: Update) -> None:
        for row, batch in enumerate(update):
            gradients.receive(row)
            side.loss(batch).backward()
        gradients.combine(surgery.coefficients(gradients.gramian(), [batch.task for batch in update]))

    return differentiate


def torchjd(side: Side) -> Callable[[Update], None]:
    """TorchJD's PCGrad."""
    states: list[Tensor] = []
    side.model.encoder.register_forward_hook(lambda _, __, output: states.append(output.last_hidden_state))
    aggregator = PCGradOfTorchJD()

    def differentiate(update: Update) -> None:
        states.clear()
        losses = [side.loss(batch) for batch in update]
        heads = [list(side.model.heads[batch.task].parameters()) for batch in update]
        mtl_backward(losses, states, tasks_params=heads, shared_params=side.shared, parallel_chunk_size=1)
        jac_to_grad(side.shared, aggregator)

    return differentiate


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=5)
    setting = steps.three_tasks(options.device, BATCH, 2 if options.quick else UPDATES)
    updates = list(zip(*setting.batches.values(), strict=True))
    sides = {}
    for method in (summed, pcgrad, torchjd):
        side = Side(setting, options.device)
        step = partial(side.step, method(side))
        step(updates[0])  # the first step allocates the optimizer's state
        sides[method.__name__] = partial(steps.mean_milliseconds, step, updates, options.device)
    print(f"{options.device}, {steps.THREADS} threads, {len(updates)} steps a round, on {setting.origin}")
    steps.compare(sides, TARGETS, options.rounds, "a step")


if __name__ == "__main__":
    main()
