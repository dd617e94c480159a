"""A forward pass with experts in the upper feed-forwards against the plain encoder's.

The packaged MiniLM under three task heads, batch 64, at most 128 tokens, in inference mode; fp32 on the CPU with 2
threads, bf16 on a GPU. Each side has its own model, with 3 experts in the upper 3 of 6 layers, and goes through the
same batches of all three tasks, each of sequences of about one length.

Targets: hard experts, of which a sequence has one, at most 1.2 x the plain encoder's time, which is 0.83 x its speed;
soft ones at most 2 x. A feed-forward is two thirds of a layer's arithmetic, so that two more in half of the layers make
1.67 x.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import measure
import steps
import torch
from corpus import TASKS

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.model.multitask import MultitaskModel
from mtsearch.training.assembly import build_model

BATCH = 64
BATCHES = 8  # of each task in a round
EXPERTS: dict[str, Any] = {"name": "feed_forward", "num_experts": 3, "layers": 3}
SIDES: dict[str, dict[str, Any]] = {
    "plain": {"name": "none"},
    "hard experts": {**EXPERTS, "gate": "hard"},
    "soft experts": {**EXPERTS, "gate": "soft"},
}
TARGETS = (measure.Target("hard experts", "plain", 1 / 1.2), measure.Target("soft experts", "plain", 1 / 2))


@torch.inference_mode()
def run(model: MultitaskModel, device: torch.device, batch: Batch) -> None:
    """A forward pass."""
    with steps.autocast(device):
        model(batch)


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=5)
    setting = steps.three_tasks(options.device, BATCH, 2 if options.quick else BATCHES)
    batches = setting.all_batches
    sides = {}
    for name, experts in SIDES.items():
        config = TrialConfig.model_validate({"tasks": TASKS, "experts": experts})
        model = build_model(config, setting.inventories).to(options.device).eval()
        run(model, options.device, batches[0])
        sides[name] = partial(steps.mean_milliseconds, partial(run, model, options.device), batches, options.device)
    print(f"{options.device}, {steps.THREADS} threads, {len(batches)} passes a round, on {setting.origin}")
    steps.compare(sides, TARGETS, options.rounds, "a pass")


if __name__ == "__main__":
    main()
