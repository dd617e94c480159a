"""What freezing saves: seconds an update, with layers frozen, and with what they give kept in files.

The packaged MiniLM on one task (SST-5), batch 16, at most 128 tokens, AdamW, clipped gradients; fp32 on the CPU with
2 threads, bf16 on a GPU. A round is the same 50 updates on every side, each timed as the second epoch on its data, so
that the cache is filled; what filling costs is printed once. The sides:

- ``all layers``: everything trains;
- ``upper half``: the embeddings and the lower 3 of 6 layers are frozen, and run without autograd;
- ``upper half, cached``: the same, starting from what they gave;
- ``task head``: the whole encoder is frozen;
- ``task head, cached``: the same, starting from what it gave.

Targets: upper half at least 1.5 x as fast as all layers, 2.2 x with the cache; the task head at least 20 x as fast
with the cache as without.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import measure
import numpy as np
import numpy.typing as npt
import steps
import torch
from corpus import TASKS, write_corpus

from mtsearch.config.trial import TrialConfig
from mtsearch.training.assembly import build_model
from mtsearch.training.parts import load_task
from mtsearch.training.place import Place
from mtsearch.training.precision import build_accelerator
from mtsearch.training.prefix_cache import PrefixCache
from mtsearch.training.thawing import Thawing
from mtsearch.unfreezing import Everything, Layers

BATCH = 16
UPDATES = 50  # in a round
SIDES: dict[str, tuple[Everything | Layers, bool]] = {
    "all layers": (Everything(), False),
    "upper half": (Layers(first=4), False),
    "upper half, cached": (Layers(first=4), True),
    "task head": (Layers(last=0), False),
    "task head, cached": (Layers(last=0), True),
}
TARGETS = (
    measure.Target("upper half", "all layers", 1.5),
    measure.Target("upper half, cached", "all layers", 2.2),
    measure.Target("task head, cached", "task head", 20.0),
)


class Side:
    """One way to train.

    Args:
        unfreezing: what trains.
        cached: whether batches start above what is frozen.
        data_root: of :func:`corpus.write_corpus`.
        device: where it trains.
        updates: in a round.
    """

    def __init__(
        self, unfreezing: Everything | Layers, cached: bool, data_root: Path, device: torch.device, updates: int
    ) -> None:
        is_cuda = device.type == "cuda"
        place = Place(None, data_root, steps.THREADS, "cuda" if is_cuda else "cpu")
        config = TrialConfig.model_validate({"tasks": {"sentiment": TASKS["sentiment"]}})
        self.task = load_task("sentiment", config.tasks["sentiment"], config, place)
        self.split = self.task.splits["train"]
        self.accelerator = build_accelerator("bf16" if is_cuda else "fp32", place)
        self.model = build_model(config, {"sentiment": self.task.inventory}).to(self.accelerator.device)
        self.thawing = Thawing(self.model, unfreezing, epochs=1)
        self.optimizer = config.optimizer.build(self.model, seed=0)
        self.thawing.start_epoch(0, 0)
        self.cache = PrefixCache(self.model, self.accelerator)
        if cached:
            self.cache.freeze(self.thawing.frozen_prefix)
        lots = list(self.split.in_length_order(BATCH))
        self.lots = lots[:: max(1, len(lots) // updates)][:updates]  # of every length

    def milliseconds(self) -> float:
        """Of an update, on average over an epoch."""
        self.thawing.set_training_mode()
        return steps.mean_milliseconds(self.step, self.lots, self.accelerator.device)

    def step(self, rows: npt.NDArray[np.int64]) -> None:
        """One update from these rows."""
        batch = self.cache.batch(self.split, rows)
        with self.accelerator.autocast():
            logits = self.model(batch)
        loss = self.task.kind.loss(logits, batch.targets, self.task.inventory) / len(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=5)
    updates = 10 if options.quick else UPDATES
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MTSEARCH_CACHE"] = f"{folder}/cache"  # empty, and gone afterwards
        origin = write_corpus(Path(folder), train=updates * BATCH, dev=BATCH)
        print(f"{options.device}, {steps.THREADS} threads, {updates} updates on {origin}")
        sides = {
            name: Side(unfreezing, cached, Path(folder), options.device, updates)
            for name, (unfreezing, cached) in SIDES.items()
        }
        for name, side in sides.items():
            print(f"first epoch  {name:<28} {side.milliseconds():9.2f}", flush=True)  # also allocates
            side.cache.publish()
        runs = {name: side.milliseconds for name, side in sides.items()}
        steps.compare(runs, TARGETS, options.rounds, "an update")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
