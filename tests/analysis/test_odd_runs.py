"""Reports of runs as odd as searches leave them: tasks that few trials have, scores that are NaN or all the same."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mtsearch_analysis import load_run, write_report
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import START, trial_row, write_gates, write_interference, write_tables

TASKS = ("a.accuracy", "b.f1", "c.pearson")
SETTINGS: dict[str, tuple[Any, ...]] = {
    "config/optimizer.lr": (1e-5, 3e-4, 0.0),
    "config/training.batch_size": (16, 32),
    "config/schedule": ("linear", "plateau"),
    "config/pruning.strength": (0.1,),
}


def write_odd_run(folder: Path, rng: random.Random) -> None:
    names = rng.sample(TASKS, rng.randint(1, 3))
    main = rng.choice(["mean_score", *names])
    settings = rng.sample(list(SETTINGS), rng.randint(0, len(SETTINGS)))
    trials, metrics, gates, interference = [], [], {}, []
    for number in range(rng.choice([0, 1, 2, 3, 6, 12])):
        mine = [name for name in names if name == main or rng.random() < 0.7] or names[:1]
        status = rng.choice(["completed", "completed", "completed", "pruned", "failed", "infeasible", "running"])
        score = None if status == "infeasible" or rng.random() < 0.1 else rng.choice([rng.random(), 0.0, -0.3, 0.5])
        row = trial_row(number, score, status=status, tasks="+".join(name[0] for name in mine), seed=rng.choice([7, 8]))
        row |= {name: rng.choice(SETTINGS[name]) for name in settings if rng.random() < 0.8}
        if rng.random() < 0.7:
            begun = START + timedelta(seconds=10 * number)
            row |= {"seconds": rng.choice([0.0, 50.0]), "started_at": begun, "ended_at": begun + timedelta(seconds=50)}
        trials.append(row)
        if score is None:
            continue
        row |= {"best/mean_score": score, "last/mean_score": score, "best/epoch": 1.0}
        row |= {f"best/{name}": rng.choice([score, rng.random(), float("nan")]) for name in mine}
        for evaluation in range(1, rng.randint(2, 5)):
            at = {"trial_id": row["trial_id"], "step": 10 * evaluation, "evaluation": evaluation}
            at |= {"epoch": float(evaluation), "examples_seen": 100 * evaluation, "seconds": 1.0 * evaluation}
            for task, _, metric in (name.rpartition(".") for name in ("mean_score", *mine)):
                value = rng.choice([score, rng.random(), float("nan")])
                metrics.append({**at, "task": task, "split": "dev", "metric": metric, "value": value})
        if rng.random() < 0.4:
            gates[row["trial_id"]] = [[[rng.choice([0.0, 1.0, rng.random()]) for _ in range(3)] for _ in range(2)]]
        if len(mine) > 1 and rng.random() < 0.4:
            interference.append((row["trial_id"], 1, mine[0][0], mine[1][0], rng.uniform(-1, 1), 3))
    others = {name: "maximize" for name in names if name != main and rng.random() < 0.3}
    write_tables(folder, trials, metrics, Objective(main, "maximize", tuple(names), others))  # type: ignore[arg-type]
    if gates:
        write_gates(folder, gates)
    if interference:
        write_interference(folder, interference)


@pytest.mark.parametrize("seed", range(8))
def test_a_report_can_be_written_of_whatever_a_search_leaves(seed: int, tmp_path: Path) -> None:
    write_odd_run(tmp_path / "run", random.Random(seed))
    assert write_report(load_run(tmp_path / "run")).stat().st_size
