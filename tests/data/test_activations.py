"""The files of activations: shared, immutable, and never in the way of a trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mtsearch.data.activations import Activations
from mtsearch.data.cache import cache_folder

LENGTHS = np.array([3, 1, 4, 2, 5], dtype=np.int64)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))


def vectors(*rows: int, dtype: torch.dtype = torch.float32) -> dict[int, Tensor]:
    return {row: torch.full((int(LENGTHS[row]), 2), row + 0.5, dtype=dtype) for row in rows}


def parts() -> list[Path]:
    return sorted((cache_folder() / "activations").glob("*/*"))


def missing(kept: Activations) -> list[int]:
    return kept.missing(np.arange(len(LENGTHS))).tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("written", [False, True])
def test_rows_come_back_padded_with_zeros(dtype: torch.dtype, written: bool) -> None:
    kept = Activations("k", LENGTHS)
    kept.add(vectors(0, 2, dtype=dtype))
    if written:
        kept.publish()
    padded = kept.padded(np.array([2, 1, 0, 2]), 4, vectors(1, dtype=dtype))
    expected = torch.zeros(4, 4, 2, dtype=dtype)
    for i, row in enumerate((2, 1, 0, 2)):
        expected[i, : LENGTHS[row]] = row + 0.5
    assert padded.dtype == dtype
    assert torch.equal(padded, expected)


def test_what_is_missing_is_named_once() -> None:
    kept = Activations("k", LENGTHS)
    kept.add(vectors(1))
    assert kept.missing(np.array([4, 1, 0, 4])).tolist() == [0, 4]


def test_another_trial_finds_what_was_published_and_under_its_key_only() -> None:
    kept = Activations("k", LENGTHS)
    kept.add(vectors(0, 3))
    assert missing(Activations("k", LENGTHS)) == [0, 1, 2, 3, 4]
    kept.publish()
    assert missing(Activations("k", LENGTHS)) == [1, 2, 4]
    assert missing(Activations("other", LENGTHS)) == [0, 1, 2, 3, 4]


def test_two_trials_at_once_add_to_each_other() -> None:
    one, other = Activations("k", LENGTHS), Activations("k", LENGTHS)
    one.add(vectors(0, 1))
    other.add(vectors(1, 2))
    one.publish()
    other.publish()  # finds row 1, and writes row 2 alone
    assert missing(other) == [3, 4]
    assert missing(one) == [2, 3, 4]
    one.add(vectors(3))
    one.publish()
    assert missing(one) == [4]
    assert len(parts()) == 3
    assert torch.equal(one.padded(np.array([2]), 4, {})[0], vectors(2)[2])


def test_nothing_new_writes_nothing() -> None:
    kept = Activations("k", LENGTHS)
    kept.publish()
    kept.add(vectors(0))
    kept.publish()
    kept.publish()
    assert len(parts()) == 1


@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
def test_a_damaged_part_is_as_good_as_none(damage: str) -> None:
    kept = Activations("k", LENGTHS)
    kept.add(vectors(0, 1))
    kept.publish()
    (part,) = parts()
    content = part.read_bytes()
    part.unlink()  # a new file, since the old one is mapped
    part.write_bytes({"truncated": content[:-5], "empty": b"", "other": b"{}" * 100}[damage])
    assert missing(Activations("k", LENGTHS)) == [0, 1, 2, 3, 4]


def test_what_is_deleted_stays_readable_for_those_that_have_it_open() -> None:
    kept = Activations("k", LENGTHS)
    kept.add(vectors(2))
    kept.publish()
    parts()[0].unlink()
    assert torch.equal(kept.padded(np.array([2]), 4, {})[0], vectors(2)[2])


def test_the_files_are_mapped_not_read() -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not tell what a process has mapped")
    kept = Activations("k", LENGTHS)
    kept.add(vectors(0))
    kept.publish()
    assert str(parts()[0]) in maps.read_text()


def test_a_full_cache_is_an_error_that_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE_BYTES", "10")
    kept = Activations("k", LENGTHS)
    kept.add(vectors(0))
    with pytest.raises(OSError, match="the cache has reached its limit"):
        kept.publish()
    assert parts() == []


def test_a_write_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtsearch.data.activations.os.fsync", full)
    kept = Activations("k", LENGTHS)
    kept.add(vectors(0))
    with pytest.raises(OSError, match="No space left on device"):
        kept.publish()
    assert parts() == []
