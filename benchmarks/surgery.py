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

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import measure
import torch
from corpus import TASKS, write_corpus
from torch import Tensor
from torchjd.aggregation import PCGrad as PCGradOfTorchJD
from torchjd.autojac import jac_to_grad, mtl_backward

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.surgery import PCGrad
from mtsearch.training.gradients import TaskGradients
from mtsearch.training.parts import TaskParts, build_model, load_task
from mtsearch.training.place import Place

BATCH = 16
THREADS = 2
UPDATES = 8  # in a round
TARGETS = (measure.Target("pcgrad", "summed", 1 / 1.35), measure.Target("pcgrad", "torchjd", 1.0))

Update = Sequence[Batch]


class Side:
    """A model and its optimizer.

    Args:
        tasks: by name.
        config: of the trial.
        device: where it trains.
    """

    def __init__(self, tasks: Mapping[str, TaskParts], config: TrialConfig, device: torch.device) -> None:
        self._tasks = tasks
        self._device = device
        inventories = {name: task.inventory for name, task in tasks.items()}
        self.model = build_model(config, inventories).to(device).train()
        self.shared = list(self.model.encoder.parameters())
        self._optimizer = config.optimizer.build(self.model, config.training.seed)

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch."""
        task = self._tasks[batch.task]
        with torch.autocast("cuda", torch.bfloat16) if self._device.type == "cuda" else nullcontext():
            return task.kind.loss(self.model(batch), batch.targets, task.inventory) / len(batch.rows)

    def milliseconds(self, differentiate: Callable[[Update], None], updates: Sequence[Update]) -> float:
        """Of a step, on average over these updates."""
        self._synchronise()
        begun = time.perf_counter()
        for update in updates:
            differentiate(update)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
        self._synchronise()
        return 1e3 * (time.perf_counter() - begun) / len(updates)

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


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
    arguments = measure.parser(__doc__, rounds=5)
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
        [task.splits["train"].batch(rows).to(device) for rows in task.splits["train"].in_length_order(BATCH)]
        for task in tasks.values()
    ]
    updates = list(zip(*batches, strict=True))
    sides = {}
    for method in (summed, pcgrad, torchjd):
        side = Side(tasks, config, device)
        differentiate = method(side)
        side.milliseconds(differentiate, updates[:1])  # the first step allocates the optimizer's state
        sides[method.__name__] = lambda _, side=side, how=differentiate: side.milliseconds(how, updates)
    print(f"{options.device}, {THREADS} threads, {len(updates)} steps of each side in a round, on {origin}")
    values = measure.interleaved(sides, options.rounds or (1 if options.quick else options.default_rounds))
    print("milliseconds a step; lower is better")
    measure.print_ratios(values, TARGETS, less_is_better=True)


if __name__ == "__main__":
    main()
