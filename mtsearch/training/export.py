"""Write a trained model as a folder that needs nothing else: closed attention heads cut, gates folded, a model card."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn

from mtsearch.config.plugins import load_tables
from mtsearch.errors import RunError
from mtsearch.model.pruned import can_fold, cut_heads, fold_gates, kept_heads
from mtsearch.model.sublayers import find_sublayers
from mtsearch.tags import ExportedTags
from mtsearch.training.card import Cut, Origin, Score, dev_scores, model_card
from mtsearch.training.exported import (
    CARD,
    ENCODER,
    FORMAT,
    GATES,
    HEADS,
    KEPT,
    MANIFEST,
    SEAL,
    TAGGER,
    VERSION,
    copy_export,
    is_export,
    seal,
    sha256,
)
from mtsearch.training.latency import LENGTH, evaluated_gates, forward_ratio, rows
from mtsearch.training.trained import TrainedModel, find_tagger

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        cut: of the attention heads; None where they had no gates.
        parameters: of the whole model before, and of what was written.
        scores: on dev, as the card tells them.
    """

    folder: Path
    cut: Cut | None
    parameters: tuple[int, int]
    scores: Mapping[str, Score]


def export(
    checkpoint: Path, out: Path, origin: Origin, *, plugins: Sequence[str] = (), force: bool = False
) -> Exported:
    """Write a checkpoint's model to a folder, which appears complete or not at all.

    Args:
        checkpoint: a folder with ``model.safetensors`` and ``model.json``.
        out: the folder to write: new, empty, or with ``force`` an export.
        origin: of the checkpoint, for the card.
        plugins: the modules that the model was trained with.
        force: replace an export that is there.

    Raises:
        RunError: the checkpoint cannot be used, or ``out`` holds something else.
        OSError: ``out`` cannot be written.
    """
    out = out.expanduser().absolute()
    _check_place(out, force)
    if is_export(checkpoint):
        raise RunError(f"{checkpoint}: is an export already; copy it, or name the run that it was made from")
    trained = TrainedModel(checkpoint, plugins=plugins)
    config, model = trained.config, trained.model
    _check_tagger(trained)
    before = _size(model)
    cut, run_time_gates = _cut(trained)
    encoder = model.encoder.state_dict()
    others = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith(("encoder.", "extensions.pruning."))
    } | run_time_gates
    train_on = trained.description.get("train_on", ["train"])
    scores = {}
    if "dev" not in train_on:
        scores = dev_scores(
            config,
            trained.inventories,
            checkpoint / "predictions.parquet",
            load_tables(config.plugins).metrics,
            origin.scores,
        )

    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            **{name: value for name, value in trained.description.items() if name != "version"},
            KEPT: None if cut is None else [list(heads) for heads in cut.kept],
            "latency": None if cut is None else dict(cut.latency),
            "scores": {name: score.value for name, score in scores.items()},
        }
        save_file(_plain(encoder), temporary / ENCODER, metadata={"format": "pt"})
        save_file(_plain(others), temporary / HEADS, metadata={SEAL: seal(manifest)})
        _write_config(model.encoder, temporary)
        trained.tokenizer.save_pretrained(temporary)
        manifest["sha256"] = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        card = model_card(config, trained.inventories, trained.data_hashes, train_on, scores, cut, origin)
        (temporary / CARD).write_text(card, encoding="utf-8")
        if isinstance(config.tags, ExportedTags):
            copy_export(Path(config.tags.folder).expanduser(), temporary / TAGGER)
        for name in (ENCODER, HEADS):  # safetensors lets nobody else read what it writes
            shutil.copymode(temporary / MANIFEST, temporary / name)
        _put(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Exported(out, cut, (before, sum(tensor.numel() for tensor in (*encoder.values(), *others.values()))), scores)


def _check_place(out: Path, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not is_export(out):
        raise RunError(f"--out: {out} must be new or empty, but holds something else; choose another folder")
    if not force:
        raise RunError(f"--out: {out} must be new or empty, but holds an export; --force replaces it")


def _check_tagger(trained: TrainedModel) -> None:
    """Whether the export that gave the model its tags is still the one to take along."""
    tags = trained.config.tags
    if not isinstance(tags, ExportedTags):
        return
    tagger = find_tagger(trained.config, is_cached=False)
    assert tagger is not None
    assert trained.tags is not None
    if tagger.identity() != trained.tags.source:
        raise RunError(
            f"tags.folder: {tags.folder} must be the export that the model was trained with, but is now another; put "
            "that one back"
        )


def _put(folder: Path, out: Path) -> None:
    """Move a complete folder to its place."""
    if not out.exists():
        os.replace(folder, out)
        return
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    os.replace(out, old)
    os.replace(folder, out)
    shutil.rmtree(old)


def _cut(trained: TrainedModel) -> tuple[Cut | None, dict[str, Tensor]]:
    """Cut the closed attention heads out of the encoder; gives the gates that its weights cannot hold, too."""
    gates = evaluated_gates(trained.model)
    if not gates:
        return None, {}
    encoder, accelerator = trained.model.encoder, trained.accelerator
    sublayers = find_sublayers(encoder, trained.model.layers.layers, "pruning")
    gates_KNH = torch.stack(list(gates.values()))
    kept = kept_heads(gates_KNH, sublayers)
    latency = {
        "ratio": forward_ratio(encoder, kept, accelerator),
        "length": LENGTH,
        "rows": rows(accelerator.device),
        "device": accelerator.device.type,
        "threads": torch.get_num_threads(),
        "precision": {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision),
    }
    is_folded = can_fold(gates_KNH, sublayers)
    if is_folded:
        fold_gates(gates_KNH[0], sublayers)
    cut_heads(kept, sublayers)
    of_tasks_KNH = gates_KNH.expand(len(trained.config.tasks), -1, -1)
    return Cut(kept, sublayers[0].num_heads, is_folded, latency), {} if is_folded else {GATES: of_tasks_KNH}


def _write_config(encoder: nn.Module, folder: Path) -> None:
    config = copy.deepcopy(cast(transformers.PretrainedConfig, encoder.config))
    config.architectures = [type(encoder).__name__]
    config.save_pretrained(folder)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without memory that they share, which the format has no word for."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
