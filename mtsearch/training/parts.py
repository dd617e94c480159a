"""From a TrialConfig to the parts of a trial, in straight-line code."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from accelerate import Accelerator
from pydantic import BaseModel

from mtsearch.augmentation.contract import AugmentationMethod
from mtsearch.config.objectives import direction_of, measured_metrics
from mtsearch.config.plugins import load_tables
from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import EncodedSplit
from mtsearch.data.examples import DataSet, Example
from mtsearch.data.piece_tags import PieceTags, Tagger, TagNames
from mtsearch.data.plan import Plan
from mtsearch.data.resolve import load_data
from mtsearch.data.source import SplitName
from mtsearch.data.tokens import tokenise
from mtsearch.errors import ConfigError, RunError
from mtsearch.model.encoder import EncoderSource, find_encoder, load_tokenizer
from mtsearch.model.multitask import MultitaskModel
from mtsearch.pruning.contract import HeadGates, RunningPruning
from mtsearch.tasks.contract import Inventory, TaskKind
from mtsearch.tasks.metrics import Metric
from mtsearch.training.assembly import build_model
from mtsearch.training.checkpoint import load_state, read_description
from mtsearch.training.gradients import TaskGradients
from mtsearch.training.holdout import TrialSplit, hold_out
from mtsearch.training.place import Place
from mtsearch.training.precision import build_accelerator, choose_precision
from mtsearch.training.prefix_cache import PrefixCache
from mtsearch.training.report import Objective
from mtsearch.training.rows import RowChanges, change_rows, row_examples
from mtsearch.training.source import load_source
from mtsearch.training.state import Progress, TrainState
from mtsearch.training.tagging import TrialTags, learn_tags, tag_rows
from mtsearch.training.thawing import Thawing
from mtsearch.training.trained import find_tagger

__all__ = [
    "Parts",
    "TaskParts",
    "build",
    "check_objective",
    "load_task",
    "load_tasks",
    "plan_training",
]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskParts:
    """One task with its data.

    Attributes:
        name: in the config.
        kind: the task's settings and methods.
        data: as found and read.
        inventory: what the training split taught.
        examples: of each split, as read.
        splits: the same, encoded; ``train`` with the changes, and ``holdout`` if some of dev is held out.
        num_cut: examples of each split that are longer than the encoder takes.
        changes: how what is trained on differs from the training split; None where it does not.
    """

    name: str
    kind: TaskKind
    data: DataSet
    inventory: Inventory
    examples: Mapping[TrialSplit, tuple[Example, ...]]
    splits: Mapping[TrialSplit, EncodedSplit]
    num_cut: Mapping[TrialSplit, int]
    changes: RowChanges | None = None

    @property
    def train_tags(self) -> PieceTags:
        """Of the training split, which has some."""
        tags = self.splits["train"].tags
        assert tags is not None
        return tags

    def with_tag_names(self, names: TagNames) -> TaskParts:
        """The same task, with its tags in the numbers of ``names``."""
        return replace(self, splits={name: split.with_tag_names(names) for name, split in self.splits.items()})


@dataclass(frozen=True)
class Parts:
    """All that :func:`mtsearch.training.fit.fit` needs; only ``state`` changes.

    Attributes:
        config: the trial.
        place: where it runs.
        objective: what is best.
        tasks: by name.
        train_on: the splits that are trained on.
        source_hash: of the trained model's weights that pruning starts from; empty where it starts anew.
        tags: what their tokens' tags are; None where the encoder sees none.
        metrics: all metrics by name, a plugin's included.
        accelerator: number format and device.
        encoder: where the pretrained encoder was found.
        precision: what ``training.precision`` came to.
        plan: the updates of each epoch.
        prefix: gives batches, with what the frozen lowest layers make of them where they are cached.
        state: the model and all that trains it.
        started: ``time.perf_counter()`` when building began.
    """

    config: TrialConfig
    place: Place
    objective: Objective
    tasks: Mapping[str, TaskParts]
    train_on: tuple[SplitName, ...]
    source_hash: str
    tags: TrialTags | None
    metrics: Mapping[str, Metric]
    accelerator: Accelerator
    encoder: EncoderSource
    precision: str
    plan: Plan
    prefix: PrefixCache
    state: TrainState
    started: float

    @cached_property
    def task_gradients(self) -> TaskGradients:
        """Room for each task's gradient over what the tasks share, for surgery; made when it is first asked for."""
        return TaskGradients(self.state.model.shared_parameters, len(self.tasks))

    def description(self) -> dict[str, Any]:
        """What a checkpoint says of itself: config, inventories, data hashes, versions of the layout."""
        return {
            "version": 1,
            "config": self.config.model_dump(mode="json"),
            "inventories": {name: task.inventory.to_json() for name, task in self.tasks.items()},
            "data": {name: task.data.content_hash for name, task in self.tasks.items()},
            "train_on": list(self.train_on),
            "source": self.source_hash,
            "changes": {name: task.changes.content_hash for name, task in self.tasks.items() if task.changes},
            "encoder": self.encoder.weights_hash,
            "tags": self.tags and self.tags.to_json(),
            "precision": self.precision,
        }


def build(
    config: TrialConfig,
    place: Place,
    objective: Objective = Objective(),
    *,
    resume_from: Path | None = None,
    train_on: Sequence[SplitName] = ("train",),
) -> Parts:
    """Make everything that a trial needs, ready for its first or next step.

    Data sets and token tables stay in the process, so that the next trial there starts at once.

    Args:
        config: the trial.
        place: where it runs and writes.
        objective: what is best.
        resume_from: a checkpoint to go on from.
        train_on: the splits to train on; ``("train", "dev")`` for a final model, which gets the holdout too.

    Raises:
        ConfigError: the objective names a task or metric that the trial does not have.
        DataError: a data set that is missing or broken.
        EncoderError: an encoder that is missing or damaged.
        ResourceError: hardware that is not there.
        RunError: a checkpoint, or a trained model to start from, that cannot be used.
    """
    started = time.perf_counter()
    torch.set_num_threads(place.cpus)
    metrics = load_tables(config.plugins).metrics
    check_objective(config, objective)
    precision = choose_precision(config.training.precision, place.device)
    accelerator = build_accelerator(precision, place)

    tasks, tags = load_tasks(config, place, train_on, objective.holdout_ratio)
    inventories = {name: task.inventory for name, task in tasks.items()}
    model = build_model(config, inventories, tags)
    source_hash = ""
    if config.pruning.source is not None:
        if resume_from is None:
            source_hash = load_source(config.pruning.source, config, inventories, tags, model)
        else:
            source_hash = read_description(resume_from).get("source", "")
        model.heads.requires_grad_(False)
    model.to(accelerator.device)
    for name, task in tasks.items():
        if task.changes is not None:
            _LOG.info("%s: %s", name, task.changes.describe())
    training = config.training
    thawing = Thawing(model, config.unfreezing, training.epochs)
    for warning in thawing.warnings:
        _LOG.warning(warning)
    optimizer = accelerator.prepare_optimizer(config.optimizer.build(model, training.seed), device_placement=False)
    plan = plan_training(config, tasks)
    num_updates = plan.updates_per_epoch
    if training.evaluations_per_epoch > min(num_updates):
        raise ConfigError(
            f"training.evaluations_per_epoch: must be at most the updates in an epoch ({min(num_updates)}), "
            f"but got {training.evaluations_per_epoch}; evaluate less often, or take smaller batches"
        )
    schedule = config.schedule.build(optimizer.optimizer, sum(num_updates))
    names = tuple(tasks)
    state = TrainState(
        model,
        optimizer,
        schedule,
        thawing,
        config.weighting.build(names, training.seed),
        config.surgery.build(names, training.seed),
        config.regularizers.build(model),
        _start_pruning(config, model, num_updates),
        Progress(),
    )
    encoder = find_encoder(config.encoder.model, config.encoder.revision)
    prefix = PrefixCache(model, accelerator)
    parts = Parts(
        config,
        place,
        objective,
        tasks,
        tuple(train_on),
        source_hash,
        tags,
        metrics,
        accelerator,
        encoder,
        precision,
        plan,
        prefix,
        state,
        started,
    )
    if resume_from is not None:
        _check_origins(parts, read_description(resume_from), resume_from)
        load_state(resume_from, state)
    return parts


def plan_training(config: TrialConfig, tasks: Mapping[str, TaskParts]) -> Plan:
    """The updates of a trial."""
    training = config.training
    splits = {name: task.splits["train"] for name, task in tasks.items()}
    return Plan(config.sampler, splits, training.batch_size, training.accumulation, training.seed, training.epochs)


def _start_pruning(config: TrialConfig, model: MultitaskModel, num_updates: Sequence[int]) -> RunningPruning | None:
    if "pruning" not in model.extensions:
        return None
    for warning in config.pruning.check(num_updates, config.share_of_task()):
        _LOG.warning(warning)
    return cast(HeadGates, model.extensions["pruning"]).start(num_updates)


def load_tasks(
    config: TrialConfig, place: Place, train_on: Sequence[SplitName] = ("train",), holdout_ratio: float = 0.0
) -> tuple[dict[str, TaskParts], TrialTags | None]:
    """All tasks' data as :func:`load_task` gives it; and their tags, where the encoder sees some, the same in all."""
    tasks = {name: load_task(name, kind, config, place, train_on, holdout_ratio) for name, kind in config.tasks.items()}
    tagger = find_tagger(config, is_cached=True)
    if tagger is None:
        return tasks, None
    tags = learn_tags(config.tags, tagger, {name: task.train_tags for name, task in tasks.items()})
    return {name: task.with_tag_names(tags.names) for name, task in tasks.items()}, tags


def load_task(
    name: str,
    kind: TaskKind,
    config: TrialConfig,
    place: Place,
    train_on: Sequence[SplitName] = ("train",),
    holdout_ratio: float = 0.0,
) -> TaskParts:
    """A task's data, read, tokenised and encoded; from this process's memory if a trial before used it."""
    assert isinstance(kind, BaseModel)
    source = find_encoder(config.encoder.model, config.encoder.revision)
    # What the task head is, and what is measured, does not change the data.
    settings = kind.model_dump_json(exclude={"head", "weight", "metrics"})
    tagger = find_tagger(config, is_cached=True)
    asked = (
        name,
        type(kind),
        settings,
        place.data_root,
        source,
        config.encoder.max_length,
        tuple(train_on),
        tagger,
        holdout_ratio,
    )
    loaded = _loaded(*asked)
    method, training = config.augmentation, config.training
    if training.drop_longest or method.tasks is None or name in method.tasks:
        loaded = _changed(asked, type(method), method.model_dump_json(), training.drop_longest, training.seed)
    return replace(loaded, kind=kind)


_Asked: TypeAlias = tuple[
    str, type[BaseModel], str, Path | None, EncoderSource, int, tuple[SplitName, ...], Tagger | None, float
]
"""The arguments of _loaded."""


@lru_cache(maxsize=64)
def _loaded(
    name: str,
    kind_class: type[BaseModel],
    settings: str,
    data_root: Path | None,
    encoder: EncoderSource,
    max_length: int,
    train_on: tuple[SplitName, ...],
    tagger: Tagger | None,
    holdout_ratio: float,
) -> TaskParts:
    kind = cast(TaskKind, kind_class.model_validate_json(settings))
    data = load_data(kind.data, kind.wanted, data_root)
    inventory = kind.inventory(data.splits["train"].examples)
    examples: dict[TrialSplit, tuple[Example, ...]] = {split: part.examples for split, part in data.splits.items()}
    examples["train"] = tuple(example for split in train_on for example in examples[split])
    parts = {split: split for split in examples} | {"train": "+".join(train_on)}
    if holdout_ratio:
        examples["dev"], examples["holdout"] = hold_out(name, examples["dev"], holdout_ratio)
        parts |= {"dev": f"dev without {holdout_ratio!r}", "holdout": f"{holdout_ratio!r} of dev"}
    splits = {}
    for split, members in examples.items():
        content = f"{data.content_hash} {parts[split]}"
        splits[split] = _encoded(name, kind, members, inventory, encoder, max_length, tagger, content)
    num_cut = {split: encoded.tokens.num_cut for split, encoded in splits.items()}
    return TaskParts(name, kind, data, inventory, examples, splits, num_cut)


@lru_cache(maxsize=8)  # a search over rates makes other rows in every trial
def _changed(
    asked: _Asked, method_class: type[BaseModel], method_settings: str, drop_longest: float, seed: int
) -> TaskParts:
    """A task whose training split was changed; of the copies only what the model sees stays in memory."""
    loaded = _loaded(*asked)
    name, _, _, _, encoder, max_length, train_on, tagger, _ = asked
    kind, of_split = loaded.kind, loaded.data.splits
    method = cast(AugmentationMethod, method_class.model_validate_json(method_settings))
    rows, changes = change_rows(name, of_split["train"].examples, kind.layout, method, drop_longest, seed)
    _check_classes(name, loaded.inventory, rows)
    others = (example for split in train_on if split != "train" for example in of_split[split].examples)
    content = f"{loaded.data.content_hash} {'+'.join(train_on)} changed to {changes.content_hash}"
    train = _encoded(name, kind, (*rows, *others), loaded.inventory, encoder, max_length, tagger, content)
    return replace(
        loaded,
        inventory=_recounted(loaded.inventory, kind.inventory(rows)),
        splits={**loaded.splits, "train": train},
        num_cut={**loaded.num_cut, "train": train.tokens.num_cut},
        changes=changes,
    )


def _check_classes(task: str, inventory: Inventory, rows: Sequence[Example]) -> None:
    """Whether every class that the training split has is still there."""
    had = {label for label, count in zip(inventory.labels, inventory.counts, strict=True) if count}
    of_texts = {row.label for row in rows if isinstance(row.label, str)}
    if of_texts and (lost := sorted(had - of_texts)):
        raise ConfigError(
            f"training.drop_longest: must leave examples of every class, but leaves none of {lost[0]!r} in {task}; "
            "drop fewer"
        )


def _recounted(inventory: Inventory, changed: Inventory) -> Inventory:
    """What a task learned from its whole training split, with the counts of what is trained on."""
    counts = dict(zip(changed.labels, changed.counts, strict=True))
    return replace(inventory, counts=tuple(counts.get(label, 0) for label in inventory.labels))


def _encoded(
    name: str,
    kind: TaskKind,
    examples: Sequence[Example],
    inventory: Inventory,
    encoder: EncoderSource,
    max_length: int,
    tagger: Tagger | None,
    content_key: str,
) -> EncodedSplit:
    tokenizer = load_tokenizer(encoder)
    tokens = tokenise(examples, tokenizer, kind.layout, max_length, content_key, with_places=tagger is not None)
    tags = None if tagger is None else tag_rows(tagger, name, examples, kind.layout, tokens)
    targets = kind.encode_targets(row_examples(kind, examples, tokens), inventory)
    return EncodedSplit(name, tokens, targets, tokenizer.pad_token_id, tags)


def check_objective(config: TrialConfig, objective: Objective) -> None:
    """Whether a trial has what the objective names.

    Raises:
        ConfigError: it has not.
    """
    missing = [task for task in objective.scored_tasks or () if task not in config.tasks]
    if missing:
        raise ConfigError(
            f"search.scored_tasks: must be tasks of the trial ({', '.join(config.tasks)}), but got {missing[0]!r}"
        )
    known = measured_metrics(config)
    if objective.metric not in known:
        raise ConfigError(
            f"search.metric: must be what the trial measures ({', '.join(known)}), but got {objective.metric!r}"
        )
    if direction_of(objective.metric, config.plugins) != "maximize":
        raise ConfigError(f"search.metric: must be one where more is better, but got {objective.metric!r}")


def _check_origins(parts: Parts, description: Mapping[str, Any], checkpoint: Path) -> None:
    if description["encoder"] != parts.encoder.weights_hash:
        raise RunError(
            f"{checkpoint}: encoder.model: going on needs the weights that training began with "
            f"({description['encoder']}), but {parts.encoder.name} now has {parts.encoder.weights_hash}; "
            "restore them, or start another run"
        )
    if TrialTags.from_json(description.get("tags")) != parts.tags:
        raise RunError(
            f"{checkpoint}: tags: going on needs the tags that training began with, but their source has changed; "
            "restore its version, or start another run"
        )
    for name, task in parts.tasks.items():
        if description["data"].get(name) != task.data.content_hash:
            raise RunError(
                f"{checkpoint}: tasks.{name}: going on needs the data that training began with "
                f"({description['data'].get(name)}), but {task.data.where} now has {task.data.content_hash}; "
                "restore the files, or start another run"
            )
        began, now = description.get("changes", {}).get(name), task.changes and task.changes.content_hash
        if began != now:
            raise RunError(
                f"{checkpoint}: tasks.{name}: going on needs the augmented copies that training began with ({began}), "
                f"but here they are others ({now}): the synonyms are not the same; restore them, or start another run"
            )
