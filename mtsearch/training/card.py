"""The model card of an export: what the model does, how well, on which data, and what it took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from mtsearch.config.trial import TrialConfig
from mtsearch.config.yaml12 import dump
from mtsearch.model.pruned import KeptHeads
from mtsearch.tags import ExportedTags
from mtsearch.tasks.contract import Inventory
from mtsearch.tasks.metrics import Metric
from mtsearch.tasks.metrics.micro import MicroAverage
from mtsearch.training.exported import TAGGER

__all__ = ["Cut", "Origin", "Score", "dev_scores", "model_card"]

_RESAMPLES = 1000


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from, as far as its run folder tells.

    Attributes:
        run: the run's name; empty where the checkpoint lies in no run folder.
        trial: the trial's id.
        evaluation: which one the checkpoint is of; 0 if that is not known.
        scores: on dev at that evaluation, ``{"sentiment.accuracy": 0.478, ..}``.
        costs: of the whole trial: ``seconds``, ``gpu_seconds``, ``examples_seen``.
        environment: what ``environment.json`` says.
    """

    run: str = ""
    trial: str = ""
    evaluation: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """A task's metric on dev.

    Attributes:
        value: the metric.
        interval: 95%, by Wilson for an accuracy over examples and else by the bootstrap; None where it is not known.
        num_examples: that it is over; None where that is not known.
    """

    value: float
    interval: tuple[float, float] | None = None
    num_examples: int | None = None


@dataclass(frozen=True)
class Cut:
    """What became of the attention heads.

    Attributes:
        kept: those that are left in each layer.
        num_heads: of each layer before.
        is_folded: whether the gates are in the weights; else they multiply at run time.
        latency: how the time of a forward pass relates to the whole encoder's, and how that was measured.
    """

    kept: KeptHeads
    num_heads: int
    is_folded: bool
    latency: Mapping[str, Any]

    @property
    def num_kept(self) -> int:
        """In all layers."""
        return sum(map(len, self.kept))

    @property
    def is_whole(self) -> bool:
        """Whether no attention head is gone."""
        return self.num_kept == len(self.kept) * self.num_heads


def dev_scores(
    config: TrialConfig,
    inventories: Mapping[str, Inventory],
    predictions: Path,
    metrics: Mapping[str, Metric],
    known: Mapping[str, float],
) -> dict[str, Score]:
    """Each task's metrics, by ``TASK.METRIC``; the main ones with an interval.

    Args:
        config: names the tasks and their metrics, the main one first.
        inventories: of each task.
        predictions: the checkpoint's ``predictions.parquet``; it need not be there.
        metrics: all metrics by name.
        known: scores to take where there are no predictions.
    """
    table = pd.read_parquet(predictions) if predictions.is_file() else None
    scores: dict[str, Score] = {}
    for name, task in config.tasks.items():
        names = [f"{name}.{metric}" for metric in task.metrics]
        if table is None:
            scores |= {key: Score(known[key]) for key in names if key in known}
            continue
        rows = table[(table["task"] == name) & (table["split"] == "dev")]
        # By what is predicted: gold may have a class that training did not show.
        are_classes = set(rows["prediction"]) <= set(inventories[name].labels)
        gold = _values(rows["gold"], are_classes)
        for place, key in enumerate(names):
            metric = metrics[task.metrics[place]]
            if metric.key == "prediction":
                predicted = _values(rows["prediction"], are_classes)
            else:
                predicted = [json.loads(text)[metric.key] for text in rows["scores"]]
            value = float(metric.compute(gold, predicted))
            interval = _interval(metric, gold, predicted, value) if place == 0 else None
            scores[key] = Score(value, interval, len(gold))
    return scores


def _values(texts: Iterable[str], are_classes: bool) -> list[Any]:
    """What ``predictions.parquet`` has as text: classes are as they are, everything else is JSON."""
    return list(texts) if are_classes else [json.loads(text) for text in texts]


def _interval(metric: Metric, gold: Sequence[Any], predicted: Sequence[Any], value: float) -> tuple[float, float]:
    if metric.name == "accuracy" and isinstance(gold[0], str):
        interval = binomtest(round(value * len(gold)), len(gold)).proportion_ci(method="wilson")
        return float(interval.low), float(interval.high)
    generator = np.random.default_rng(0)
    draws = (generator.integers(0, len(gold), len(gold)) for _ in range(_RESAMPLES))
    if isinstance(metric.compute, MicroAverage):
        counts, ratio = metric.compute.counts(gold, predicted), metric.compute.ratio
        values = [ratio(*counts[draw].sum(axis=0)) for draw in draws]
    else:
        values = [metric.compute([gold[i] for i in draw], [predicted[i] for i in draw]) for draw in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def model_card(
    config: TrialConfig,
    inventories: Mapping[str, Inventory],
    hashes: Mapping[str, str],
    train_on: Sequence[str],
    scores: Mapping[str, Score],
    cut: Cut | None,
    origin: Origin,
) -> str:
    """The text of ``README.md``.

    Args:
        config: the trial's.
        inventories: of each task.
        hashes: of each task's data.
        train_on: the splits that it was trained on.
        scores: from :func:`dev_scores`.
        cut: of the attention heads; None where they had no gates.
        origin: of the checkpoint.
    """
    num_tasks = f"{len(config.tasks)} task head{'s' if len(config.tasks) != 1 else ''}"
    sections = [
        _front_matter(config),
        f"# {config.name}",
        f"A shared encoder ({config.encoder.model}) under {num_tasks}, trained and exported by mtsearch{_of(origin)}.",
        "## Tasks",
        _tasks(config, inventories, hashes, origin),
        "## Scores on dev",
        _scores(scores, train_on),
        *(() if cut is None else ("## Attention heads", _heads(cut))),
        "## How to use it",
        _usage(config, cut),
        "## What it took",
        _costs(origin),
        "## Config",
        f"```yaml\n{dump(config.model_dump(mode='json'))}```",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(config: TrialConfig) -> str:
    """What model hubs read."""
    about: dict[str, Any] = {"library_name": "transformers", "tags": ["mtsearch", "multi-task"]}
    if not config.encoder.model.startswith((".", "/", "~")):
        about["base_model"] = config.encoder.model
    return f"---\n{dump(about)}---"


def _of(origin: Origin) -> str:
    if not origin.run:
        return ""
    evaluation = f" at evaluation {origin.evaluation}" if origin.evaluation else ""
    return f" (run {origin.run}, trial {origin.trial}{evaluation})"


def _tasks(config: TrialConfig, inventories: Mapping[str, Inventory], hashes: Mapping[str, str], origin: Origin) -> str:
    rows = []
    for name, task in config.tasks.items():
        found = origin.environment.get("data", {}).get(name, {})
        labels = ", ".join(inventories[name].labels) or ("an answer" if task.kind == "qa" else "a number")
        rows.append([name, task.kind, labels, task.data.source, found.get("origin", "not known"), hashes[name]])
    note = "The hash is over the content of all its splits; `mtsearch evaluate` says whether other data is scored."
    return _table(["task", "kind", "gives", "data", "found in", "content hash"], rows) + f"\n\n{note}"


def _scores(scores: Mapping[str, Score], train_on: Sequence[str]) -> str:
    if "dev" in train_on:
        return f"None: the model was trained on {' and '.join(train_on)}. `mtsearch evaluate --split test` scores it."
    if not scores:
        return "Not known: neither the predictions nor the tables of the run were there."
    rows = [
        [
            name,
            f"{score.value:.4f}",
            "" if score.interval is None else f"{score.interval[0]:.4f} to {score.interval[1]:.4f}",
            "" if score.num_examples is None else f"{score.num_examples:,}",
        ]
        for name, score in scores.items()
    ]
    note = (
        "The interval says what other examples would do to the score (95%; Wilson's for accuracies over examples, else "
        f"the bootstrap's with {_RESAMPLES:,} resamples of them). It says nothing of other seeds, and the model was "
        "chosen on these examples."
    )
    if all(score.interval is None for score in scores.values()):
        note = "Without intervals: the predictions were not kept. The model was chosen on these examples."
    return _table(["metric", "value", "interval", "examples"], rows) + f"\n\n{note}"


def _heads(cut: Cut) -> str:
    total, latency = len(cut.kept) * cut.num_heads, cut.latency
    threads = f"{latency['threads']} thread{'s' if latency['threads'] != 1 else ''}"
    left = f"{cut.num_kept} of {total} attention heads are left; the others' gates were closed, and they are cut out."
    lines = [
        f"All {total} attention heads are left: no gate is closed." if cut.is_whole else left,
        "The gates of those that are left are multiplied into the weights."
        if cut.is_folded
        else "The gates of those that are left multiply at run time, since weights cannot hold them: they differ "
        "between tasks, or between layers that share weights.",
        f"A forward pass takes {latency['ratio']:.2f} of the whole encoder's time ({latency['rows']} x "
        f"{latency['length']} tokens, {latency['device']}, {threads}, {latency['precision']}).",
    ]
    rows = [
        [str(depth), str(len(heads)), ", ".join(map(str, heads)) or "none"]
        for depth, heads in enumerate(cut.kept, start=1)
    ]
    return " ".join(lines) + "\n\n" + _table(["layer", "heads left", "which (from 0)"], rows)


def _usage(config: TrialConfig, cut: Cut | None) -> str:
    task = next(iter(config.tasks))
    texts = ["a text", "another"] if config.tasks[task].wanted.num_texts == 2 else "a text"
    given = f'("{texts[0]}", "{texts[1]}")' if isinstance(texts, list) else f'"{texts}"'
    plugins = f", plugins={list(config.plugins)!r}" if config.plugins else ""
    code = f"""```python
import mtsearch

model = mtsearch.load("FOLDER"{plugins})
model.predict("{task}", [{given}])
```

```
mtsearch predict FOLDER --task {task} < lines.txt
mtsearch evaluate FOLDER --split dev --data DATA
```"""
    if cut is not None and not cut.is_whole:
        plain = (
            "The encoder cannot be loaded with transformers alone (`AutoModel.from_pretrained`), which wants as many "
            "attention heads in every layer as fill the hidden size; `mtsearch.load(...).model.encoder` is the "
            "encoder. The tokenizer can."
        )
    else:
        plain = (
            "The encoder alone, without task heads, also loads with transformers: "
            '`AutoModel.from_pretrained("FOLDER", add_pooling_layer=False)` (some families do not know that argument) '
            'and `AutoTokenizer.from_pretrained("FOLDER")`.'
        )
        left_out = [name for name, section in config.extensions().items() if getattr(section, "name", "none") != "none"]
        if left_out := [name for name in left_out if name != "pruning" or (cut is not None and not cut.is_folded)]:
            plain += f" It is then without what extends it here: {', '.join(left_out)}."
    if isinstance(config.tags, ExportedTags):
        plain += f"\n\nThe tags of its words come from another model, which is in the folder `{TAGGER}`."
    elif config.tags.name != "none":
        plain += f"\n\nThe tags of its words are not in this folder: they come from {config.tags.name} (section tags)."
    return f"{code}\n\n{plain}"


def _costs(origin: Origin) -> str:
    costs, environment = origin.costs, origin.environment
    if not costs:
        return "Not known: no table of a run tells of this checkpoint."
    hardware, resources = environment.get("hardware", {}), environment.get("resources", {})
    versions = environment.get("versions", {})
    rows = [
        ["seconds of the trial", f"{costs['seconds']:,.0f}"],
        ["GPU seconds", f"{costs['gpu_seconds']:,.0f}"],
        ["examples trained on", f"{costs['examples_seen']:,.0f}"],
        ["on", f"{hardware.get('processor', 'not known')}, {hardware.get('platform', 'not known')}"],
        ["with", f"{resources.get('cpus', '?')} CPU cores and {resources.get('gpus', '?')} GPUs"],
        ["software", ", ".join(f"{name} {version}" for name, version in versions.items())],
    ]
    return _table(["what", "how much"], rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
