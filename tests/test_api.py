"""What is looked at before the first trial starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtsearch
from mtsearch.api import _one_at_a_time
from mtsearch.config.load import load_space
from mtsearch.errors import RunError
from mtsearch.training import preflight

OF: dict[str, Any] = {
    "mood": {"kind": "classification", "data": "sst5"},
    "same": {"kind": "pair_classification", "data": {"choice": ["quora", "other"]}},
    "near": {"kind": "pair_regression", "data": "stsb", "low": 0.0, "high": 5.0},
}
APART = {"algorithm": {"name": "grid"}, "scheduler": {"name": "none"}}


def looked_at(tasks: dict[str, Any], **sections: Any) -> list[list[str]]:
    configs = _one_at_a_time(load_space({"tasks": tasks, "search": APART, **sections}))
    return [[f"{name}={task.data.source}" for name, task in config.tasks.items()] for config in configs]


def test_every_data_set_is_looked_at_once_whatever_the_sets_of_tasks_are() -> None:
    alone_first = looked_at({"subsets": {"of": OF, "sizes": [1, 2, 3]}})
    assert alone_first == [["mood=sst5"], ["same=quora"], ["near=stsb"], ["same=other"]]
    joint_first = looked_at({"subsets": {"of": OF, "sizes": [3, 1]}})
    assert joint_first == [["mood=sst5", "same=quora", "near=stsb"], ["mood=sst5", "same=other", "near=stsb"]]


def test_every_encoder_is_looked_at() -> None:
    found = _one_at_a_time(
        load_space(
            {
                "tasks": {"subsets": {"of": OF, "sizes": [1]}},
                "encoder": {"model": {"choice": ["a", "b"]}},
                "search": APART,
            }
        )
    )
    assert {config.encoder.model for config in found} == {"a", "b"}


def test_a_finished_run_says_so_before_data_and_weights_are_read(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(training={"epochs": 1})
    mtsearch.train(config, runs=tmp_path, data=tiny_data)

    def read(*_: Any) -> None:
        raise AssertionError("data and weights are read")

    monkeypatch.setattr(preflight, "preflight", read)
    with pytest.raises(RunError, match=r"this run is finished \(the one trial is done\); begin another with --name"):
        mtsearch.train(config, runs=tmp_path, data=tiny_data)
    with pytest.raises(RunError, match=r"a run folder belongs to one space, but .* search\.scheduler\.name"):
        mtsearch.search(config, runs=tmp_path, data=tiny_data)
