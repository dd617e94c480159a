"""A forward pass with experts in the upper feed-forwards against the plain encoder's.

The packaged MiniLM under three task heads, batch 64, at most 128 tokens, in inference mode; fp32 on the CPU with 2
threads, bf16 on a GPU. Each side has its own model, with 3 experts in the upper 3 of 6 layers, and goes through the
same batches of all three tasks, each of sequences of about one length.

Targets: hard experts, of which a sequence has one, at most 1.2 x the plain encoder's time, which is 0.83 x its speed;
soft ones at most 2 x. A feed-forward is two thirds of a layer's arithmetic, so that two more in half of the layers make
1.67 x.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import measure
import torch
from corpus import TASKS, write_corpus

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch
from mtsearch.model.multitask import MultitaskModel
from mtsearch.training.parts import build_model, load_task
from mtsearch.training.place import Place

BATCH = 64
THREADS = 2
BATCHES = 8  # of each task in a round
EXPERTS: dict[str, Any] = {"name": "feed_forward", "num_experts": 3, "layers": 3}
SIDES: dict[str, dict[str, Any]] = {
    "plain": {"name": "none"},
    "hard experts": {**EXPERTS, "gate": "hard"},
    "soft experts": {**EXPERTS, "gate": "soft"},
}
TARGETS = (measure.Target("hard experts", "plain", 1 / 1.2), measure.Target("soft experts", "plain", 1 / 2))


@torch.inference_mode()
def milliseconds(model: MultitaskModel, batches: Sequence[Batch], device: torch.device) -> float:
    """Of a forward pass, on average over these batches."""
    _synchronise(device)
    begun = time.perf_counter()
    with torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext():
        for batch in batches:
            model(batch)
    _synchronise(device)
    return 1e3 * (time.perf_counter() - begun) / len(batches)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
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
        place = Place(folder=None, data_root=Path(folder), cpus=THREADS, device=options.device)
        configs = {
            name: TrialConfig.model_validate({"tasks": TASKS, "experts": experts}) for name, experts in SIDES.items()
        }
        plain = configs["plain"]
        tasks = {name: load_task(name, kind, plain, place) for name, kind in plain.tasks.items()}
    batches = [
        task.splits["train"].batch(rows).to(device)
        for task in tasks.values()
        for rows in task.splits["train"].in_length_order(BATCH)
    ]
    inventories = {name: task.inventory for name, task in tasks.items()}
    models = {name: build_model(config, inventories).to(device).eval() for name, config in configs.items()}
    for model in models.values():
        milliseconds(model, batches[:1], device)
    print(f"{options.device}, {THREADS} threads, {len(batches)} passes of each side in a round, on {origin}")
    values = measure.interleaved(
        {name: lambda _, model=model: milliseconds(model, batches, device) for name, model in models.items()},
        options.rounds or (1 if options.quick else options.default_rounds),
    )
    print("milliseconds a pass; lower is better")
    measure.print_ratios(values, TARGETS, less_is_better=True)


if __name__ == "__main__":
    main()
