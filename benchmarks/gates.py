"""A training step with head gates against one without.

The packaged MiniLM under three task heads, batch 16 of one task in an update, at most 128 tokens, AdamW, clipped
gradients; fp32 on the CPU with 2 threads, bf16 on a GPU. Each side has its own model and goes through the same updates.
A step is everything from the batch on its device to the changed weights, and gates. The sides:

- ``ungated``: no gates;
- ``shared``: gates that all tasks share, under a strength;
- ``per task``: gates of each task's own, under a target sparsity.

Targets: a step with gates at most 1.05 x the time of one without.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import measure
import steps
import torch
from corpus import TASKS

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.pruning.contract import HeadGates
from mtsearch.training.assembly import build_model

BATCH = 16
UPDATES = 8  # of each task, in a round
SIDES: dict[str, dict[str, Any]] = {
    "ungated": {"name": "none"},
    "shared": {"name": "l0", "strength": 0.01},
    "per task": {"name": "l0", "target_sparsity": 0.5, "scope": "per_task"},
}
TARGETS = (measure.Target("shared", "ungated", 1 / 1.05), measure.Target("per task", "ungated", 1 / 1.05))


class Side:
    """A model, its optimizer and, where it has gates, their training.

    Args:
        setting: the tasks and their batches.
        pruning: the config's section.
        device: where it trains.
    """

    def __init__(self, setting: steps.Setting, pruning: Mapping[str, Any], device: torch.device) -> None:
        config = TrialConfig.model_validate({"tasks": TASKS, "pruning": pruning})
        self._tasks = setting.tasks
        self._device = device
        self._model = build_model(config, setting.inventories).to(device).train()
        self._optimizer = config.optimizer.build(self._model, config.training.seed)
        self._stepped = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        gates = cast("HeadGates | None", dict(self._model.extensions.items()).get("pruning"))
        self._pruning = gates and gates.start((len(setting.all_batches),))

    def step(self, batch: Batch) -> None:
        """One update from one batch."""
        task = self._tasks[batch.task]
        with steps.autocast(self._device):
            loss = task.kind.loss(self._model(batch), batch.targets, task.inventory) / len(batch.rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._stepped, 1.0)
        if self._pruning is not None:
            self._pruning.step((batch.task,), 0, None)
        self._optimizer.step()
        self._optimizer.zero_grad()


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=7)
    setting = steps.three_tasks(options.device, BATCH, 2 if options.quick else UPDATES)
    batches = setting.all_batches
    sides = {}
    for name, pruning in SIDES.items():
        side = Side(setting, pruning, options.device)
        for own in setting.batches.values():
            side.step(own[0])  # the first steps allocate the optimizer's state
        sides[name] = partial(steps.mean_milliseconds, side.step, batches, options.device)
    print(f"{options.device}, {steps.THREADS} threads, {len(batches)} steps a round, on {setting.origin}")
    steps.compare(sides, TARGETS, options.rounds, "a step")


if __name__ == "__main__":
    main()
