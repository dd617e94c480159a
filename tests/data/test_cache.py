"""Where the caches are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch.data.cache import cache_folder


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
