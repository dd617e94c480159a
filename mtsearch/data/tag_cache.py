"""Tags of texts in files that trials share: what tagged a text once need not tag it again.

A folder is named by all that decides the tags of a text, so it is never stale. Its files are parts: some texts each,
written whole and never changed. So processes at the same time add to one folder without waiting for each other. A
text goes by a hash of 64 bits: among a million texts two share one with a probability of 3e-8.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mtsearch.data.arrow_files import column_arrays, read_table, write_table
from mtsearch.data.cache import cache_folder, make_room
from mtsearch.data.word_tags import TagLayer, WordTags

__all__ = ["tags_of_texts"]

_PART_TEXTS = 10_000  # tagged before they are written: what a process that dies takes with it


def tags_of_texts(
    texts: Sequence[str], key: str, tag: Callable[[Sequence[str]], WordTags], layers: Sequence[TagLayer]
) -> WordTags:
    """The tags of each text, from the cache where it has them.

    Args:
        texts: any number of times each.
        key: names all that decides the tags of a text.
        tag: gives those of texts that are not in the cache.
        layers: which tags there are.
    """
    folder = cache_folder() / "tags" / hashlib.sha256(key.encode()).hexdigest()[:32]
    wanted, first, place = np.unique(_digests(texts), return_index=True, return_inverse=True)
    part_of = np.full(len(wanted), -1)  # which part has it
    at = np.zeros(len(wanted), dtype=np.int64)  # and where it stands in the joined parts
    parts: list[WordTags] = []
    num_joined = 0

    def take_in(digests: npt.NDArray[np.uint64], tags: WordTags) -> None:
        nonlocal num_joined
        _, here, there = np.intersect1d(wanted, digests, return_indices=True)
        new = part_of[here] == -1
        here, there = here[new], there[new]
        part_of[here], at[here] = len(parts), num_joined + np.arange(len(here))
        parts.append(tags.take(there))
        num_joined += len(here)

    for digests, tags in _parts(folder, layers):
        take_in(digests, tags)
    missing = np.flatnonzero(part_of == -1)
    for start in range(0, len(missing), _PART_TEXTS):
        lot = missing[start : start + _PART_TEXTS]
        tags = tag([texts[number] for number in first[lot].tolist()])
        # A full or read-only disk costs the next trial some minutes, not this one its life.
        with contextlib.suppress(OSError):
            _write(folder, wanted[lot], tags)
        take_in(wanted[lot], tags)
    if not parts:
        return WordTags.of([], layers)
    return WordTags.join(parts).take(at[place])


def _digests(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), dtype=np.uint64, count=len(texts))


def _write(folder: Path, digests: npt.NDArray[np.uint64], tags: WordTags) -> None:
    def by_text(values: npt.NDArray[np.int32]) -> pa.Array:
        return pa.LargeListArray.from_arrays(pa.array(tags.offsets), pa.array(values))

    columns = {"text": pa.array(digests), "starts": by_text(tags.starts), "ends": by_text(tags.ends)}
    columns |= {layer: by_text(numbers) for layer, numbers in tags.numbers.items()}
    table = pa.table(columns).replace_schema_metadata({"names": json.dumps(tags.names)})
    if make_room(table.nbytes, keep=folder):
        write_table(table, folder / f"{uuid.uuid4().hex}.arrow")


def _parts(folder: Path, layers: Sequence[TagLayer]) -> Iterator[tuple[npt.NDArray[np.uint64], WordTags]]:
    for path in sorted(folder.glob("*.arrow")):
        table = read_table(path)
        if table is None:  # damaged, or just deleted
            continue
        names = json.loads(table.schema.metadata[b"names"])
        starts, offsets = column_arrays(table, "starts")
        (digests,), (ends, _) = column_arrays(table, "text"), column_arrays(table, "ends")
        numbers = {layer: column_arrays(table, layer)[0] for layer in layers}
        yield digests, WordTags(offsets, starts, ends, numbers, {layer: tuple(names[layer]) for layer in layers})
