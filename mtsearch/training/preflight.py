"""Look at everything a space needs before its first trial: a missing file is told at once, not by every trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from torch import nn

from mtsearch.augmentation import NoAugmentation
from mtsearch.config.trial import TrialConfig
from mtsearch.data.resolve import describe
from mtsearch.model.encoder import find_encoder, load_encoder
from mtsearch.model.extension import Extension, Host
from mtsearch.model.layers import find_layers
from mtsearch.model.serving import Serving
from mtsearch.schedules import Plateau
from mtsearch.training.assembly import check_rereading
from mtsearch.training.parts import TaskParts, check_objective, load_tasks, plan_training
from mtsearch.training.place import Place
from mtsearch.training.report import Objective
from mtsearch.training.source import check_source
from mtsearch.training.tagging import TrialTags
from mtsearch.training.trained import find_tagger

__all__ = ["DataHashes", "preflight"]

_WORTH_TELLING = 1e-3  # of the encoder's parameters

DataHashes = dict[tuple[str, str], str]
"""By task name and its ``data`` section as JSON with sorted keys: the content hash of what was found."""


def preflight(
    configs: Iterable[TrialConfig], place: Place, objective: Objective, say: Callable[[str], None]
) -> DataHashes:
    """Read and tokenise the data of these trials, and load their encoders.

    The token cache is warm afterwards, for all trials on this machine.

    Args:
        configs: trials between which encoders, tasks and their data may differ.
        place: where the data is.
        objective: what is searched for.
        say: told a line for each encoder and each data set: which it is, where it was found, what is odd about it;
            one for what a trial makes of a training split; and one for how much an extension adds to the encoder.

    Returns:
        What data was found; every trial must see the same.

    Raises:
        ConfigError: the objective names what the trials do not have, what tags the texts is not there, or a holdout
            would leave nothing.
        DataError: a data set that is missing or broken.
        EncoderError: an encoder that is missing or damaged, or cannot do what is asked of it.
        RunError: a trained model to start from that is missing, or of other tasks.
    """
    hashes: DataHashes = {}
    seen: set[str] = set()
    tell = _once(say)
    extended: dict[tuple[str, ...], _Extended] = {}
    for config in configs:
        check_objective(config, objective)
        asked_encoder = (
            config.encoder.model_dump_json(include={"model", "revision", "max_length"}),
            *config.tasks,
            *map(repr, config.extensions().values()),
        )
        if asked_encoder not in extended:
            source = find_encoder(config.encoder.model, config.encoder.revision)
            extended[asked_encoder] = _extend(load_encoder(source, config.encoder), config)
            where = {"package": " (packaged copy)", "folder": "", "hub": " (hub)"}[source.origin]
            for line in (f"encoder: {source.name}{where}", *extended[asked_encoder].additions):
                tell(line)
        for line in _warnings(config, extended[asked_encoder]):
            tell(f"warning: {line}")
        tagger = find_tagger(config, is_cached=True)
        if tagger is not None:
            tell(f"tags: {tagger.describe()}")  # before the texts are tagged, which may take minutes
        looked_at = _row_changes(config)
        tasks, tags = load_tasks(
            _with_rows_as_they_are(config) if looked_at in seen else config,
            place,
            holdout_ratio=objective.holdout_ratio,
        )
        seen.add(looked_at)
        if tags is not None:
            tell(f"tags: {tags.describe()} in the training data")
        for line in _pruning_warnings(config, tasks, tags):
            tell(f"warning: {line}")
        for name, task in tasks.items():
            kind = config.tasks[name]
            asked = json.dumps(kind.data.model_dump(mode="json"), sort_keys=True)
            hashes[name, asked] = task.data.content_hash
            told = [*_notes(task, config.encoder.max_length), *([task.changes.describe()] if task.changes else [])]
            for text in told:
                tell(f"{name}: {text}")
    return hashes


def _notes(task: TaskParts, max_length: int) -> Iterator[str]:
    """What a person should know of a task's data."""
    num_windowed = {split: encoded.tokens.num_windowed for split, encoded in task.splits.items()}
    too_long = [
        f"; longer than {max_length} tokens and {what}: "
        + ", ".join(f"{count:,} of {split}" for split, count in counts.items() if count)
        for what, counts in (("cut", task.num_cut), ("read in windows", num_windowed))
        if any(counts.values())
    ]
    yield describe(task.data) + "".join(too_long)
    if held_out := task.examples.get("holdout"):
        yield f"{len(held_out):,} of dev are held out to rank trials by; {len(task.examples['dev']):,} remain"
    for split, examples in task.examples.items():
        if unknown := task.kind.unknown_labels(examples, task.inventory):
            most = ", ".join(f"{label} ({count:,})" for label, count in unknown.most_common(5))
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            yield f"{split} has labels that train lacks, and that count as wrong: {most}{more}"


def _row_changes(config: TrialConfig) -> str:
    """What kinds of change training examples undergo: of each kind one is tried, whatever its rates."""
    method = config.augmentation
    facts = [method.describe(), method.tasks, config.training.drop_longest > 0, config.tags.model_dump_json()]
    return json.dumps([*facts, {name: kind.data.model_dump(mode="json") for name, kind in config.tasks.items()}])


def _with_rows_as_they_are(config: TrialConfig) -> TrialConfig:
    training = config.training.model_copy(update={"drop_longest": 0.0})
    return config.model_copy(update={"augmentation": NoAugmentation(), "training": training})


@dataclass(frozen=True)
class _Extended:
    """An encoder with a trial's extensions.

    Attributes:
        num_layers: of the encoder.
        additions: a line for each extension on how much it adds.
        has_shared_parameters: whether an extension has any that all tasks train with the trial's optimizer.
    """

    num_layers: int
    additions: tuple[str, ...]
    has_shared_parameters: bool


def _extend(encoder: nn.Module, config: TrialConfig) -> _Extended:
    """Build a trial's extensions, each of which must know the encoder's family; what depends on tags, without them."""
    layers = find_layers(encoder)
    check_rereading(config, encoder, layers)
    num_parameters = _num_parameters(encoder)
    host = Host(encoder, layers, Serving(), tuple(config.tasks), config.training.seed)
    built = {name: one for name, method in config.extensions().items() if (one := method.build(host)) is not None}
    roles = [role for extension in built.values() for role in extension.roles().values()]
    return _Extended(
        layers.num_layers,
        tuple(line for name, extension in built.items() for line in _additions(name, extension, num_parameters)),
        any(role.depth is None and role.task is None and not role.is_stepped_elsewhere for role in roles),
    )


def _additions(name: str, extension: Extension, num_encoder_parameters: int) -> Iterator[str]:
    count = _num_parameters(cast(nn.Module, extension))
    share = count / num_encoder_parameters
    if share >= _WORTH_TELLING:
        tasks = {role.task for role in extension.roles().values()} - {None}
        whom = f" for {len(tasks)} task{'s' * (len(tasks) > 1)}" if tasks else ""
        yield f"{name}: adds {count:,} parameters{whom} ({share:.1%} of the encoder)"


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _pruning_warnings(config: TrialConfig, tasks: Mapping[str, TaskParts], tags: TrialTags | None) -> list[str]:
    """What is surely not meant; and whether a trained model that is asked for can be started from."""
    if config.pruning.source is not None:
        check_source(config.pruning.source, config, {name: task.inventory for name, task in tasks.items()}, tags)
    return config.pruning.check(plan_training(config, tasks).updates_per_epoch, config.share_of_task())


def _warnings(config: TrialConfig, encoder: _Extended) -> list[str]:
    """What is legal, but surely not meant."""
    num_layers = encoder.num_layers
    warnings = list(config.unfreezing.check(num_layers, config.training.epochs))
    evaluations = config.training.epochs * config.training.evaluations_per_epoch
    if isinstance(config.schedule, Plateau) and evaluations <= config.schedule.patience + 2:
        warnings.append(
            f"schedule: plateau has too little to watch: with patience {config.schedule.patience} it cuts the rate "
            f"after evaluation {config.schedule.patience + 2} at the earliest, and there are {evaluations}"
        )
    trainable = config.unfreezing.trainable_depths(num_layers, config.training.epochs - 1)
    if config.surgery.name != "none" and min(trainable) > num_layers and not encoder.has_shared_parameters:
        warnings.append(f"surgery: {config.surgery.name} has nothing to do: no part of the encoder ever trains")
    smart = config.regularizers.smart
    if smart is not None and smart.weight > 0 and config.training.cache_frozen and 0 not in trainable:
        warnings.append("regularizers.smart: frozen layers are not cached: it moves the word embeddings below them")
    return warnings


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Says a line the first time."""
    seen: set[str] = set()

    def tell(line: str) -> None:
        if line not in seen:
            seen.add(line)
            say(line)

    return tell
