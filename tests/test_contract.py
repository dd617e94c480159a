"""Every entry of every table builds, takes steps, survives a checkpoint and round-trips through JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import BaseModel

from mtsearch.config.trial import Algorithm, Scheduler, TrialConfig
from mtsearch.optimizers import Optimizer
from mtsearch.samplers import Sampler
from mtsearch.schedules import Schedule
from mtsearch.tasks import Task
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import build
from mtsearch.training.place import Place

SINGLE = {"data": "sst5"}
PAIR = {"data": "quora"}
TASKS: dict[str, dict[str, Any]] = {
    "classification": SINGLE,
    "regression": SINGLE,
    "pair_classification": PAIR,
    "pair_regression": PAIR,
}


def members(table: Any) -> list[type[BaseModel]]:
    union = get_args(table)[0]
    return list(get_args(union)) or [union]


def tag(kind: type[BaseModel], field: str) -> str:
    (value,) = get_args(kind.model_fields[field].annotation)
    return str(value)


ENTRIES = [
    *(pytest.param("optimizer", {"name": tag(kind, "name")}, id=tag(kind, "name")) for kind in members(Optimizer)),
    *(pytest.param("schedule", {"name": tag(kind, "name")}, id=tag(kind, "name")) for kind in members(Schedule)),
    *(pytest.param("sampler", {"name": tag(kind, "name")}, id=tag(kind, "name")) for kind in members(Sampler)),
    *(
        pytest.param("tasks", {"task": {"kind": tag(kind, "kind"), **TASKS[tag(kind, "kind")]}}, id=tag(kind, "kind"))
        for kind in members(Task)
    ),
]


@pytest.mark.parametrize(("section", "entry"), ENTRIES)
def test_an_entry_trains_survives_a_checkpoint_and_round_trips(
    section: str, entry: dict[str, Any], tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path
) -> None:
    config = TrialConfig.model_validate(tiny_config(**{section: entry}))
    assert TrialConfig.model_validate_json(config.model_dump_json()) == config

    whole = list(fit(build(config, Place(tmp_path / "whole", tiny_data))))
    assert whole[-1].outcome == "finished"
    cut = fit(build(config, Place(tmp_path / "cut", tiny_data)))
    first = next(cut)
    cut.close()
    resumed = build(config, Place(None, tiny_data), resume_from=latest_checkpoint(tmp_path / "cut"))
    *_, last = fit(resumed)
    assert first.scores == whole[0].scores
    assert last.scores == whole[-1].scores
    assert all(torch.isfinite(parameter).all() for parameter in resumed.state.model.parameters())


@pytest.mark.parametrize("table", [Optimizer, Schedule, Sampler, Task, Scheduler, Algorithm])
def test_every_field_of_every_entry_is_documented(table: Any) -> None:
    undocumented = [
        f"{kind.__name__}.{name}"
        for kind in members(table)
        for name, field in kind.model_fields.items()
        if not field.description and name not in ("name", "kind")
    ]
    assert undocumented == []


def test_every_tag_is_unique_in_its_table() -> None:
    for table, field in ((Optimizer, "name"), (Schedule, "name"), (Sampler, "name"), (Task, "kind")):
        tags = [tag(kind, field) for kind in members(table)]
        assert len(set(tags)) == len(tags)
