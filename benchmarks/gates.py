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

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import measure
import torch
from corpus import TASKS, write_corpus

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.pruning.contract import HeadGates
from mtsearch.training.parts import TaskParts, build_model, load_task
from mtsearch.training.place import Place

BATCH = 16
THREADS = 2
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
        tasks: by name.
        pruning: the config's section.
        device: where it trains.
        num_updates: in a round.
    """

    def __init__(
        self, tasks: Mapping[str, TaskParts], pruning: Mapping[str, Any], device: torch.device, num_updates: int
    ) -> None:
        config = TrialConfig.model_validate({"tasks": TASKS, "pruning": pruning})
        self._tasks = tasks
        self._device = device
        inventories = {name: task.inventory for name, task in tasks.items()}
        self._model = build_model(config, inventories).to(device).train()
        self._optimizer = config.optimizer.build(self._model, config.training.seed)
        self._stepped = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        gates = cast("HeadGates | None", dict(self._model.extensions.items()).get("pruning"))
        self._pruning = gates and gates.start((num_updates,))

    def milliseconds(self, batches: Sequence[Batch]) -> float:
        """Of a step, on average over these batches."""
        self._synchronise()
        begun = time.perf_counter()
        for number, batch in enumerate(batches):
            task = self._tasks[batch.task]
            with torch.autocast("cuda", torch.bfloat16) if self._device.type == "cuda" else nullcontext():
                loss = task.kind.loss(self._model(batch), batch.targets, task.inventory) / len(batch.rows)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._stepped, 1.0)
            if self._pruning is not None:
                self._pruning.step((batch.task,), number, None)
            self._optimizer.step()
            self._optimizer.zero_grad()
        self._synchronise()
        return 1e3 * (time.perf_counter() - begun) / len(batches)

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Measure and print."""
    arguments = measure.parser(__doc__, rounds=7)
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = arguments.parse_args()
    measure.warn_unless_idle()
    torch.set_num_threads(THREADS)
    device = torch.device(options.device)
    num_updates = 2 if options.quick else UPDATES
    with tempfile.TemporaryDirectory() as folder:
        origin = write_corpus(Path(folder), train=num_updates * BATCH, dev=BATCH)
        config = TrialConfig.model_validate({"tasks": TASKS})
        place = Place(folder=None, data_root=Path(folder), cpus=THREADS, device=options.device)
        tasks = {name: load_task(name, kind, config, place) for name, kind in config.tasks.items()}
    batches = [
        task.splits["train"].batch(rows).to(device)
        for task in tasks.values()
        for rows in task.splits["train"].in_length_order(BATCH)
    ]
    sides = {}
    for name, pruning in SIDES.items():
        side = Side(tasks, pruning, device, len(batches))
        side.milliseconds(batches[:: len(batches) // 3])  # the first steps allocate the optimizer's state
        sides[name] = lambda _, side=side: side.milliseconds(batches)
    print(f"{options.device}, {THREADS} threads, {len(batches)} steps of each side in a round, on {origin}")
    values = measure.interleaved(sides, options.rounds or (1 if options.quick else options.default_rounds))
    print("milliseconds a step; lower is better")
    measure.print_ratios(values, TARGETS, less_is_better=True)


if __name__ == "__main__":
    main()
