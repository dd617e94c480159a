"""Run folders as a search writes them, made through the contract: by hand, or from plausible learning curves."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from mtsearch_analysis.tables import GATES, INTERFERENCE, METRICS, TRIALS, Objective

TASKS = {"sentiment": ("accuracy", 0.52), "paraphrase": ("accuracy", 0.86), "similarity": ("pearson", 0.88)}
OBJECTIVE = Objective(task_metrics=tuple(f"{task}.{metric}" for task, (metric, _) in TASKS.items()))
EXAMPLES_PER_EPOCH = 30_000
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

Rows = list[dict[str, Any]]


def write_tables(folder: Path, trials: Rows, metrics: Rows, objective: Objective = OBJECTIVE) -> Path:
    """Writes the two tables into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(TRIALS.from_rows(trials, objective.metadata()), folder / TRIALS.file)
    pq.write_table(METRICS.from_rows(metrics), folder / METRICS.file)
    return folder


def write_gates(folder: Path, gates: dict[str, list[list[list[float]]]], tasks: tuple[str, ...] = ("",)) -> None:
    """Writes gates [sets, layers, heads] of each trial, at evaluation 1, and whole open ones before, at evaluation 0.

    A set is for one of ``tasks``, in their order.
    """
    rows = [
        {
            "trial_id": trial_id,
            "step": 10 * evaluation,
            "evaluation": evaluation,
            "epoch": float(evaluation),
            "task": task,
            "layer": layer,
            "head": head,
            "gate": gate if evaluation else 1.0,
        }
        for evaluation in (0, 1)
        for trial_id, sets in gates.items()
        for task, of_set in zip(tasks, sets, strict=True)
        for layer, of_layer in enumerate(of_set, start=1)
        for head, gate in enumerate(of_layer, start=1)
    ]
    pq.write_table(GATES.from_rows(rows), folder / GATES.file)


def write_interference(folder: Path, rows: list[tuple[str, int, str, str, float, int]]) -> None:
    """Writes (trial, evaluation, task, other task, cosine, number of updates)."""
    names = ("trial_id", "evaluation", "task_a", "task_b", "cosine", "num_measurements")
    given = [dict(zip(names, row, strict=True)) for row in rows]
    whole = [{**row, "step": 10 * row["evaluation"], "epoch": float(row["evaluation"])} for row in given]
    pq.write_table(INTERFERENCE.from_rows(whole), folder / INTERFERENCE.file)


def trial_row(number: int, score: float | None = None, **columns: Any) -> dict[str, Any]:
    """A row of the trials table with what it must have, and whatever else is given."""
    return {
        "trial_id": f"t{number:04}",
        "number": number,
        "status": "completed",
        "attempts": 1,
        "config_hash": f"{number:08x}",
        "seed": 7,
        "evaluations": 1,
        "score": score,
        "examples_seen": 1000,
        **columns,
    }


def metric_row(trial_id: str, evaluation: int, value: float, **columns: Any) -> dict[str, Any]:
    """A row of the metrics table: mean_score on dev, unless told otherwise."""
    return {
        "trial_id": trial_id,
        "step": 10 * evaluation,
        "evaluation": evaluation,
        "epoch": float(evaluation),
        "examples_seen": 100 * evaluation,
        "seconds": 60.0 * evaluation,
        "task": "",
        "split": "dev",
        "metric": "mean_score",
        "value": value,
        **columns,
    }


def _draw_config(draw: random.Random) -> dict[str, Any]:
    config: dict[str, Any] = {
        "encoder.model": "sentence-transformers/all-MiniLM-L6-v2",
        "encoder.dropout": round(draw.uniform(0.0, 0.4), 3),
        "training.batch_size": draw.choice([16, 32, 64]),
        "training.epochs": 10,
        "training.seed": 7,
        "optimizer.name": draw.choice(["adamw", "sophiah"]),
        "optimizer.lr": 10 ** draw.uniform(-5, -3.5),
    }
    if config["optimizer.name"] == "sophiah":
        return config | {
            "optimizer.rho": 10 ** draw.uniform(-3, -1),
            "optimizer.hessian_interval": draw.choice([10, 20, 50]),
        }
    return config | {"optimizer.weight_decay": draw.choice([0.0, 0.01, 0.1])}


def _draw_reports(draw: random.Random, config: dict[str, Any], num_epochs: int, diverges: bool) -> Rows:
    """Per epoch, each task's main metric: saturating curves whose height depends on the config."""
    miss = abs(math.log10(config["optimizer.lr"]) + 4.1) * 0.09 + abs(config["encoder.dropout"] - 0.12) * 0.15
    tilt = {task: draw.gauss(0, 0.012) for task in TASKS}
    reports: Rows = []
    for epoch in range(1, num_epochs + 1):
        report = {
            f"{task}.{metric}": (ceiling - miss + tilt[task]) * (1 - 0.45 * math.exp(-0.6 * epoch))
            + draw.gauss(0, 0.004)
            for task, (metric, ceiling) in TASKS.items()
        }
        if diverges and epoch == num_epochs:
            report = dict.fromkeys(report, math.nan)
        reports.append({"mean_score": sum(report.values()) / len(report), **report})
    return reports


def _draw_trial(draw: random.Random, number: int, is_last: bool, running: bool) -> tuple[dict[str, Any], Rows]:
    trial_id = f"t{number:04}"
    config = _draw_config(draw)
    chance = draw.random()
    status, num_epochs, reason = "completed", 10, "reached training.epochs = 10"
    if is_last and running:
        status, num_epochs, reason = "running", 4, None
    elif chance < 0.5:
        num_epochs = draw.choice([1, 1, 3])
        status, reason = "pruned", f"mean_score below the best third at rung {num_epochs}"
    elif chance < 0.56:
        status, num_epochs, reason = "diverged", draw.choice([2, 3]), "loss is nan at step 1,840"
    elif chance < 0.60:
        status, num_epochs, reason = "failed", 0, "CUDA out of memory at batch size 64"
    reports = _draw_reports(draw, config, num_epochs, diverges=status == "diverged")
    seconds_per_epoch = 70 + 500 / config["training.batch_size"] + (60 if "optimizer.rho" in config else 0)
    started = START + timedelta(seconds=number // 4 * 420 + number % 4 * 3)
    seen = EXAMPLES_PER_EPOCH * num_epochs
    row = trial_row(
        number,
        status=status,
        stop_reason=reason,
        rung=int(num_epochs >= 1) + int(num_epochs >= 3) + int(num_epochs >= 9),
        evaluations=num_epochs,
        epoch=float(num_epochs),
        seconds=5 + seconds_per_epoch * num_epochs,
        gpu_seconds=0.5 * (5 + seconds_per_epoch * num_epochs),
        examples_seen=seen,
        examples_per_second=EXAMPLES_PER_EPOCH / seconds_per_epoch,
        parameters=22_713_216,
        trainable_parameters=22_713_216,
        peak_memory_bytes=3_100_000_000,
        start_seconds=0.4,
        data_hash="6f1d09ab52c4",
        started_at=started,
        ended_at=None if status == "running" else started + timedelta(seconds=5 + seconds_per_epoch * num_epochs),
        node="gpu-node-1",
        precision="bf16",
        **{f"config/{path}": value for path, value in config.items()},
    )
    finite = [
        (report["mean_score"], epoch) for epoch, report in enumerate(reports, 1) if math.isfinite(report["mean_score"])
    ]
    if finite:
        row["score"], best_epoch = max(finite)
        row["checkpoint"] = f"trials/{trial_id}/checkpoint" if status == "completed" else None
        for prefix, epoch in (("best", best_epoch), ("last", num_epochs)):
            row[f"{prefix}/epoch"] = float(epoch)
            row |= {f"{prefix}/{name}": value for name, value in reports[epoch - 1].items()}
    metrics = []
    for epoch, report in enumerate(reports, 1):
        at = {
            "step": epoch * EXAMPLES_PER_EPOCH // config["training.batch_size"],
            "examples_seen": epoch * EXAMPLES_PER_EPOCH,
        }
        for name, value in report.items():
            task, _, metric = name.rpartition(".")
            seconds = 5 + seconds_per_epoch * epoch
            metrics.append(metric_row(trial_id, epoch, value, task=task, metric=metric, seconds=seconds, **at))
    return row, metrics


def write_run(folder: Path, num_trials: int = 40, running: bool = False, seed: int = 3) -> Path:
    """Writes a run folder such as a search over two optimizers with ASHA leaves behind."""
    draw = random.Random(seed)
    drawn = [_draw_trial(draw, number, number >= num_trials - 2, running) for number in range(num_trials)]
    write_tables(folder, [row for row, _ in drawn], [row for _, rows in drawn for row in rows])
    space = {
        "name": folder.name,
        "encoder": {"dropout": {"uniform": [0.0, 0.4]}},
        "optimizer": {"choice": [{"name": "adamw"}, {"name": "sophiah"}]},
        "search": {"trials": num_trials, "scheduler": {"name": "asha", "grace": 1}, "algorithm": {"name": "tpe"}},
    }
    (folder / "resolved.yaml").write_text(yaml.safe_dump(space, sort_keys=False))
    environment = {"versions": {"torch": "2.13.0", "ray": "2.60.0"}, "hardware": {"cpus": 16, "gpus": ["H200"]}}
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder
