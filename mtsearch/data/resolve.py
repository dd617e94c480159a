"""From a ``data`` field to examples: find the data, read it, and notice what is odd about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtsearch.data.columns import Columns, choose_columns
from mtsearch.data.examples import DataSet, Split, Wanted, WantedWords
from mtsearch.data.files import Opened, open_file
from mtsearch.data.filters import num_words
from mtsearch.data.finding import Found, find
from mtsearch.data.hub import HubSet, open_hub
from mtsearch.data.overlap import count_duplicates, count_shared
from mtsearch.data.rows import check_bad_ratio, make_examples, without_unlabelled
from mtsearch.data.source import ColumnRole, DataSource, SplitName
from mtsearch.errors import DataError

__all__ = ["describe", "load_data"]

_SPLITS: tuple[SplitName, ...] = ("train", "dev", "test")


def load_data(source: DataSource, wanted: Wanted | WantedWords, data_root: Path | None) -> DataSet:
    """The examples of a data set.

    Args:
        source: what the config says.
        wanted: what the task needs of each row.
        data_root: the folder given by ``--data`` or ``MTSEARCH_DATA``; None where none was given.

    Raises:
        DataError: the data is nowhere, unreadable, without a dev split, or has too many bad rows.
    """
    found = find(source, data_root)
    opened, remarks = _open(found)
    for split in ("train", "dev"):
        if split not in opened:
            raise DataError(
                f"{found.where}: a data set needs a {split} split, but this one has "
                f"{', '.join(opened) or 'none at all'}; name one with data.splits: {{{split}: NAME}}"
            )
    for part in opened.values():
        if not part.table.rows:  # a plainer message than one about columns, which may be missing too
            check_bad_ratio(0, part.table.refused, part.file, source.max_bad_ratio)
    splits: dict[SplitName, Split] = {}
    train_columns = _columns(opened["train"], wanted, {})
    for split, part in opened.items():
        inherited: dict[ColumnRole, str] = {} if split == "train" else _roles(train_columns)
        if split == "test" and not part.was_named and inherited["label"] not in part.table.columns:
            remarks.append(f"no test split: {part.file} has no column {inherited['label']!r}")
            continue
        columns = _columns(part, wanted, inherited)
        table = without_unlabelled(part.table, columns)
        examples, refused = make_examples(table, columns, wanted, part.file, source.max_bad_ratio)
        if table.num_unlabelled:
            remarks.append(f"{table.num_unlabelled:,} of {split} are left out, since the data set gives no label")
        splits[split] = Split(tuple(examples[: source.limit]), tuple(refused), part.file, part.sha256)
    return DataSet(
        name=source.source,
        origin=found.origin,
        where=found.where,
        note=found.note,
        splits=splits,
        shared=count_shared(splits),
        duplicates=count_duplicates(splits["train"]),
        remarks=tuple(remarks),
    )


def _open(found: Found) -> tuple[dict[SplitName, Opened], list[str]]:
    """The splits that were found, in the usual order, and remarks on those left out."""
    if isinstance(found.data, HubSet):
        opened, remarks = open_hub(found.data)
    else:
        opened, remarks = {split: open_file(part) for split, part in found.data.items()}, []
    return {split: opened[split] for split in _SPLITS if split in opened}, remarks


def _columns(part: Opened, wanted: Wanted | WantedWords, inherited: Mapping[ColumnRole, str]) -> Columns:
    # What was guessed for train holds for the other splits, so that no split takes its label from another column.
    given = {**inherited, **part.columns}
    columns = choose_columns(part.table.columns, wanted, given, part.file)
    if columns.label is None:
        names = f" ({', '.join(wanted.columns)})" if isinstance(wanted, WantedWords) else ""
        raise DataError(
            f"{part.file}: the columns must include the label under a common name{names}, but are "
            f"{', '.join(name or '(unnamed)' for name in part.table.columns)}; say which with "
            "data.columns: {label: NAME}"
        )
    return columns


def _roles(columns: Columns) -> dict[ColumnRole, str]:
    assert columns.label is not None  # by _columns
    if columns.words is not None:
        return {"words": columns.words, "label": columns.label}
    if len(columns.texts) == 1:
        return {"text": columns.texts[0], "label": columns.label}
    return {"text_a": columns.texts[0], "text_b": columns.texts[1], "label": columns.label}


def describe(data: DataSet) -> str:
    """One line for people: what was read from where and why, rows, refusals, and leaks between splits."""
    rows = ", ".join(f"{name} {_size(split)}" for name, split in data.splits.items())
    parts = [f"{data.name}: {data.note} ({data.where})", f"{rows}{'' if 'test' in data.splits else ', no test'}"]
    for name, split in data.splits.items():
        if split.refused:
            first = split.refused[0]
            more = f", and {len(split.refused) - 1:,} more" if len(split.refused) > 1 else ""
            parts.append(f"{name} refused line {first.line} ({first.reason}){more}")
    parts += [f"{count:,} of {name} also stand in train" for name, count in data.shared.items() if count]
    if data.duplicates:
        parts.append(f"{data.duplicates:,} of train repeat others")
    return "; ".join([*parts, *data.remarks])


def _size(split: Split) -> str:
    size = f"{len(split.examples):,}"
    if split.examples[0].words is None:
        return size
    return f"{size} sentences of {sum(num_words(example) for example in split.examples):,} words"
