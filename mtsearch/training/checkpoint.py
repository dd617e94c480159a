"""Checkpoints: tensors as safetensors, everything else as JSON, nothing pickled.

A checkpoint is a folder ``evaluation-0003`` that is complete once it has that name, and never changes but to
lose what is no longer needed::

    model.safetensors      weights
    model.json             the config, each task's inventory and data hash
    predictions.parquet    every dev example's prediction at that evaluation
    state.safetensors      optimizer, regularisers, gates, random    } only in the last one:
    state.json             counters, report, all methods' own state  } what going on from here needs
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mtsearch.errors import RunError
from mtsearch.training.report import Report
from mtsearch.training.state import Progress, TrainState

__all__ = [
    "checkpoint_name",
    "latest_checkpoint",
    "load_state",
    "load_weights",
    "random_state",
    "read_description",
    "retain",
    "save_checkpoint",
    "set_random_state",
]


class _Method(Protocol):
    """A method with a state of plain JSON values."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def checkpoint_name(evaluation: int) -> str:
    """The folder name of an evaluation's checkpoint."""
    return f"evaluation-{evaluation:04d}"


def save_checkpoint(
    folder: Path,
    state: TrainState,
    random: Sequence[Mapping[str, Tensor]],
    description: Mapping[str, Any],
    predictions: pd.DataFrame,
) -> None:
    """Write a checkpoint at ``folder``; it appears there complete, or not at all.

    A finished trial needs no optimizer state any more, only its counters and its report.

    Args:
        folder: its final place.
        state: what to save.
        random: :func:`random_state` of each process.
        description: config, inventories and data hashes, plain JSON values.
        predictions: of every dev example.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in state.model.state_dict().items()},
        temporary / "model.safetensors",
    )
    (temporary / "model.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    predictions.to_parquet(temporary / "predictions.parquet", index=False)
    rest: dict[str, Any] = {"progress": state.progress.to_json(), "report": state.report and state.report.to_json()}
    if not state.progress.finished:
        tensors, rest["optimizer"] = _optimizer_state(state)
        for regularizer in state.regularizers:
            own = regularizer.tensors().items()
            tensors |= {f"regularizers.{regularizer.name}.{name}": tensor.contiguous() for name, tensor in own}
        if state.pruning is not None:
            own = state.pruning.tensors().items()
            tensors |= {f"pruning.{name}": tensor.contiguous() for name, tensor in own}
        for rank, states in enumerate(random):
            tensors |= {f"random.{rank}.{device}": tensor for device, tensor in states.items()}
        save_file(tensors, temporary / "state.safetensors")
        rest |= {name: method.state_dict() for name, method in _methods(state).items()}
    (temporary / "state.json").write_text(json.dumps(rest), encoding="utf-8")
    if folder.exists():  # left by an attempt that was stopped between writing and telling
        shutil.rmtree(folder)
    os.replace(temporary, folder)


def retain(folder: Path, *, last: str, best: str) -> None:
    """Keep under ``folder`` the best and the last checkpoint only, and a resumable state in the last alone."""
    for checkpoint in folder.glob("evaluation-*"):
        if checkpoint.name not in (last, best):
            shutil.rmtree(checkpoint)
        elif checkpoint.name != last:
            for name in ("state.safetensors", "state.json"):
                (checkpoint / name).unlink(missing_ok=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint under an attempt's folder from which training can go on; None if there is none."""
    resumable = [state.parent for state in (folder / "checkpoints").glob("evaluation-*/state.json")]
    return max(resumable, default=None, key=lambda checkpoint: checkpoint.name)


def read_description(folder: Path) -> dict[str, Any]:
    """What ``model.json`` of a checkpoint says.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        description: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{folder}: a checkpoint must hold model.json, but reading it gave: {error}") from error
    return description


def load_weights(folder: Path, model: torch.nn.Module) -> None:
    """Put a checkpoint's weights into ``model``.

    Raises:
        RunError: the file is missing, damaged or of another model.
    """
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{folder}: the weights of this checkpoint cannot be used: {reason}") from error


def load_state(folder: Path, state: TrainState) -> None:
    """Put everything of a checkpoint into ``state``, so that training goes on as if it had not stopped.

    Raises:
        RunError: a file is missing or damaged.
    """
    load_weights(folder, state.model)
    try:
        rest = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        state.progress = Progress.from_json(rest["progress"])
        state.report = Report.from_json(rest["report"])
        if state.progress.finished:
            return
        tensors = load_file(folder / "state.safetensors")
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise RunError(f"{folder}: the state of this checkpoint cannot be read: {error}") from error
    _load_optimizer_state(state, tensors, rest["optimizer"])
    for name, method in _methods(state).items():
        method.load_state_dict(rest[name])
    for regularizer in state.regularizers:
        regularizer.load_tensors(_under(f"regularizers.{regularizer.name}.", tensors))
    if state.pruning is not None:
        state.pruning.load_tensors(_under("pruning.", tensors))
    state.random = _saved_random(tensors)


def _under(beginning: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, by the rest of their names."""
    return {name.removeprefix(beginning): tensor for name, tensor in tensors.items() if name.startswith(beginning)}


def _methods(state: TrainState) -> dict[str, _Method]:
    """What of the state is told by plain values."""
    methods: dict[str, _Method] = {
        "schedule": state.schedule,
        "thawing": state.thawing,
        "weighting": state.weighting,
    }
    return methods if state.surgery is None else {**methods, "surgery": state.surgery}


def _parameter_names(state: TrainState) -> list[str]:
    """The parameters' names in the order in which torch numbers them in an optimizer's state."""
    return [name for group in state.optimizer.param_groups for name in group["names"]]


def _optimizer_state(state: TrainState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    saved = state.optimizer.state_dict()
    names = _parameter_names(state)
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for index, values in saved["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{names[index]}.{key}"] = value.contiguous()
            else:
                plain.setdefault(names[index], {})[key] = value
    scaler = state.optimizer.scaler
    return tensors, {
        "groups": [{key: value for key, value in group.items() if key != "params"} for group in saved["param_groups"]],
        "values": plain,
        "scaler": scaler.state_dict() if scaler is not None else None,
    }


def _load_optimizer_state(state: TrainState, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    index = {name: i for i, name in enumerate(_parameter_names(state))}
    values: dict[int, dict[str, Any]] = {index[name]: dict(rest) for name, rest in plain["values"].items()}
    for full_name, tensor in tensors.items():
        if full_name.startswith("optimizer."):
            name, key = full_name.removeprefix("optimizer.").rsplit(".", 1)
            values.setdefault(index[name], {})[key] = tensor
    groups = []
    for group in plain["groups"]:
        # torch checks the numbering; JSON has made lists of tuples such as betas.
        numbered = [index[name] for name in group["names"]]
        groups.append({key: tuple(v) if key == "betas" else v for key, v in group.items()} | {"params": numbered})
    state.optimizer.load_state_dict({"state": values, "param_groups": groups})
    if plain["scaler"] is not None and state.optimizer.scaler is not None:
        state.optimizer.scaler.load_state_dict(plain["scaler"])


def random_state(device: str) -> dict[str, Tensor]:
    """The states of torch's generators in this process, by device."""
    states = {"cpu": torch.get_rng_state()}
    if device == "cuda":
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: Mapping[str, Tensor]) -> None:
    """Put the generators where :func:`random_state` found them."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _saved_random(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    by_rank: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("random."):
            _, rank, device = name.split(".")
            by_rank.setdefault(int(rank), {})[device] = tensor
    return [by_rank[rank] for rank in sorted(by_rank)]
