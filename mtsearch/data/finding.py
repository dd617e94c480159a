"""Where a task's data is: a path, then the data folder, then the hub, then the sample corpus.

The sample stands in only where neither a path nor a data folder was given, and what is found always says
by which rule: a run never passes from real data to generated data unseen.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtsearch.data import sample
from mtsearch.data.cache import cache_folder
from mtsearch.data.catalogue import CATALOGUE, Entry
from mtsearch.data.examples import Origin
from mtsearch.data.files import FilePart
from mtsearch.data.folders import entry_parts, layer_columns, missing_files, searched_parts
from mtsearch.data.hub import HUB_SECONDS, HubSet, hub_answers, hub_is_off, reader_is_installed
from mtsearch.data.source import DataSource, FileFormat, SplitName
from mtsearch.errors import DataError

__all__ = ["Found", "find"]

_SAMPLE_SEED = 13
_SAMPLE_FILES: Mapping[str, tuple[str, FileFormat]] = {  # layer -> ending and format of its files
    **dict.fromkeys(sample.LABELLED_LAYERS, (".csv", "cs224n")),
    "treebank": (".conllu", "conllu"),
    "entities": (".conll", "columns"),
    "constituents": (".ptb", "brackets"),
    "propositions": (".conll", "props"),
    "questions": (".json", "squad"),
}


@dataclass(frozen=True)
class Found:
    """Where a data set is.

    Attributes:
        origin: which rule found it.
        where: the folder or hub name.
        note: how it was found and why, for people.
        data: the file of each split, or a data set of the hub.
    """

    origin: Origin
    where: str
    note: str
    data: dict[SplitName, FilePart] | HubSet


def find(source: DataSource, data_root: Path | None) -> Found:
    """Where the data of ``source`` is.

    Args:
        source: what the config says.
        data_root: the folder given by ``--data`` or ``MTSEARCH_DATA``.

    Raises:
        DataError: it is nowhere, or incomplete; the message names what was looked for.
    """
    if data_root is not None and not data_root.is_dir():
        raise DataError(f"--data or MTSEARCH_DATA must name a folder, but {data_root} is none")
    found = _find(source, data_root)
    if source.subset is not None and not isinstance(found.data, HubSet):
        raise DataError(
            f"data set {source.source}: subset chooses a configuration of a hub data set, but the data is files "
            f"({found.where}); drop data.subset"
        )
    return found


def _find(source: DataSource, data_root: Path | None) -> Found:
    scheme, colon, rest = source.source.partition(":")
    if colon and scheme == "hub":
        return _on_hub(source, rest)
    if colon and scheme == "sample":
        return _in_sample(source, rest, "sample corpus (generated), as the config names it")
    path = Path(os.path.expanduser(source.source))
    if path.exists():
        return _at_path(source, path, "path", "from a path")
    entry = CATALOGUE.get(source.source)
    if data_root is not None:
        return _in_data_folder(source, entry, data_root)
    if entry is None:
        raise DataError(_nowhere(source.source, "no file or folder here"))
    return _without_files(source, entry)


def _nowhere(name: str, looked: str) -> str:
    close = difflib.get_close_matches(name, CATALOGUE, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return (
        f"data set {name!r}: {looked}, and not one of the catalogue ({', '.join(CATALOGUE)}); {hint}"
        "give a folder, a catalogue name, hub:OWNER/NAME or sample:LAYER"
    )


# A path, and the data folder


def _at_path(source: DataSource, path: Path, origin: Origin, note: str) -> Found:
    if not path.is_dir():
        raise DataError(
            f"{path}: a data set needs files for train and dev, but this is one file; say data: "
            f"{{source: {path.parent}, splits: {{train: {path.name}, dev: OTHER}}}}"
        )
    if source.format == "hub" or (source.format == "auto" and not source.splits and _is_hub_layout(path)):
        _refuse_layer(source)
        return Found(origin, str(path), note, HubSet(str(path), source.subset, source.splits, source.columns))
    entry = CATALOGUE.get(path.name.lower())
    if entry is not None and not missing_files(entry, source, path):
        return Found(origin, str(path), note, entry_parts(entry, source, path))
    return Found(origin, str(path), note, searched_parts(source, path))


def _is_hub_layout(folder: Path) -> bool:
    return any(folder.glob("*.parquet")) or any(folder.glob("*/*.parquet"))


def _refuse_layer(source: DataSource) -> None:
    if source.layer is not None:
        raise DataError(
            f"data set {source.source}: layer chooses an annotation of files, but this is a data set of the hub; "
            "name the label's column with data.columns: {label: NAME}"
        )


def _in_data_folder(source: DataSource, entry: Entry | None, data_root: Path) -> Found:
    note = "from the data folder"
    if entry is None:
        if not (data_root / source.source).exists():
            raise DataError(_nowhere(source.source, f"no file or folder here or in the data folder {data_root}"))
        return _at_path(source, data_root / source.source, "data folder", note)
    folders = [data_root / folder for folder in entry.folders]
    missing = [missing_files(entry, source, folder) for folder in folders]
    for folder, absent in zip(folders, missing, strict=True):
        if not absent:
            return Found("data folder", str(folder), note, entry_parts(entry, source, folder))
    absent = min(missing, key=len)
    nearest = folders[missing.index(absent)]
    elsewhere = " or ".join(str(folder) for folder in folders if folder != nearest)
    raise DataError(
        f"data set {source.source}: the data folder must have {' and '.join(str(nearest / name) for name in absent)}"
        f"{f' (or its files in {elsewhere})' if elsewhere else ''}, but has not; add them, name other files with "
        "data.splits, or drop --data and MTSEARCH_DATA"
    )


# The hub, and the sample corpus


def _on_hub(source: DataSource, name: str) -> Found:
    _refuse_layer(source)
    if source.format not in ("auto", "hub"):
        raise DataError(f"{source.source}: data.format is for files, but this is a data set of the hub; drop it")
    if reader_is_installed() and not hub_is_off() and not hub_answers():
        raise DataError(
            f"{source.source}: the hub did not answer within {HUB_SECONDS:g} s; to read a copy that was downloaded "
            "before set HF_HUB_OFFLINE=1, or give a folder"
        )
    return Found("hub", name, "from the hub", HubSet(name, source.subset, source.splits, source.columns))


def _without_files(source: DataSource, entry: Entry) -> Found:
    """A catalogue set for which neither a path nor a data folder was given: from the hub, else from the sample."""
    if source.splits or source.format != "auto":
        raise DataError(
            f"data set {source.source}: splits and format describe files, but there is no folder {source.source} here "
            "and no data folder; give one with --data or MTSEARCH_DATA"
        )
    if entry.hub is None:
        why = "it is not on the hub"
    elif not reader_is_installed():
        why = "the package datasets, which reads the hub, is not installed"
    elif hub_is_off():
        why = "HF_HUB_OFFLINE is set"
    elif not hub_answers():
        why = "the hub did not answer"
    else:
        hub = entry.hub
        columns = {**hub.columns, **layer_columns(source, entry, None), **source.columns}
        return Found(
            "hub",
            hub.name if hub.subset is None else f"{hub.name} ({hub.subset})",
            "from the hub, because no --data was given",
            HubSet(hub.name, source.subset or hub.subset, hub.splits, columns, hub.labels),
        )
    if entry.sample_layer is None:
        raise DataError(
            f"data set {source.source}: no folder {source.source} here, no --data or MTSEARCH_DATA, {why}, and the "
            "sample corpus has nothing like it; give a folder with --data"
        )
    return _in_sample(source, entry.sample_layer, f"sample corpus (generated), because no --data was given and {why}")


def _in_sample(source: DataSource, layer: str, note: str) -> Found:
    if layer not in sample.LAYERS:
        raise DataError(f"{source.source}: the sample corpus has {', '.join(sample.LAYERS)}, but not {layer!r}")
    if source.format != "auto" or source.columns or source.splits or source.subset is not None:
        raise DataError(
            f"data set {source.source}: format, columns, splits and subset describe real data, but found was the "
            f"{note}; give a folder with --data, or drop them"
        )
    ending, format_ = _SAMPLE_FILES[layer]
    columns = layer_columns(source, None, format_)
    folder = _sample_folder() / layer
    parts: dict[SplitName, FilePart] = {
        split: FilePart(folder / f"{split}{ending}", format_, columns, True) for split in ("train", "dev", "test")
    }
    return Found("sample", str(folder), note, parts)


def _sample_folder() -> Path:
    """The sample corpus under the cache folder, written there if need be."""
    folder = cache_folder() / "sample" / f"{sample.VERSION}-{_SAMPLE_SEED}"
    try:
        try:
            return sample.write(folder, seed=_SAMPLE_SEED)
        except DataError:  # a damaged copy; what lies in the cache can be made again
            shutil.rmtree(folder)
            return sample.write(folder, seed=_SAMPLE_SEED)
    except OSError as error:
        raise DataError(
            f"{folder}: the sample corpus cannot be written there ({error.strerror}); name another cache folder "
            "with MTSEARCH_CACHE"
        ) from None
