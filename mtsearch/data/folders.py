"""The files of a data set's splits in a folder: those of the catalogue, those the user names, or a search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mtsearch.data.catalogue import Entry
from mtsearch.data.files import FilePart
from mtsearch.data.readers import ENDINGS
from mtsearch.data.source import ColumnRole, DataSource, FileFormat, SplitName
from mtsearch.errors import DataError

__all__ = ["entry_parts", "layer_columns", "missing_files", "searched_parts"]

_SPLIT_WORDS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "test": "test",
}


def searched_parts(source: DataSource, folder: Path) -> dict[SplitName, FilePart]:
    """The files of any folder: those that the user names, and for other splits those whose names say so.

    Raises:
        DataError: there is no file for train or dev, or more than one for a split.
    """
    names = {**_search(folder, source), **source.splits}
    for split in ("train", "dev"):
        if split not in names:
            words = " or ".join(word for word, meant in _SPLIT_WORDS.items() if meant == split)
            raise DataError(
                f"{folder}: a data set needs a {split} split, but no file of the folder is named {words} and ends in "
                f"{', '.join(ENDINGS)}; say data.splits: {{{split}: FILE}}"
            )
    return {
        split: FilePart(folder / name, _format(source, folder / name), source.columns, split in source.splits)
        for split, name in names.items()
    }


def _search(folder: Path, source: DataSource) -> dict[SplitName, str]:
    """The files whose names hold a word for one split and no other, for the splits that the user does not name."""
    endings = ENDINGS if source.format == "auto" else (*ENDINGS, ".txt")
    candidates: dict[SplitName, list[str]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    for path in paths:
        meant = {_SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", path.stem.lower()) if word in _SPLIT_WORDS}
        if path.suffix.lower() in endings and len(meant) == 1:
            candidates.setdefault(meant.pop(), []).append(path.name)
    found: dict[SplitName, str] = {}
    for split, names in candidates.items():
        exact = [name for name in names if Path(name).stem.lower() in _SPLIT_WORDS]
        if len(exact or names) > 1 and split not in source.splits:
            raise DataError(
                f"{folder}: one file must be the {split} split, but {', '.join(exact or names)} could all be; "
                f"say data.splits: {{{split}: FILE}}"
            )
        found[split] = (exact or names)[0]
    return found


def _format(source: DataSource, path: Path) -> FileFormat:
    if source.format == "hub":
        raise DataError(f"{path}: format: hub reads a folder in the hub's layout, but this is a file; drop data.format")
    if source.format != "auto":
        return source.format
    if path.suffix.lower() not in ENDINGS:
        raise DataError(
            f"{path}: the ending must be one of {', '.join(ENDINGS)}, but is {path.suffix or 'missing'}; "
            "say how to read it with data.format"
        )
    return ENDINGS[path.suffix.lower()]


def missing_files(entry: Entry, source: DataSource, folder: Path) -> list[str]:
    """The files that a folder lacks; a test file is needed only where the user names it."""
    names = {split: file.file for split, file in entry.files.items() if split != "test"} | source.splits
    return [name for name in names.values() if not (folder / name).is_file()]


def entry_parts(entry: Entry, source: DataSource, folder: Path) -> dict[SplitName, FilePart]:
    """The files of a catalogue set, with the user's own in place of some."""
    layer = layer_columns(entry, source)
    parts: dict[SplitName, FilePart] = {}
    for split, file in entry.files.items():
        if split in source.splits or not (folder / file.file).is_file():
            continue
        path = folder / file.file
        format_ = file.format if source.format == "auto" else _format(source, path)
        parts[split] = FilePart(path, format_, {**file.columns, **layer, **source.columns}, True)
    for split, name in source.splits.items():
        parts[split] = FilePart(folder / name, _format(source, folder / name), {**layer, **source.columns}, True)
    return parts


def layer_columns(entry: Entry, source: DataSource) -> Mapping[ColumnRole, str]:
    """What the chosen layer changes in the columns; raises DataError for a layer that the set does not have."""
    layer = source.layer or entry.default_layer
    if layer is None and not entry.layers:
        return {}
    if layer is None or layer not in entry.layers:
        raise DataError(
            f"data set {source.source}: data.layer must be "
            f"{'one of ' + ', '.join(entry.layers) if entry.layers else 'left out, since the set has one annotation'}, "
            f"but is {layer!r}"
        )
    return entry.layers[layer]
