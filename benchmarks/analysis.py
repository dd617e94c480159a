"""How long a large run takes to load, against pandas alone on the same files, and to report.

Also its table of results, of which every trial is a config.

The run is synthetic, and its tables are written by their contract: 10,000 trials of 50 epochs, each with mean_score
and three tasks' metrics on dev, which are two million rows. The peer is ``pandas.read_parquet`` of the same two files.
Loading also checks the tables against their contract, and gives integers nullable types.

    python benchmarks/analysis.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from measure import Target, interleaved, parser, print_ratios, warn_unless_idle

from mtsearch_analysis import load_run, results_table, write_report
from mtsearch_analysis.tables import METRICS, TRIALS, Objective

LOAD_SECONDS = 2.0
REPORT_SECONDS = 30.0
RESULTS_SECONDS = 10.0
PAGE_BYTES = 10_000_000  # at 1,000 trials
TASKS = {"sentiment": "accuracy", "paraphrase": "accuracy", "similarity": "pearson"}
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SPACE = {
    "encoder": {"dropout": {"uniform": [0.0, 0.4]}},
    "training": {"batch_size": {"choice": [16, 32, 64]}},
    "optimizer": {"lr": {"loguniform": [1e-5, 3e-4]}, "weight_decay": {"choice": [0.0, 0.01, 0.1]}},
}


def write_run(folder: Path, num_trials: int, num_epochs: int) -> Path:
    """A run folder whose trials all reached the last epoch, with saturating curves and noise."""
    draw = np.random.default_rng(7)
    folder.mkdir(parents=True)
    names = [f"{task}.{metric}" for task, metric in TASKS.items()]
    lr = 10 ** draw.uniform(-5, -3.5, num_trials)
    dropout = draw.uniform(0, 0.4, num_trials)
    height = 0.7 - 0.1 * np.abs(np.log10(lr) + 4.2) - 0.2 * (dropout - 0.1) ** 2
    epochs = np.arange(1, num_epochs + 1)
    shape = 1 - 0.4 * np.exp(-0.1 * epochs)
    values_TEM = height[:, None, None] * shape[:, None] + draw.normal(0, 0.01, (num_trials, num_epochs, len(names)))
    values_TEM = np.concatenate([values_TEM.mean(axis=2, keepdims=True), values_TEM], axis=2)
    best = values_TEM[:, :, 0].argmax(axis=1)
    rows = []
    for i in range(num_trials):
        scores = dict(zip(["mean_score", *names], values_TEM[i, best[i]].tolist(), strict=True))
        last = dict(zip(["mean_score", *names], values_TEM[i, -1].tolist(), strict=True))
        started = START + timedelta(seconds=i // 8 * 600)
        rows.append(
            {
                "trial_id": f"t{i:04}",
                "number": i,
                "status": "completed",
                "stop_reason": f"all {num_epochs} epochs done",
                "attempts": 1,
                "config_hash": f"{i:08x}",
                "tasks": "+".join(TASKS),
                "seed": 7,
                "evaluations": num_epochs,
                "epoch": float(num_epochs),
                "score": scores["mean_score"],
                "best/epoch": float(best[i] + 1),
                "last/epoch": float(num_epochs),
                **{f"best/{name}": value for name, value in scores.items()},
                **{f"last/{name}": value for name, value in last.items()},
                "seconds": 600.0,
                "gpu_seconds": 600.0,
                "examples_seen": 1000 * num_epochs,
                "started_at": started,
                "ended_at": started + timedelta(seconds=600),
                "config/optimizer.lr": float(lr[i]),
                "config/encoder.dropout": float(dropout[i]),
                "config/training.batch_size": int(draw.choice([16, 32, 64])),
                "config/optimizer.weight_decay": float(draw.choice([0.0, 0.01, 0.1])),
            }
        )
    pq.write_table(TRIALS.from_rows(rows, Objective(task_metrics=tuple(names)).metadata()), folder / TRIALS.file)
    pq.write_table(_metrics(values_TEM), folder / METRICS.file)
    (folder / "resolved.yaml").write_text(yaml.safe_dump(SPACE))
    return folder


def _metrics(values_TEM: np.ndarray) -> pa.Table:
    num_trials, num_epochs, _ = values_TEM.shape
    trial, epoch, metric = (axis.ravel() for axis in np.indices(values_TEM.shape))
    names = np.array([f"t{i:04}" for i in range(num_trials)])
    columns = {
        "trial_id": names[trial],
        "step": 30 * (epoch + 1),
        "evaluation": epoch + 1,
        "epoch": epoch + 1.0,
        "examples_seen": 1000 * (epoch + 1),
        "seconds": 600.0 * (epoch + 1) / num_epochs,
        "task": np.array(["", *TASKS])[metric],
        "split": np.full(trial.size, "dev"),
        "metric": np.array(["mean_score", *TASKS.values()])[metric],
        "value": values_TEM.ravel(),
    }
    return pa.table([pa.array(columns[one.name], one.dtype) for one in METRICS.columns], schema=METRICS.schema())


def seconds_of(work: Callable[[], object]) -> Callable[[int], float]:
    """Wall time of each round."""

    def run(_: int) -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return run


def main() -> None:
    """Write the runs, measure, and say what is met."""
    given = parser(__doc__, rounds=5).parse_args()
    rounds = given.rounds or (1 if given.quick else given.default_rounds)
    num_trials, num_epochs = (1_000, 10) if given.quick else (10_000, 50)
    warn_unless_idle()
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_run(Path(scratch) / "large", num_trials, num_epochs)
        files = [folder / TRIALS.file, folder / METRICS.file]
        load = f"load {num_trials:,} x {num_epochs}"
        values = interleaved(
            {
                load: seconds_of(lambda: load_run(folder)),
                "pandas.read_parquet": seconds_of(lambda: [pd.read_parquet(file) for file in files]),
            },
            rounds,
        )
        print_ratios(values, [Target(load, "pandas.read_parquet", 0.5)], less_is_better=True)
        seconds = min(values[load])
        print(f"load: {seconds:.2f} s at best, target {LOAD_SECONDS} s: {_verdict(seconds <= LOAD_SECONDS)}")
        run = load_run(folder)
        seconds = seconds_of(lambda: write_report(run))(0)
        print(f"report: {seconds:.1f} s, target {REPORT_SECONDS} s: {_verdict(seconds <= REPORT_SECONDS)}")
        seconds = seconds_of(lambda: results_table(run))(0)
        met = _verdict(seconds <= RESULTS_SECONDS)
        print(f"table of results, as many configs: {seconds:.1f} s, target {RESULTS_SECONDS} s: {met}")
        page = write_report(load_run(write_run(Path(scratch) / "thousand", 1_000, num_epochs)))
        size = page.stat().st_size
        verdict = _verdict(size <= PAGE_BYTES)
        print(f"page of 1,000 trials: {size / 1e6:.1f} MB, target {PAGE_BYTES / 1e6:.0f} MB: {verdict}")


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    main()
