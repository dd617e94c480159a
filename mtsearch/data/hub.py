"""Data sets of the hub, and local folders in the hub's layout, through the package ``datasets``.

Only data files are read: a loading script is never run.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import yaml

from mtsearch.config.inside import is_inside
from mtsearch.data.files import Opened
from mtsearch.data.readers import Row, Table
from mtsearch.data.readers.answers import with_answers
from mtsearch.data.source import ColumnRole, SplitName
from mtsearch.errors import DataError

__all__ = ["HUB_SECONDS", "HubSet", "hub_answers", "hub_is_off", "open_hub", "reader_is_installed"]

HUB_SECONDS = 3.0
"""How long the hub may take to answer before it counts as out of reach."""

_SPLIT_NAMES: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}


@dataclass(frozen=True)
class HubSet:
    """A data set of the hub, or a local folder in its layout.

    Attributes:
        name: ``OWNER/NAME``, or the folder's path.
        subset: the configuration, where there are several.
        splits: the hub's name for each split (``validation_matched``, ``train[:90%]``); empty takes the usual ones.
        columns: which column holds what, as far as it is known.
        labels: whether classes are called by name or by number.
    """

    name: str
    subset: str | None
    splits: Mapping[SplitName, str]
    columns: Mapping[ColumnRole, str]
    labels: Literal["names", "numbers"] = "names"

    @property
    def shown(self) -> str:
        """What messages and tables call it."""
        return self.name if Path(self.name).is_dir() else f"hub:{self.name}"


def reader_is_installed() -> bool:
    """Whether the package ``datasets`` is there (extra ``hub``)."""
    return importlib.util.find_spec("datasets") is not None


def hub_is_off() -> bool:
    """Whether the user forbids the network to the hub's libraries."""
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


@functools.cache
def hub_answers() -> bool:
    """Whether the hub answers within :data:`HUB_SECONDS`; asked once per process.

    The question runs in a thread, since no timeout of a socket covers the look-up of the name.
    """
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_ask_hub()), daemon=True)
    thread.start()
    thread.join(HUB_SECONDS)
    return answers == [True]


def _ask_hub() -> bool:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=HUB_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500  # a refusal is an answer, a broken gateway is none
    except (OSError, ValueError):
        return False


def open_hub(hub: HubSet) -> tuple[dict[SplitName, Opened], list[str]]:
    """The splits of a hub data set, and remarks on those left out.

    Raises:
        DataError: ``datasets`` is missing, or the set cannot be had or has not the splits asked for.
    """
    if not reader_is_installed():
        raise DataError(
            f"{hub.shown}: reading it needs the package datasets, which is not installed; pip install 'mtsearch[hub]'"
        )
    opened: dict[SplitName, Opened] = {}
    remarks: list[str] = []
    for split, (hub_split, rows) in _load(hub).items():
        label = hub.columns.get("label", "label")
        table = _table(rows, hub.labels, label)
        if split == "test" and split not in hub.splits and _is_unlabelled(table, label):
            remarks.append(f"no test split: {hub.shown}:{hub_split} has no labels")
            continue
        digest = sha256(repr((table.columns, table.rows)).encode("utf-8", "replace")).hexdigest()
        opened[split] = Opened(table, f"{hub.shown}:{hub_split}", digest, hub.columns, split in hub.splits)
    return opened, remarks


def _load(hub: HubSet) -> dict[SplitName, tuple[str, Any]]:
    """Per split its name on the hub and its ``datasets.Dataset``."""
    import datasets

    try:
        if (folder := Path(hub.name)).is_dir():
            _refuse_files_elsewhere(folder)
        with _no_progress_bars():
            if hub.splits:
                names = dict(hub.splits)
                loaded = {name: datasets.load_dataset(hub.name, hub.subset, split=name) for name in names.values()}
            else:
                loaded = datasets.load_dataset(hub.name, hub.subset)
                names = {
                    split: next(candidate for candidate in candidates if candidate in loaded)
                    for split, candidates in _SPLIT_NAMES.items()
                    if any(candidate in loaded for candidate in candidates)
                }
    # The library raises its own, its dependencies' and builtin errors alike; each means that the set cannot be had.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(f"{hub.shown}: the data set cannot be loaded ({reason})") from error
    return {split: (name, loaded[name]) for split, name in names.items()}


def _refuse_files_elsewhere(folder: Path) -> None:
    """A folder's description of itself may name its files by addresses, which ``datasets`` would follow."""
    from huggingface_hub import DatasetCard

    card, rest = folder / "README.md", folder / ".huggingface.yaml"
    told = DatasetCard.load(card).data.to_dict() if card.is_file() else {}
    told |= (yaml.safe_load(rest.read_text(encoding="utf-8")) or {}) if rest.is_file() else {}
    for config in told.get("configs") or ():
        for name in _texts([config.get("data_files"), config.get("data_dir")]):
            if not is_inside(name) or ":" in name:
                raise ValueError(f"it names {name!r}, but its files must be in the folder")


def _texts(value: Any) -> Iterator[str]:
    """All texts in nested data."""
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    import datasets

    were_on = datasets.are_progress_bars_disabled() is False
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if were_on:
            datasets.enable_progress_bars()


def _table(rows: Any, labels: Literal["names", "numbers"], label: str) -> Table:
    """The columns of a ``datasets.Dataset`` that examples are made of.

    They are strings, numbers and classes, lists of strings or classes, and answers to questions, which are then as
    SQuAD's reader gives them. Rows whose class in the column ``label`` is hidden are left out and counted.
    """
    import datasets

    features = {name: feature for name, feature in rows.features.items() if _is_read(feature)}
    values = rows.select_columns(list(features))[:] if features else {}
    columns = [_cells(values[name], feature, labels) for name, feature in features.items()]
    table_rows: list[Row] = list(enumerate(zip(*columns, strict=True), 1))
    labelled = table_rows
    if isinstance(features.get(label), datasets.ClassLabel):
        at = list(features).index(label)
        labelled = [row for row in table_rows if row[1][at] is not None]
    return with_answers(Table(tuple(features), labelled, num_unlabelled=len(table_rows) - len(labelled)))


def _is_read(feature: Any) -> bool:
    import datasets

    if isinstance(feature, datasets.List):
        inner = feature.feature
        return isinstance(inner, datasets.ClassLabel) or inner == datasets.Value("string")
    if isinstance(feature, dict):
        return set(feature) == {"text", "answer_start"}
    return isinstance(feature, datasets.Value | datasets.ClassLabel)


def _cells(values: list[Any], feature: Any, labels: Literal["names", "numbers"]) -> list[Any]:
    """The values of a column, or of a list in it, with classes as text."""
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        return [_class(value, feature, labels) for value in values]
    if isinstance(feature, datasets.List) and isinstance(feature.feature, datasets.ClassLabel):
        return [None if value is None else _cells(value, feature.feature, labels) for value in values]
    return values


def _class(value: int | None, feature: Any, labels: Literal["names", "numbers"]) -> str | None:
    """A class as text; None for -1, with which the hub marks a hidden label."""
    if value is None or value < 0:
        return None
    return str(feature.int2str(value)) if labels == "names" else str(value)


def _is_unlabelled(table: Table, label: str) -> bool:
    if label not in table.columns:
        return False
    at = table.columns.index(label)
    return all(values[at] in (None, -1) for _, values in table.rows)
