"""Many short trials, against a plain Ray Tune function trainable.

16 and 64 trials of a few updates on the packaged MiniLM, two at a time with one thread each, in the same Ray
resources, with the same numbers of updates and evaluations, the same search algorithm (TPE) and ASHA. The sides:

- ``mtsearch``: :func:`mtsearch.search.tuner.run_search`, with all that it writes: events, tables, checkpoints;
- ``plain``: what one writes from the documentation of Ray Tune: a function that loads tokenizer, encoder and data,
  trains, evaluates and calls ``tune.report``, with ``OptunaSearch`` and ``ASHAScheduler``. It saves nothing.

A trial is six updates of 8 examples and two evaluations of 24: what stays the same on both sides, training itself,
is kept short, so that the ratio tells what starting a trial costs. With longer trials it tends to 1.

Both read the same csv files, and both start with a Ray of their own, whose start is not timed.

Targets: sooner by at least 2.5 x with 16 trials and 3 x with 64. And a warm worker, one that has run a trial before,
goes from a new config to its first update within 1 s.
"""

from __future__ import annotations

import csv
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import measure
import ray
from corpus import TASKS, write_corpus
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from mtsearch.config.load import load_space
from mtsearch.config.trial import DEFAULT_ENCODER
from mtsearch.model.encoder import find_encoder
from mtsearch.search.events import Reported, Started, Suggested, read_events
from mtsearch.search.tuner import run_search

SLOTS = 2
BATCH = 8
UPDATES = 1  # of each task in an epoch
EPOCHS = 2
TRAIN, DEV = 1_000, 8  # examples of each task in the files
FILES = {
    "sentiment": ("sst5/ids-sst-{}.csv", ("sentence",), "sentiment"),
    "paraphrase": ("quora/quora-{}.csv", ("sentence1", "sentence2"), "is_duplicate"),
    "similarity": ("stsb/sts-{}.csv", ("sentence1", "sentence2"), "similarity"),
}
WARM_START_SECONDS = 1.0


def space(trials: int) -> dict[str, Any]:
    """What mtsearch searches."""
    return {
        "name": "short",
        "encoder": {"dropout": {"uniform": [0.0, 0.3]}},
        "tasks": TASKS,
        "training": {"epochs": EPOCHS, "batch_size": BATCH, "precision": "fp32"},
        "sampler": {"name": "uniform", "examples_per_task": UPDATES * BATCH},
        "optimizer": {
            "name": "adamw",
            "lr": {"loguniform": [1e-5, 3e-4]},
            "weight_decay": {"choice": [0.0, 0.01, 0.1]},
        },
        "schedule": {"name": "linear"},
        "search": {"trials": trials, "scheduler": {"name": "asha", "grace": 1, "reduction_factor": 3}},
        "resources": {"cpus": 1},
    }


def plain_space() -> dict[str, Any]:
    """The same for plain Ray Tune."""
    return {
        "dropout": tune.uniform(0.0, 0.3),
        "lr": tune.loguniform(1e-5, 3e-4),
        "weight_decay": tune.choice([0.0, 0.01, 0.1]),
    }


def plain_trial(config: dict[str, Any]) -> None:
    """A trial as one writes it for plain Ray Tune."""
    import numpy as np
    import torch
    from sklearn.metrics import accuracy_score
    from torch import nn
    from torch.nn import functional
    from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup

    torch.set_num_threads(1)
    torch.manual_seed(13)
    rng = np.random.default_rng(13)
    tokenizer = AutoTokenizer.from_pretrained(config["encoder"])
    encoder = AutoModel.from_pretrained(
        config["encoder"], add_pooling_layer=False, hidden_dropout_prob=config["dropout"]
    )
    data: dict[str, dict[str, list[dict[str, str]]]] = {}
    for task, (file, _, _) in FILES.items():
        data[task] = {}
        for split in ("train", "dev"):
            with open(Path(config["data"]) / file.format(split), encoding="utf-8", newline="") as lines:
                data[task][split] = list(csv.DictReader(lines, delimiter="\t"))
    width = encoder.config.hidden_size
    heads = nn.ModuleDict(
        {
            task: nn.Sequential(
                nn.Dropout(0.1), nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1), nn.Linear(width, outputs)
            )
            for task, outputs in (("sentiment", 5), ("paraphrase", 2), ("similarity", 1))
        }
    )
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config["lr"], weight_decay=config["weight_decay"])
    schedule = get_linear_schedule_with_warmup(optimizer, 0, EPOCHS * UPDATES * len(FILES))

    def scores(task: str, rows: list[dict[str, str]]) -> torch.Tensor:
        columns = FILES[task][1]
        texts = [[row[column] for row in rows] for column in columns]
        inputs = tokenizer(*texts, truncation=True, max_length=128, padding=True, return_tensors="pt")
        states = encoder(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        return heads[task]((states * mask).sum(1) / mask.sum(1))

    def labels(task: str, rows: list[dict[str, str]]) -> list[float]:
        return [float(row[FILES[task][2]]) for row in rows]

    for _ in range(EPOCHS):
        encoder.train()
        heads.train()
        plan = [task for task in FILES for _ in range(UPDATES)]
        rng.shuffle(plan)
        for task in plan:
            rows = [data[task]["train"][i] for i in rng.choice(len(data[task]["train"]), BATCH, replace=False)]
            values, gold = scores(task, rows), torch.tensor(labels(task, rows))
            loss = (
                functional.mse_loss(values.squeeze(-1), gold)
                if task == "similarity"
                else functional.cross_entropy(values, gold.long())
            )
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        encoder.eval()
        heads.eval()
        results = []
        with torch.inference_mode():
            for task, splits in data.items():
                values, expected = scores(task, splits["dev"]), labels(task, splits["dev"])
                if task == "similarity":
                    results.append(float(np.corrcoef(values.squeeze(-1).numpy(), expected)[0, 1]))
                else:
                    results.append(float(accuracy_score(expected, values.argmax(-1).tolist())))
        tune.report({"mean_score": sum(results) / len(results)})


@contextmanager
def own_ray() -> Iterator[None]:
    """A Ray with as many cores as there are slots."""
    ray.init(address="local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def run_ours(trials: int, data: Path, starts: list[float]) -> float:
    """Seconds of our search; the starts in warm workers are added to ``starts``."""
    searched = load_space(space(trials))
    with tempfile.TemporaryDirectory() as folder, own_ray():
        begun = time.perf_counter()
        outcome = run_search(searched, Path(folder) / "run", data_root=data)
        seconds = time.perf_counter() - begun
        if outcome.counts.get("completed", 0) + outcome.counts.get("pruned", 0) != trials:
            raise SystemExit(f"not all of our trials did what they should: {outcome.counts}")
        starts += warm_starts(Path(folder) / "run")
    return seconds


def warm_starts(run: Path) -> list[float]:
    """From a trial's suggestion to its first update, for all but each worker's first trial."""
    suggested: dict[str, float] = {}
    delivered: dict[str, float] = {}
    built: dict[str, float] = {}
    for event in read_events(run):
        match event:
            case Suggested():
                suggested[event.trial_id] = event.time
            case Started():
                delivered[event.trial_id] = event.time - suggested[event.trial_id]
            case Reported():
                built.setdefault(event.trial_id, event.report["facts"]["start_seconds"])
    return [delivered[trial] + built[trial] for trial in list(built)[SLOTS:]]


def run_plain(trials: int, data: Path) -> float:
    """Seconds of plain Ray Tune."""
    encoder = str(find_encoder(DEFAULT_ENCODER).folder)
    with tempfile.TemporaryDirectory() as folder, own_ray():
        begun = time.perf_counter()
        tuner = tune.Tuner(
            tune.with_resources(plain_trial, {"cpu": 1}),
            param_space={**plain_space(), "encoder": encoder, "data": str(data)},
            tune_config=tune.TuneConfig(
                metric="mean_score",
                mode="max",
                num_samples=trials,
                max_concurrent_trials=SLOTS,
                search_alg=OptunaSearch(),
                scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
            ),
            run_config=tune.RunConfig(name="plain", storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        seconds = time.perf_counter() - begun
        if results.num_errors or len(results) != trials:
            raise SystemExit(f"not all of the plain trials did what they should: {results.errors}")
    return seconds


def main() -> None:
    """Measure and print."""
    options = measure.parser(__doc__, rounds=3).parse_args()
    measure.warn_unless_idle()
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0", TOKENIZERS_PARALLELISM="false"
    )
    rounds = options.rounds or (1 if options.quick else options.default_rounds)
    starts: list[float] = []
    values: dict[str, list[float]] = {}
    targets = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        print(
            f"trials of {EPOCHS} evaluations and {EPOCHS * UPDATES * len(TASKS)} updates of {BATCH} examples, "
            f"on {write_corpus(data, TRAIN, DEV)}"
        )
        for trials, ratio in ((4, 1.0),) if options.quick else ((16, 2.5), (64, 3.0)):
            ours, plain = f"mtsearch, {trials} trials", f"plain, {trials} trials"
            targets.append(measure.Target(ours, plain, ratio))
            values |= measure.interleaved(
                {
                    ours: lambda _, trials=trials: run_ours(trials, data, starts),
                    plain: lambda _, trials=trials: run_plain(trials, data),
                },
                rounds,
            )
    print("seconds; the ratios say how many times sooner")
    measure.print_ratios(values, targets, less_is_better=True)
    middle = statistics.median(starts)
    print(
        f"from a config to the first update in a warm worker: {middle:.2f} s (min {min(starts):.2f}, "
        f"max {max(starts):.2f}, {len(starts)} starts), target {WARM_START_SECONDS:.2f} s: "
        f"{'met' if middle <= WARM_START_SECONDS else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
