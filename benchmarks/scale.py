"""Thousands of trials that do next to nothing: what the search itself costs, in time and in the driver's memory.

Ours is the whole search layer: random search, events written one by one, the study's journal, tables kept up to date
while it runs, the live table drawn as for a terminal. Its trainable is replaced by one that sleeps for a second and
then tells one report, as long as a real one. The peer is Ray Tune with the same trainable, actors reused as well, and
its loggers left out (which write three files for each trial). Each side runs in a process of its own; a sleeping trial
needs no core, so there are more slots than cores. The ideal is all trials' sleep divided by the slots, from the first
trial's start on.

Targets: 2,000 trials within 1.2 of the ideal, and at most 1.3 of the peer's memory. ``--trials 10000`` for a report;
``--profile`` says where our driver's time goes.
"""

from __future__ import annotations

import cProfile
import json
import os
import platform
import pstats
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import measure
import ray
from ray import tune

SECONDS = 1.0
SLOTS_PER_CORE = 8
METRICS = 24  # numbers in a report
TIME_TARGET, MEMORY_TARGET = 1.2, 1.3


def report() -> dict[str, Any]:
    """A report as the trainer tells it."""
    names = ["mean_score", "sentiment.accuracy", *(f"sentiment.metric_{i}" for i in range(METRICS - 2))]
    scores = {name: 0.5 + i / 1000 for i, name in enumerate(names)}
    measurements = [
        {"task": task, "split": "dev", "metric": metric, "value": scores[name]}
        for name in names
        for task, _, metric in (name.rpartition("."),)
    ]
    return {
        "evaluation": 1,
        "step": 100,
        "epoch": 1.0,
        "examples_seen": 1600,
        "seconds": SECONDS,
        "scores": scores,
        "score": 0.5,
        "best_score": 0.5,
        "best_evaluation": 1,
        "measurements": measurements,
        "outcome": "finished",
        "reason": "all 1 epochs done",
        "facts": {"parameters": 22_700_000, "examples_per_second": 1600.0, "peak_memory_bytes": 1e9},
        "checkpoint": None,
    }


class Sleeper(tune.Trainable):  # type: ignore[misc]
    """Says what a trial says, and sleeps instead of training."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """One of the slots."""
        return tune.PlacementGroupFactory([{"CPU": 1}])

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a trial."""
        self._has_started = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next one."""
        self._has_started = False
        return True

    def step(self) -> dict[str, Any]:
        """First that the trial has started, then its only report."""
        if not self._has_started:
            self._has_started = True
            return {"outcome": "started", "attempt": 1, "node": platform.node()}
        time.sleep(SECONDS)
        told = {"report": report(), "checkpoint": None, "precision": "fp32", "data": None}
        return {
            "outcome": "finished",
            "reason": "all 1 epochs done",
            "attempt": 1,
            "evaluation": 1,
            "examples_seen": 1600,
            "score": 0.5,
            "told": json.dumps(told),
            "done": True,
        }


class Bare(Sleeper):
    """The same for Ray Tune alone: one report in one step."""

    def step(self) -> dict[str, Any]:
        """Sleep, then report."""
        time.sleep(SECONDS)
        told = report()
        return {"score": told["score"], **told["scores"], **told["facts"], "done": True}


def run_ours(trials: int, slots: int, folder: Path) -> None:
    """Our search, and who looks at its tables meanwhile."""
    from rich.console import Console

    from mtsearch.config.load import load_space
    from mtsearch.console import Watch
    from mtsearch.search.tuner import run_search

    space = load_space(
        {
            "name": "scale",
            "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
            "optimizer": {"name": "adamw", "lr": {"loguniform": [1e-5, 3e-4]}},
            "training": {"epochs": 1, "batch_size": {"choice": [16, 32, 64]}},
            "search": {
                "trials": trials,
                "algorithm": {"name": "random"},
                "scheduler": {"name": "none"},
                "concurrency": slots,
            },
            "resources": {"cpus": 1},
        }
    )
    with Path(os.devnull).open("w") as nowhere, Watch(Console(file=nowhere, force_terminal=True)) as watch:
        outcome = run_search(space, folder / "run", trainable=Sleeper, observer=watch)
    if outcome.counts != {"completed": trials}:
        raise SystemExit(f"not all of the trials did what they should: {outcome.counts}")


def run_bare(trials: int, slots: int, folder: Path) -> None:
    """Ray Tune's own search."""
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_MAX_PENDING_TRIALS_PG": str(slots)}
    import torch  # noqa: F401  (which a driver of training has in memory, as ours does)

    space = {"lr": tune.loguniform(1e-5, 3e-4), "batch_size": tune.choice([16, 32, 64])}
    tune.run(
        Bare,
        config=space,
        num_samples=trials,
        max_concurrent_trials=slots,
        reuse_actors=True,
        storage_path=str(folder),
        name="bare",
        verbose=0,
    )


def watch_tables(folder: Path, seen: list[tuple[float, int]], ended: threading.Event) -> None:
    """How many trials the table has, every few seconds."""
    import pyarrow.parquet as pq

    path = folder / "run" / "trials.parquet"
    while not ended.wait(2.0):
        if path.is_file():
            rows = pq.read_metadata(path).num_rows
            if not seen or rows != seen[-1][1]:
                seen.append((time.time(), rows))


def run_side(side: str, trials: int, slots: int, profile: bool) -> None:
    """One side in this process; prints what it took as a line of JSON."""
    ray.init(
        address="local",
        num_cpus=slots,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200_000_000,
        logging_level=40,
    )
    profiler = cProfile.Profile()
    tables: list[tuple[float, int]] = []
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watcher = threading.Thread(target=watch_tables, args=(folder, tables, ended), daemon=True)
        watcher.start()
        begun, cpu_begun = time.perf_counter(), time.process_time()
        if profile:
            profiler.enable()
        (run_ours if side == "ours" else run_bare)(trials, slots, folder)
        profiler.disable()
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        ended.set()
        watcher.join()
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    ray.shutdown()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak, "tables": len(tables)}
    print(json.dumps(told))


def measured(side: str, trials: int, slots: int, profile: bool = False) -> dict[str, float]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--trials", str(trials), "--slots", str(slots)]
    done = subprocess.run(
        [*command, *(["--profile"] if profile else [])], stdout=subprocess.PIPE, text=True, check=True
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    """Measure and print."""
    arguments = measure.parser(__doc__, rounds=1)
    arguments.add_argument("--trials", type=int, help="how many (default 2,000, or 200 with --quick)")
    arguments.add_argument("--slots", type=int, default=SLOTS_PER_CORE * (os.cpu_count() or 1))
    arguments.add_argument("--profile", action="store_true", help="say where our driver's time goes")
    arguments.add_argument("--side", choices=["ours", "bare"], help="measure this side in this process")
    options = arguments.parse_args()
    trials = options.trials or (200 if options.quick else 2_000)
    if options.side:
        run_side(options.side, trials, options.slots, options.profile)
        return
    measure.warn_unless_idle()
    for number in range(options.rounds or 1):
        # What starting Ray and the workers takes, once a search, is taken off: two rounds of trials less.
        short = {side: measured(side, 2 * options.slots, options.slots) for side in ("ours", "bare")}
        long = {side: measured(side, trials, options.slots, options.profile) for side in ("ours", "bare")}
        ideal = (trials - 2 * options.slots) * SECONDS / options.slots
        print(f"round {number + 1}: {trials:,} trials of {SECONDS:g} s in {options.slots} slots")
        for side in ("ours", "bare"):
            seconds = long[side]["seconds"] - short[side]["seconds"]
            growth = (long[side]["peak_bytes"] - short[side]["peak_bytes"]) / (trials - 2 * options.slots)
            cpu = (long[side]["cpu_seconds"] - short[side]["cpu_seconds"]) / (trials - 2 * options.slots)
            peak = long[side]["peak_bytes"] / 1e6
            print(
                f"  {side}: {seconds / ideal:.2f} x the ideal; the driver takes {1e3 * cpu:.0f} ms of CPU a trial, "
                f"{peak:.0f} MB of memory at most, {growth / 1e3:.0f} kB more a trial"
            )
        slower = (long["ours"]["seconds"] - short["ours"]["seconds"]) / ideal
        memory = long["ours"]["peak_bytes"] / long["bare"]["peak_bytes"]
        print(f"  tables: replaced {long['ours']['tables']:.0f} times while it ran")
        for what, ratio, target in (("time by the ideal", slower, TIME_TARGET), ("memory", memory, MEMORY_TARGET)):
            print(f"  {what}: {ratio:.2f}, target {target}: {'met' if ratio <= target else 'MISSED'}")


if __name__ == "__main__":
    main()
