"""The trained model that a static pruning starts from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mtsearch.config.inside import path_inside
from mtsearch.config.trial import TrialConfig
from mtsearch.errors import MtsearchError, RunError
from mtsearch.model.encoder import find_encoder
from mtsearch.model.multitask import MultitaskModel
from mtsearch.tasks.contract import Inventory
from mtsearch.training.checkpoint import read_description
from mtsearch.training.tagging import TrialTags
from mtsearch_analysis.best import best_trials
from mtsearch_analysis.load import load_run

__all__ = ["check_source", "load_source"]


def check_source(
    source: str, config: TrialConfig, inventories: Mapping[str, Inventory], tags: TrialTags | None
) -> Path:
    """The checkpoint that a run folder or a checkpoint's own folder means, if this trial can start from it.

    Raises:
        RunError: there is none, or its encoder, its tasks, their labels or its tags are not the trial's.
    """
    try:
        checkpoint = _checkpoint_of(Path(os.path.expanduser(source)))
        description = read_description(checkpoint)
    except (MtsearchError, OSError, ValueError) as error:
        raise RunError(f"pruning.source: {error}") from error
    theirs = description["config"]
    _agree(checkpoint, "encoder.model", _weights_hash(config), description["encoder"])
    _agree(checkpoint, "encoder.pooling", config.encoder.pooling, theirs["encoder"]["pooling"])
    for name, task in config.tasks.items():
        if name not in theirs["tasks"]:
            raise RunError(
                f"pruning.source: must have every task of the trial, but {checkpoint} has no {name}; it has "
                f"{', '.join(theirs['tasks'])}"
            )
        _agree(checkpoint, f"tasks.{name}.kind", task.kind, theirs["tasks"][name]["kind"])
        learned, ours = Inventory.from_json(description["inventories"][name]), inventories[name]
        if (learned.labels, learned.numbers) != (ours.labels, ours.numbers):
            raise RunError(
                f"pruning.source: must have been trained on the trial's data, but {checkpoint} has other labels of "
                f"{name}, or other means; give both the same data"
            )
    if TrialTags.from_json(description.get("tags")) != tags:
        raise RunError(
            f"pruning.source: must have seen the trial's tags, but {checkpoint} has not; give both the same tags"
        )
    return checkpoint


def load_source(
    source: str,
    config: TrialConfig,
    inventories: Mapping[str, Inventory],
    tags: TrialTags | None,
    model: MultitaskModel,
) -> str:
    """Put the trained weights into a trial's model: all but those of its gates, which begin anew.

    Returns:
        The hash of the checkpoint's weights, 16 hexadecimal digits.

    Raises:
        RunError: as :func:`check_source`, or the weights are damaged or of other shapes.
    """
    checkpoint = check_source(source, config, inventories, tags)
    weights = checkpoint / "model.safetensors"
    try:
        trained = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise RunError(f"pruning.source: the weights of {checkpoint} cannot be read: {error}") from error
    own = {name: x for name, x in model.state_dict().items() if not name.startswith("extensions.pruning.")}
    unlike = [name for name, x in own.items() if name not in trained or trained[name].shape != x.shape]
    if unlike:
        raise RunError(
            f"pruning.source: must be a model of this trial's form, but {checkpoint} has no {unlike[0]} of shape "
            f"{list(own[unlike[0]].shape)}; give the trial the task heads and extensions that the source has"
        )
    foreign = sorted(name for name in trained if name.startswith("extensions.") and _is_missed(name, own))
    if foreign:
        extension = foreign[0].split(".")[1]
        raise RunError(
            f"pruning.source: must be a model of this trial's form, but {checkpoint} was trained with {extension}, "
            f"which the trial lacks; give the trial the same {extension}"
        )
    model.load_state_dict({name: trained[name] for name in own}, strict=False)
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _is_missed(name: str, own: Mapping[str, Tensor]) -> bool:
    """Whether a parameter of the source belongs to an extension that the trial has not; gates begin anew anyway."""
    extension = name.split(".")[1]
    return extension != "pruning" and not any(one.startswith(f"extensions.{extension}.") for one in own)


def _checkpoint_of(folder: Path) -> Path:
    if (folder / "model.json").is_file():
        return folder
    ranking = best_trials(load_run(folder), n=1)
    if ranking.empty:
        raise RunError(f"{folder}: no trial of this run has a score yet")
    if len(ranking) > 1:
        raise RunError(
            f"{folder}: its trials have different tasks and are scored apart, so no one is best; name the checkpoint "
            "of one of them"
        )
    checkpoint = ranking["checkpoint"].iloc[0]
    if not isinstance(checkpoint, str):
        raise RunError(f"{folder}: the weights of its best trial were not kept; name another trial's checkpoint")
    return path_inside(folder, checkpoint)


def _weights_hash(config: TrialConfig) -> str:
    return find_encoder(config.encoder.model, config.encoder.revision).weights_hash


def _agree(checkpoint: Path, what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise RunError(
            f"pruning.source: must agree with the trial in {what}, but {checkpoint} has {theirs}, the trial {ours}"
        )
