"""Relative paths in a space are those of the driver, once and for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace
from mtsearch.config.trial import TrialConfig

NAME = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an encoder and some data."""
    for name in ("encoders/small", "data/reviews", "exports/tagger", "runs/joint"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def space(*overrides: str, data: Any = "sst5", **sections: Any) -> SearchSpace:
    tasks = {"sentiment": {"kind": "classification", "data": data}}
    return load_space({"tasks": tasks, **sections}, overrides)


def config(*overrides: str, data: Any = "sst5", **sections: Any) -> TrialConfig:
    return space(*overrides, data=data, **sections).single_config()


def test_what_is_there_and_what_looks_like_a_path_becomes_absolute(here: Path) -> None:
    pruning = {"name": "l0", "mode": "static", "strength": 0.1, "source": "runs/joint"}
    found = config(
        encoder={"model": "encoders/small"},
        data="./data/reviews",
        tags={"name": "exported", "folder": "../elsewhere"},
        pruning=pruning,
    )
    assert found.encoder.model == str(here / "encoders/small")
    assert found.tasks["sentiment"].data.source == str(here / "data/reviews")
    assert found.tags.folder == str(here.parent / "elsewhere")  # type: ignore[union-attr]
    assert found.pruning.source == str(here / "runs/joint")
    assert config(data={"source": "data/reviews"}).tasks == config(data="data/reviews").tasks


def test_names_stay_and_so_do_absolute_paths(here: Path) -> None:
    found = config(encoder={"model": NAME}, tags={"name": "spacy"})
    assert (found.encoder.model, found.tags.pipeline) == (NAME, "en_core_web_sm")  # type: ignore[union-attr]
    assert found.tasks["sentiment"].data.source == "sst5"
    assert config(data="sample:sentiment").tasks["sentiment"].data.source == "sample:sentiment"
    assert config(data=str(here / "nowhere")).tasks["sentiment"].data.source == str(here / "nowhere")


def test_the_home_folder_is_the_drivers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert config(encoder={"model": "~/encoders/small"}).encoder.model == str(here / "encoders/small")


def test_an_override_means_the_same_folder(here: Path) -> None:
    assert config("encoder.model=encoders/small").encoder.model == str(here / "encoders/small")


def test_an_option_keeps_its_name_and_its_place_among_start_points(here: Path) -> None:
    searched = space(
        encoder={"model": {"choice": [NAME, "encoders/small"]}},
        search={"start": [{"encoder.model": "encoders/small"}]},
    )
    (start,) = searched.start_params()
    assert start == {"encoder.model": "encoders/small"}
    assert searched.config_from_params(start).encoder.model == str(here / "encoders/small")


def test_a_resolved_space_says_the_same_from_another_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = space(encoder={"model": {"choice": [NAME, "encoders/small"]}}, data="./data/reviews")
    (here / "resolved.yaml").write_text(searched.to_yaml(), encoding="utf-8")
    monkeypatch.chdir(here / "runs")
    again = load_space(here / "resolved.yaml")
    assert again.identity() == searched.identity()
    assert again.config(again.default).config_hash() == searched.config(searched.default).config_hash()


def test_another_folder_is_another_space(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = space(data="./data/reviews").identity()
    monkeypatch.chdir(here / "runs")
    assert space(data="./data/reviews").identity() != first
