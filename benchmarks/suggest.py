"""How long a suggestion takes as a search grows, against Optuna alone on the same history in the same process.

The baseline is what a user of Optuna writes: one TPE sampler for the study, a journal file, ``ask`` and ``suggest_*``.
Ours adds the walk over the space, a sampler seeded for the suggestion, and the config's validation; it saves the
journal's sync to disk for each operation, which one writer with its own log of events does not need.

    python benchmarks/suggest.py [--suggestions 30] [100 500 1000]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mtsearch.config.domains import Categorical, Float
from mtsearch.config.load import load_space
from mtsearch.config.space import Dimension, SearchSpace
from mtsearch.search.events import Reported, RunStarted, Stopped, Suggested
from mtsearch.search.proposals import Proposals, trial_name
from mtsearch.search.state import RunState

LIMIT_MILLISECONDS = 250  # p95 at 1,000 trials

SPACE = {
    "name": "suggest",
    "encoder": {"dropout": {"uniform": [0.0, 0.4]}, "pooling": {"choice": ["cls", "mean", "attention"]}},
    "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
    "training": {"batch_size": {"choice": [16, 32, 64]}, "gradient_clip": {"loguniform": [0.1, 10.0]}},
    "optimizer": {
        "name": "adamw",
        "lr": {"loguniform": [1e-5, 3e-4]},
        "head_lr": {"loguniform": [1e-5, 1e-2]},
        "weight_decay": {"choice": [0.0, 0.01, 0.1]},
    },
    "schedule": {
        "choice": [
            {"name": "linear", "warmup_ratio": {"uniform": [0.0, 0.2]}},
            {"name": "plateau", "patience": {"int": [1, 4]}, "factor": {"uniform": [0.1, 0.9]}},
        ]
    },
    "search": {"trials": 1000},
}


def a_history(space: SearchSpace, num_trials: int) -> RunState:
    """A search in which two of three trials were pruned, with random draws and made-up scores."""
    rng = random.Random(7)
    state = RunState()
    state.apply(
        RunStarted(
            time=0, identity={}, trials=num_trials, extra=0, extended=False, rungs=None, host="", pid=0, versions={}
        )
    )
    for number in range(num_trials):
        trial_id = trial_name(number)
        draw = space.draw(lambda dimension: dimension.domain.sample(rng))
        state.apply(
            Suggested(
                time=number,
                trial_id=trial_id,
                number=number,
                params=draw.params,
                config={},
                config_hash="",
                gpus=0,
                start=None,
            )
        )
        num_evaluations = 9 if number % 3 == 0 else 1
        best = 0.0
        for evaluation in range(1, num_evaluations + 1):
            score = rng.random()
            best = max(best, score)
            report = {
                "evaluation": evaluation,
                "step": evaluation,
                "epoch": float(evaluation),
                "examples_seen": evaluation,
                "seconds": 1.0,
                "scores": {},
                "score": score,
                "best_score": best,
                "best_evaluation": evaluation,
                "measurements": [],
                "outcome": "running",
                "facts": {},
            }
            state.apply(
                Reported(time=number, trial_id=trial_id, report=report, checkpoint=None, precision="fp32", data=None)
            )
        status = "completed" if number % 3 == 0 else "pruned"
        state.apply(Stopped(time=number, trial_id=trial_id, status=status, reason=""))
    return state


def ours(space: SearchSpace, state: RunState, folder: Path) -> Callable[[int], None]:
    """Our next suggestion."""
    proposals = Proposals(space, state, folder / "ours.journal")
    first = len(state.trials)

    def suggest(index: int) -> None:
        proposals.propose(first + index)

    return suggest


def plain_optuna(space: SearchSpace, state: RunState, folder: Path) -> Callable[[int], None]:
    """Optuna's next suggestion on the same trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=7)
    copied = Proposals(space, state, folder / "copied.journal")
    source = optuna.load_study(
        study_name=space.name, storage=JournalStorage(JournalFileBackend(str(folder / "copied.journal")))
    )
    copied.close()
    storage = JournalStorage(JournalFileBackend(str(folder / "plain.journal")))
    study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
    study.add_trials(source.trials)

    def suggest(index: int) -> None:
        trial = study.ask()

        def value(dimension: Dimension) -> object:
            domain = dimension.domain
            if isinstance(domain, Categorical):
                return trial.suggest_categorical(dimension.name, domain.options)
            if isinstance(domain, Float):
                return trial.suggest_float(dimension.name, domain.low, domain.high, log=domain.log)
            return trial.suggest_int(dimension.name, domain.low, domain.high, log=domain.log)

        space.draw(value)

    return suggest


def milliseconds(sides: Sequence[Callable[[int], None]], num_suggestions: int) -> np.ndarray:
    """Time of each suggestion of each side, taken in turn, the first ones left out; [suggestions, sides]."""
    times = []
    for index in range(num_suggestions + 1):
        row = []
        for suggest in sides:
            begun = time.perf_counter()
            suggest(index)
            row.append(1000 * (time.perf_counter() - begun))
        times.append(row)
    return np.array(times[1:])


def main() -> None:
    """Print p50 and p95 of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=int, nargs="*", default=[100, 500, 1000])
    parser.add_argument("--suggestions", type=int, default=30)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = load_space(SPACE)
    print(f"{'trials':>7} {'ours p50':>10} {'ours p95':>10} {'Optuna p50':>11} {'Optuna p95':>11} {'ratio p50':>10}")
    for num_trials in arguments.trials:
        state = a_history(space, num_trials)
        with tempfile.TemporaryDirectory() as folder:
            sides = [ours(space, state, Path(folder)), plain_optuna(space, state, Path(folder))]
            times = milliseconds(sides, arguments.suggestions)
        (p50, plain_p50), (p95, plain_p95) = np.percentile(times, (50, 95), axis=0)
        print(
            f"{num_trials:>7} {p50:>7.1f} ms {p95:>7.1f} ms {plain_p50:>8.1f} ms {plain_p95:>8.1f} ms "
            f"{p50 / plain_p50:>10.2f}"
            + (f"   over the limit of {LIMIT_MILLISECONDS} ms" if p95 > LIMIT_MILLISECONDS else "")
        )


if __name__ == "__main__":
    main()
