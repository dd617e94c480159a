"""Which trials are looked at before the first one starts."""

from __future__ import annotations

from typing import Any

from mtsearch.api import _one_at_a_time
from mtsearch.config.load import load_space

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
