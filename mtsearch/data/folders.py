"""The files of a data set's splits in a folder: those of the catalogue, those the user names, or a search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mtsearch.data.catalogue import Entry
from mtsearch.data.files import FilePart
from mtsearch.data.readers import ENDINGS, LAYERS
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
    return {split: _part(source, None, folder / name, split in source.splits) for split, name in names.items()}


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
    parts: dict[SplitName, FilePart] = {}
    for split, file in entry.files.items():
        if split in source.splits or not (folder / file.file).is_file():
            continue
        path = folder / file.file
        format_ = file.format if source.format == "auto" else _format(source, path)
        columns = {**file.columns, **layer_columns(source, entry, format_), **source.columns}
        parts[split] = FilePart(path, format_, columns, True, entry.names)
    for split, name in source.splits.items():
        parts[split] = _part(source, entry, folder / name, True)
    return parts


def _part(source: DataSource, entry: Entry | None, path: Path, was_named: bool) -> FilePart:
    """A file of which nothing is known but what the user says."""
    format_ = _format(source, path)
    columns = {**layer_columns(source, entry, format_), **source.columns}
    return FilePart(path, format_, columns, was_named, entry.names if entry is not None else ())


def layer_columns(source: DataSource, entry: Entry | None, format_: FileFormat | None) -> Mapping[ColumnRole, str]:
    """What the chosen layer changes in the columns.

    A catalogue set may name its layers; for any other, a layer is one of those that its format has. Where none is
    named, the kind of task looks for the one that it takes.

    Args:
        source: what the config says.
        entry: the catalogue's, if the data is one of its sets.
        format_: of the file; None for a data set of the hub.

    Raises:
        DataError: a layer that the data does not have, or none where there is no default.
    """
    layer = source.layer
    layers: Mapping[str, Mapping[ColumnRole, str]]
    if entry is not None and entry.layers:
        layer = layer or entry.default_layer
        layers = entry.layers
    elif layer is None:
        return {}
    else:
        layers = {name: {"label": name} for name in (LAYERS.get(format_, ()) if format_ else ())}
    if layer is not None and layer in layers:
        return layers[layer]
    if layers:
        raise DataError(f"data set {source.source}: data.layer must be one of {', '.join(layers)}, but is {layer!r}")
    without = f"the format {format_}" if format_ else "the hub"
    raise DataError(
        f"data set {source.source}: data.layer must be left out, since {without} has no layers, but is {layer!r}; name "
        "the label's column with data.columns: {label: NAME}"
    )
