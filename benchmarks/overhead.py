"""What the controller costs: the share of a search in which its slots do not train.

A real search over the packaged MiniLM with trials of about a minute each, two at a time with one thread each; how
many updates a minute is, a short training tells first. The peer is the ideal: a slot that does nothing but train,
evaluate and save.

From the run folder's events: a slot is free when a trial in it stops, and from then on until the next trial in it
stops, the seconds that the trainer counts as its own are work, and all else is overhead: telling and asking the search
algorithm, handing over, building, reporting. For a slot's first trial this counts from its first update on; the
start of Ray and the workers before it, once a search, is shown apart.

Target: at most 5% of the slots' time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
from corpus import TASKS, write_corpus

from mtsearch.config.load import load_space
from mtsearch.search.events import Reported, RunStarted, Stopped, read_events
from mtsearch.search.tuner import run_search
from mtsearch.training.fit import fit
from mtsearch.training.parts import build
from mtsearch.training.place import Place

SLOTS = 2
TRIALS_PER_SLOT = 3
EPOCHS = 3
BATCH = 16
TARGET = 0.05


def config(examples_per_task: int) -> dict[str, Any]:
    """A trial's fixed values."""
    return {
        "name": "overhead",
        "tasks": TASKS,
        "training": {"epochs": EPOCHS, "batch_size": BATCH, "precision": "fp32"},
        "sampler": {"name": "uniform", "examples_per_task": examples_per_task},
        "optimizer": {"name": "adamw", "lr": 8e-5},
        "schedule": {"name": "linear"},
        "resources": {"cpus": 1},
    }


def examples_for(seconds: float, data: Path) -> int:
    """Examples of each task and epoch that make a trial about so long."""
    rates = []
    for report in fit(build(load_space(config(2 * BATCH)).single_config(), Place(folder=None, data_root=data))):
        rates.append(report.examples_seen / report.seconds)
    return max(BATCH, round(rates[-1] * seconds / (EPOCHS * len(TASKS))))


def overhead(run: Path) -> tuple[float, list[float], float]:
    """The share of the slots' time that is not work; the seconds of each trial; the seconds to the first update."""
    begun, work = 0.0, {}
    first_updates, stops = {}, {}
    for event in read_events(run):
        match event:
            case RunStarted():
                begun = event.time
            case Reported():
                work[event.trial_id] = event.report["seconds"]
                first_updates.setdefault(event.trial_id, event.time - work[event.trial_id])
            case Stopped():
                stops[event.trial_id] = event.time
    begins = sorted(first_updates.values())
    free = [*begins[:SLOTS], *sorted(stops.values())][: len(stops)]
    occupied = sum(stops.values()) - sum(free)
    return 1 - sum(work.values()) / occupied, list(work.values()), begins[0] - begun


def main() -> None:
    """Measure and print."""
    options = measure.parser(__doc__, rounds=1).parse_args()
    measure.warn_unless_idle()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    wanted = 20.0 if options.quick else 60.0
    shares = []
    for number in range(options.rounds or 1):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder)
            origin = write_corpus(data, train=10_000, dev=64)
            fixed = config(examples_for(wanted, data))
            varied = {**fixed["optimizer"], "lr": {"loguniform": [1e-5, 3e-4]}}
            search = {"trials": SLOTS * TRIALS_PER_SLOT, "scheduler": {"name": "none"}, "concurrency": SLOTS}
            space = load_space({**fixed, "optimizer": varied, "search": search})
            begun = time.perf_counter()
            outcome = run_search(space, data / "run", data_root=data)
            wall = time.perf_counter() - begun
            if outcome.counts.get("completed", 0) != SLOTS * TRIALS_PER_SLOT:
                raise SystemExit(f"not all of the trials did what they should: {outcome.counts}")
            share, seconds, waited = overhead(data / "run")
        shares.append(share)
        print(
            f"round {number + 1}: {len(seconds)} trials of {min(seconds):.0f} to {max(seconds):.0f} s on {origin}; "
            f"{wall:.0f} s in all, of which {waited:.1f} s until the first update; overhead {share:.1%}"
        )
    middle = statistics.median(shares)
    print(f"controller overhead: {middle:.1%}, target {TARGET:.0%}: {'met' if middle <= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
