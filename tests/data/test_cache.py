"""Where the caches are, and what goes when they outgrow their limit."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mtsearch.data.cache import cache_folder, make_room
from mtsearch.errors import DataError


def test_the_cache_folder_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", "/somewhere/else")
    assert cache_folder() == Path("/somewhere/else")


@pytest.mark.parametrize("value", ["", None])
def test_without_one_it_is_under_the_home_folder(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    if value is None:
        monkeypatch.delenv("MTSEARCH_CACHE")
    else:
        monkeypatch.setenv("MTSEARCH_CACHE", value)
    assert cache_folder() == Path("/home/someone/.cache/mtsearch")


def files_of(root: Path, sizes: dict[str, int]) -> None:
    for age, (name, size) in enumerate(reversed(sizes.items())):  # the first is the oldest
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - age, time.time() - age))


def left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))
    monkeypatch.setenv("MTSEARCH_CACHE_BYTES", "100")
    return tmp_path


def test_room_is_made_by_what_was_not_used_for_the_longest_time_of_whatever_kind(cache: Path) -> None:
    files_of(cache, {"tokens/old.arrow": 30, "activations/a/x.safetensors": 30, "tokens/new.arrow": 30})
    assert make_room(50, keep=cache / "activations/b")
    assert left(cache) == {"tokens/new.arrow"}


def test_what_is_kept_stays_and_nothing_goes_where_it_would_not_help(cache: Path) -> None:
    files_of(cache, {"activations/a/x.safetensors": 60, "tokens/new.arrow": 30})
    assert not make_room(50, keep=cache / "activations/a")
    assert left(cache) == {"activations/a/x.safetensors", "tokens/new.arrow"}
    assert make_room(40, keep=cache / "activations/a")
    assert left(cache) == {"activations/a/x.safetensors"}


def test_what_a_process_left_unfinished_goes_after_a_day(cache: Path) -> None:
    files_of(cache, {"activations/a/x.tmp": 10, "activations/a/y.tmp": 10, "tokens/z.tmp": 10})
    for name in ("activations/a/x.tmp", "tokens/z.tmp"):
        os.utime(cache / name, (time.time() - 90_000, time.time() - 90_000))
    assert make_room(0, keep=cache)
    assert left(cache) == {"activations/a/y.tmp"}


def test_a_limit_that_is_no_number_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE_BYTES", "4GB")
    with pytest.raises(DataError, match="MTSEARCH_CACHE_BYTES: must be a whole number of bytes, but got '4GB'"):
        make_room(0, keep=cache)
