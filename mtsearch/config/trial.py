"""TrialConfig: everything that decides a trial's numbers, as one frozen tree."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from torch import nn

from mtsearch.adapters import Adapters, NoAdapters
from mtsearch.augmentation import Augmentation, NoAugmentation
from mtsearch.config.base import Frozen, NameOrPath
from mtsearch.config.plugins import load_tables
from mtsearch.experts import Experts, NoExperts
from mtsearch.model.extension import ExtensionMethod
from mtsearch.optimizers import AdamW, Optimizer
from mtsearch.pruning import NoPruning, Pruning
from mtsearch.regularizers import Regularizers
from mtsearch.samplers import Sampler, Uniform
from mtsearch.schedules import Plateau, Schedule
from mtsearch.surgery import NoSurgery, Surgery
from mtsearch.tags import NoTags, Tags
from mtsearch.tasks import Task
from mtsearch.tasks.metrics import METRICS
from mtsearch.unfreezing import Everything, Unfreezing
from mtsearch.weighting import Static, Weighting

__all__ = [
    "Encoder",
    "IndividualPretraining",
    "Training",
    "TrialConfig",
]

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


class Encoder(Frozen):
    """The shared encoder and how a sequence becomes one vector."""

    model: NameOrPath = Field(default=DEFAULT_ENCODER, min_length=1)
    """A local folder, or a model's name on the hub; the default also comes as a package (extra ``offline``)."""
    revision: str | None = None
    """Branch, tag or commit on the hub; null takes its main branch."""
    pooling: Literal["cls", "mean", "attention"] = "mean"
    """One vector per sequence: the first token's, the mean, or learned attention; padding never counts."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout after embeddings and sublayers; null keeps the encoder's own."""
    attention_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout on attention weights; null keeps the encoder's own."""
    max_length: int = Field(default=128, ge=8)
    """Tokens per sequence; longer ones are cut, and the cuts are counted."""


class IndividualPretraining(Frozen):
    """Before anything else each task head learns alone on the frozen encoder, and the best of each is kept."""

    epochs: int = Field(default=5, gt=0)
    """Passes of the sampler's plan as it were for the task alone, each followed by an evaluation of the task."""
    lr: float = Field(default=1e-3, gt=0, le=1)
    """Learning rate of AdamW, without a schedule."""


class Training(Frozen):
    """The training loop."""

    epochs: int = Field(default=10, gt=0)
    """Passes of the task sampler's plan."""
    batch_size: int = Field(default=32, gt=0)
    """Examples in one forward pass; all of one task."""
    accumulation: int = Field(default=1, gt=0)
    """Batches in one update, each a fresh one; of each task if the sampler is mixed. The tasks' mean losses add up."""
    evaluations_per_epoch: int = Field(default=1, gt=0)
    """Evaluations, reports and checkpoints in each epoch."""
    evaluation_batch_size: int = Field(default=64, gt=0)
    """Examples in one forward pass of an evaluation; does not change results."""
    early_stopping_patience: int | None = Field(default=None, ge=0)
    """Stop after more than this many evaluations without a better score, or since layers thawed; null never does."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient of an update; null does not clip."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of matrix products; ``auto`` takes bf16 where the GPU or CPU multiplies it natively, else fp32."""
    drop_longest: float = Field(default=0.0, ge=0, lt=1)
    """Share of each task's longest training examples, by words, that are left out."""
    individual_pretraining: IndividualPretraining | None = None
    """Each task head alone on the frozen encoder first; null starts with everything at once."""
    interference_interval: int | None = Field(default=100, gt=0)
    """Updates between two measurements of the cosines between the tasks' gradients; null measures none."""
    cache_frozen: bool = True
    """Keep on disk what the frozen lowest layers give for each example, and start from there; never under ``smart``."""
    seed: int = Field(default=13, ge=0, lt=2**31)
    """Of initial weights, dropout, data order and augmented copies."""


_TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def without_nulls(tasks: Any) -> Any:
    # A choice may leave a task out by the option null.
    return {name: task for name, task in tasks.items() if task is not None} if isinstance(tasks, dict) else tasks


def only(loaded: tuple[str, ...]) -> AfterValidator:
    """Refuses plugins but those that a schema was made with: a config that somebody wrote down loads no others."""

    def check(plugins: tuple[str, ...]) -> tuple[str, ...]:
        if plugins != loaded:
            raise ValueError(f"must be those that were named ({', '.join(loaded) or 'none'}), but got {list(plugins)}")
        return plugins

    return AfterValidator(check)


class TrialConfig(Frozen):
    """One trial: an encoder, tasks, and how they are trained. A search space is this with holes."""

    name: str = Field(default="trial", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """What the run folder is called."""
    plugins: Annotated[tuple[str, ...], only(())] = Field(default=(), strict=False)
    """Your own Python modules (importable names, or ``.py`` files beside this one) that extend the tables."""
    encoder: Encoder = Encoder()
    """The shared encoder."""
    tasks: Annotated[dict[str, Task], BeforeValidator(without_nulls)] = Field(min_length=1)
    """The tasks by name; names have no dots."""
    augmentation: Augmentation = NoAugmentation()
    """Altered copies of training examples."""
    training: Training = Training()
    """The training loop."""
    sampler: Sampler = Uniform()
    """The task sampler: which task's batch comes when, and how many examples make an epoch."""
    weighting: Weighting = Static()
    """How the tasks' losses are weighed against each other, beyond their own static weights."""
    surgery: Surgery = NoSurgery()
    """What becomes of tasks' gradients that disagree."""
    regularizers: Regularizers = Regularizers()
    """Penalties beside the loss."""
    optimizer: Optimizer = AdamW()
    """The optimizer."""
    schedule: Schedule = Plateau()
    """The learning-rate schedule."""
    unfreezing: Unfreezing = Everything()
    """Which layers train when."""
    tags: Tags = NoTags()
    """Parts of speech and named entities as a further input of the encoder."""
    experts: Experts = NoExperts()
    """Several feed-forwards or encoders in the place of one, and a gate between them."""
    adapters: Adapters = NoAdapters()
    """Layers of each task's own beside the encoder's."""
    pruning: Pruning = NoPruning()
    """Which attention heads the encoder learns to do without."""

    @model_validator(mode="after")
    def _task_names_are_plain(self) -> TrialConfig:
        for name in self.tasks:
            if not _TASK_NAME.fullmatch(name):
                raise ValueError(f"tasks.{name}: a task's name must be letters, digits, _ and -, but got {name!r}")
            if hasattr(nn.ModuleDict, name):  # in which the model keeps task heads and adapters
                raise ValueError(
                    f"tasks.{name}: a task's name must not be one that torch's modules take, but got {name!r}; "
                    f"add to it, as in {name}_task"
                )
        return self

    @model_validator(mode="after")
    def _metrics_exist(self) -> TrialConfig:
        known = load_tables(self.plugins).metrics
        built_in = {kind for metric in METRICS.values() for kind in metric.kinds}
        for name, task in self.tasks.items():
            suiting = [
                metric
                for metric, its in known.items()
                if task.kind not in built_in or not its.kinds or task.kind in its.kinds
            ]
            for metric in task.metrics:
                if metric not in suiting:
                    fault = f"does not suit {task.kind}" if metric in known else "is not a metric"
                    raise ValueError(f"tasks.{name}.metrics: {metric!r} {fault}; choose {', '.join(suiting)}")
            main = known[task.metrics[0]]
            if main.direction != "maximize":
                raise ValueError(
                    f"tasks.{name}.metrics: the first metric enters mean_score and must be one where more is better, "
                    f"but got {main.name!r}; name another first"
                )
        return self

    @model_validator(mode="after")
    def _augmented_tasks_exist(self) -> TrialConfig:
        for name in self.augmentation.tasks or ():
            if name not in self.tasks:
                raise ValueError(
                    f"augmentation.tasks: must be tasks of the trial ({', '.join(self.tasks)}), but got {name!r}"
                )
        return self

    @model_validator(mode="after")
    def _surgery_has_what_to_compare(self) -> TrialConfig:
        if self.surgery.name == "none":
            return self
        if len(self.tasks) < 2:
            raise ValueError(
                f"surgery.name: {self.surgery.name!r} compares the gradients of several tasks, but there is one task; "
                "choose none"
            )
        if not self.sampler.mixed:
            raise ValueError(
                f"surgery.name: {self.surgery.name!r} compares the tasks' gradients within one update, but this "
                "sampler gives one task to an update; set sampler.mixed to true"
            )
        return self

    @model_validator(mode="after")
    def _copies_have_no_gold_tags(self) -> TrialConfig:
        if self.tags.name == "columns" and self.augmentation.name != "none":
            raise ValueError(
                "tags.name: 'columns' has no tags for the copies that augmentation makes; choose another source, or "
                "leave augmentation out"
            )
        return self

    @model_validator(mode="after")
    def _whole_encoders_are_extended_by_nothing_else(self) -> TrialConfig:
        if self.experts.name != "encoders":
            return self
        for name, task in self.tasks.items():
            if task.reread_layers:
                raise ValueError(
                    f"tasks.{name}.head.reread_layers: several encoders cannot read a sentence once more; "
                    "set it to 0, or choose experts.name feed_forward"
                )
        for section, method in self.extensions().items():
            if section != "experts" and method.name != "none":
                raise ValueError(
                    f"experts.name: 'encoders' takes several encoders, but {section} would extend one of them alone; "
                    f"choose feed_forward, or leave {section} out"
                )
        return self

    @model_validator(mode="after")
    def _a_trained_model_brings_its_task_heads(self) -> TrialConfig:
        if self.pruning.source is not None and self.training.individual_pretraining is not None:
            raise ValueError(
                "training.individual_pretraining: trains task heads, but those of pruning.source are trained and stay "
                "as they are; leave it out, or choose pruning.mode dynamic"
            )
        return self

    def extensions(self) -> Mapping[str, ExtensionMethod]:
        """What is built into the encoder, by the name of its section; built in this order."""
        return {"tags": self.tags, "experts": self.experts, "adapters": self.adapters, "pruning": self.pruning}

    def share_of_task(self) -> float:
        """Of the updates, that serve any one task: about that many."""
        return 1.0 if self.sampler.mixed else 1.0 / len(self.tasks)

    def config_hash(self) -> str:
        """16 hexadecimal digits over everything but the name."""
        return hashlib.sha256(self.model_dump_json(exclude={"name"}).encode()).hexdigest()[:16]
