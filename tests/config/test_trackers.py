from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError

TASKS = {"sentiment": {"kind": "classification", "data": "sst5"}}


def space(trackers: Any) -> SearchSpace:
    return load_space({"name": "space", "tasks": TASKS, "search": {"trackers": trackers}})


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: True if name in ("mlflow", "wandb") else find(name, *rest)
    )


@pytest.mark.usefixtures("_installed")
def test_a_tracker_is_named_or_given_with_its_settings(tmp_path: Path) -> None:
    assert space(["mlflow"]).search.trackers == space([{"name": "mlflow"}]).search.trackers
    mlflow, wandb = space([{"name": "mlflow", "experiment": "films"}, "wandb"]).search.trackers
    assert (mlflow.name, wandb.name) == ("mlflow", "wandb")
    (tmp_path / "resolved.yaml").write_text(space([mlflow.model_dump(), "wandb"]).to_yaml(), encoding="utf-8")
    assert load_space(tmp_path / "resolved.yaml").search.trackers == (mlflow, wandb)


@pytest.mark.usefixtures("_installed")
def test_a_password_of_a_tracking_server_is_used_but_nowhere_written() -> None:
    it = space([{"name": "mlflow", "uri": "https://me:hunter2@host/x"}])
    (tracker,) = it.search.trackers
    assert tracker.uri == "https://me:hunter2@host/x"
    assert "hunter2" not in it.to_yaml() + repr(it) + str(it.identity())
    assert "uri: https://me@host/x" in it.to_yaml()


@pytest.mark.usefixtures("_installed")
def test_a_search_stays_the_same_whoever_is_told_of_it() -> None:
    assert space(["mlflow"]).identity() == space([]).identity()


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        (["wanda"], "search.trackers.0.name: 'wanda' is not a tracker; choose mlflow or wandb"),
        (["mlflow", {"name": "mlflow"}], "must name each tracker once, but got mlflow, mlflow; leave one out"),
        ([{"name": "wandb", "projet": "x"}], "search.trackers.0.projet: unknown key; did you mean project?"),
        ("mlflow", "search.trackers: must be a list"),
    ],
)
def test_a_mistake_is_told_in_one_line(trackers: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        space(trackers)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_package_that_is_missing_is_told_when_the_space_is_loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(ConfigError) as error:
        space([name])
    assert f"needs the package {name}, which is not installed; pip install 'mtsearch[{name}]'" in str(error.value)
