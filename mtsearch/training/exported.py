"""The folder that an export writes, and the model that is read from it: nothing else on disk is needed.

::

    model.safetensors    the encoder, under its own parameters' names, with its attention heads cut
    config.json          the encoder's configuration, as it was whole    tokenizer.json ..  its tokenizer
    heads.safetensors    task heads and extensions, by the names that they have in the model
    tagger/              where the encoder sees tags by another export, that export
    manifest.json        config, inventories, kept attention heads, hashes    README.md  the model card
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import EncoderError, RunError
from mtsearch.model.encoder import EncoderSource, build_encoder
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.pruned import RunTimeGates, cut_heads
from mtsearch.model.sublayers import find_sublayers
from mtsearch.tasks.contract import Inventory
from mtsearch.training.assembly import assemble
from mtsearch.training.tagging import TrialTags

__all__ = [
    "CARD",
    "ENCODER",
    "FORMAT",
    "GATES",
    "HEADS",
    "KEPT",
    "MANIFEST",
    "SEAL",
    "TAGGER",
    "VERSION",
    "copy_export",
    "encoder_source",
    "is_export",
    "load_exported",
    "read_manifest",
    "seal",
    "sha256",
]

FORMAT, VERSION = "mtsearch export", 1
MANIFEST, ENCODER, HEADS = "manifest.json", "model.safetensors", "heads.safetensors"
CARD, TAGGER = "README.md", "tagger"
KEPT = "kept_attention_heads"
SEAL = "manifest_sha256"  # in the metadata of the task heads' weights, which the manifest in turn has the hash of
GATES = "extensions.pruning.gates"  # those that the weights cannot hold


def is_export(folder: Path) -> bool:
    """Whether a folder claims to be an export, whatever it holds."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What ``manifest.json`` says, once the files are found to be those that it is about.

    Raises:
        RunError: it is damaged or of a newer version, or a file is missing or not as it was written.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}")
        version = int(manifest["version"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise RunError(
            f"{folder / MANIFEST}: must be that of an mtsearch export, but reading it gave: {error}"
        ) from error
    if version > VERSION:
        raise RunError(
            f"{folder}: version {version} of the export format, but this mtsearch reads up to {VERSION}; "
            "install a newer one"
        )
    hashes = manifest.get("sha256")
    if not isinstance(hashes, dict) or not {ENCODER, HEADS} <= hashes.keys():
        raise RunError(f"{folder / MANIFEST}: sha256 must tell of {ENCODER} and {HEADS}; export the model again")
    for name, told in hashes.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise RunError(f"{folder}: must hold {name}, but does not{_pickles(folder)}; export the model again")
        if sha256(path) != told:
            raise RunError(f"{path}: is not the file that {MANIFEST} was written for; export the model again")
    with safe_open(folder / HEADS, "pt") as file:
        if (file.metadata() or {}).get(SEAL) != seal(manifest):
            raise RunError(f"{folder / MANIFEST}: is not as it was written with the weights; export the model again")
    return manifest


def seal(manifest: Mapping[str, Any]) -> str:
    """The hash of all that a manifest says but for the hashes of files."""
    said = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _pickles(folder: Path) -> str:
    found = sorted(path.name for kind in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(kind))
    return f" ({found[0]} may be a pickle, which could run code and is never loaded)" if found else ""


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_export(folder: Path, target: Path) -> None:
    """Copy an export's own files, whatever else may lie beside them.

    Raises:
        RunError: as for :func:`read_manifest`.
    """
    names = [*read_manifest(folder)["sha256"], MANIFEST, *([CARD] if (folder / CARD).is_file() else [])]
    target.mkdir()
    for name in names:
        shutil.copy(folder / Path(name).name, target)
    if is_export(folder / TAGGER):
        copy_export(folder / TAGGER, target / TAGGER)


def encoder_source(folder: Path, manifest: Mapping[str, Any]) -> EncoderSource:
    """An export's folder as an encoder's."""
    return EncoderSource(str(folder), folder, "folder", manifest["sha256"][ENCODER][:16])


def load_exported(
    folder: Path,
    manifest: Mapping[str, Any],
    config: TrialConfig,
    inventories: Mapping[str, Inventory],
    tags: TrialTags | None,
) -> MultitaskModel:
    """The model of an export.

    Args:
        folder: the export.
        manifest: of :func:`read_manifest`.
        config: that the manifest tells.
        inventories: that the manifest tells.
        tags: that the manifest tells.

    Raises:
        RunError: the manifest and the weights do not fit together.
    """
    weights, others = _read(folder / ENCODER), _read(folder / HEADS)
    told = manifest.get(KEPT)
    kept = None if told is None else tuple(tuple(heads) for heads in told)
    try:
        encoder = build_encoder(encoder_source(folder, manifest))
        if kept is not None:
            cut_heads(kept, find_sublayers(encoder, find_layers(encoder).layers, "pruning"))
    except EncoderError as error:
        raise RunError(f"{folder}: {error}") from error
    except ValueError as error:
        raise RunError(f"{folder / MANIFEST}: {KEPT} must fit the encoder: {error}; export the model again") from error
    extensions = {name: method.build for name, method in config.extensions().items() if name != "pruning"}
    if kept is not None and GATES in others:
        extensions["pruning"] = partial(RunTimeGates, others[GATES], kept)
    _load(folder / ENCODER, weights, encoder)
    model = assemble(encoder, config, inventories, extensions, {} if tags is None else tags.names)
    own = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    _load(folder / HEADS, {**own, **others}, model)
    return model


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: must be safetensors, but reading it gave: {error}; export the model again") from error


def _load(path: Path, tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Fill a module, which must want these tensors and no others."""
    own = module.state_dict()
    unlike = sorted(name for name in {*own, *tensors} if _shape(own, name) != _shape(tensors, name))
    if unlike:
        name = unlike[0]
        raise RunError(
            f"{path}: must hold the tensors of the model that {MANIFEST} describes, but {len(unlike)} differ: {name} "
            f"should be {_shape(own, name)}, and is {_shape(tensors, name)}; export the model again"
        )
    module.load_state_dict(dict(tensors))


def _shape(tensors: Mapping[str, Tensor], name: str) -> list[int] | str:
    return list(tensors[name].shape) if name in tensors else "absent"
