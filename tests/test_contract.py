"""Every entry of every table builds, takes steps, survives a checkpoint and round-trips through JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import BaseModel

from mtsearch.adapters import Adapters
from mtsearch.augmentation import Augmentation
from mtsearch.config.algorithms import Algorithm
from mtsearch.config.schedulers import Scheduler
from mtsearch.config.trial import TrialConfig
from mtsearch.experts import Experts
from mtsearch.optimizers import Optimizer
from mtsearch.pruning import Pruning
from mtsearch.regularizers import Regularizers
from mtsearch.samplers import Sampler
from mtsearch.schedules import Schedule
from mtsearch.surgery import Surgery
from mtsearch.tags import Tags
from mtsearch.tasks import Task
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import build
from mtsearch.training.place import Place
from mtsearch.unfreezing import Unfreezing
from mtsearch.weighting import Weighting

SINGLE = {"data": "sst5"}
PAIR = {"data": "quora"}


def sample(layer: str, limit: int = 16) -> dict[str, Any]:
    """The first sentences of a layer of the sample corpus, most of which take several rows of 32 tokens here."""
    return {"data": {"source": f"sample:{layer}", "limit": limit}}


TASKS: dict[str, dict[str, Any]] = {
    "classification": SINGLE,
    "regression": SINGLE,
    "pair_classification": PAIR,
    "pair_regression": PAIR,
    "tagging": sample("treebank"),
    "ner": sample("entities"),
    "dependency": sample("treebank"),
    "constituency": sample("constituents"),
    "srl": {**sample("propositions"), "head": {"reread_layers": 1}},
    "qa": sample("questions", 6),
}


def members(table: Any) -> list[type[BaseModel]]:
    union = get_args(table)[0]
    return list(get_args(union)) or [union]


def tag(kind: type[BaseModel], field: str) -> str:
    (value,) = get_args(kind.model_fields[field].annotation)
    return str(value)


METHODS: dict[str, Any] = {
    "augmentation": Augmentation,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "sampler": Sampler,
    "weighting": Weighting,
    "surgery": Surgery,
    "unfreezing": Unfreezing,
    "tags": Tags,
    "experts": Experts,
    "adapters": Adapters,
    "pruning": Pruning,
}
MIXED = {"sampler": {"name": "uniform", "mixed": True}}
FIELDS: dict[str, dict[str, Any]] = {  # beyond the name, so that two epochs of the tiny trial show the method at work
    "sophiah": {"hessian_interval": 3, "lr": 1e-3},
    "gradual": {"initially": 1, "warmup_updates": 2},
    "layers": {"first": 2},
    "l0": {"strength": 1.0, "lr": 0.05, "warmup_epochs": 0.5},
    "feed_forward": {"num_experts": 3},
    "pal": {"rank": 8, "attention_heads": 2, "dropout": 0.1},
}
ENTRIES = [
    *(
        pytest.param(
            {section: {"name": name, **FIELDS.get(name, {})}, **(MIXED if section in ("weighting", "surgery") else {})},
            id=f"{section} {name}",
        )
        for section, table in METHODS.items()
        for name in (tag(kind, "name") for kind in members(table))
    ),
    *(
        pytest.param({"sampler": {"name": tag(kind, "name"), "mixed": True}}, id=f"mixed {tag(kind, 'name')}")
        for kind in members(Sampler)
    ),
    *(
        pytest.param({"regularizers": {name: {"weight": 0.5}}}, id=f"regularizers {name}")
        for name in Regularizers.model_fields
    ),
    *(
        pytest.param({"tasks": {"task": {"kind": name, **TASKS[name]}}}, id=f"tasks {name}")
        for name in (tag(kind, "kind") for kind in members(Task))
    ),
    pytest.param({"tasks": {"task": {"kind": "tagging", **TASKS["tagging"], "head": {"crf": True}}}}, id="tasks crf"),
    pytest.param({"tasks": {"task": {"kind": "ner", **TASKS["ner"], "head": {"name": "bio"}}}}, id="tasks ner bio"),
    pytest.param(
        {
            "tasks": {name: {"kind": name, **task} for name, task in TASKS.items()},
            "sampler": {"name": "uniform", "mixed": True, "examples_per_task": 8},
            "surgery": {"name": "pcgrad"},
            "regularizers": {"smart": {"weight": 0.5}, "proximal": {"weight": 0.5}},
        },
        id="all kinds of task at once",
    ),
    pytest.param({"training": {"individual_pretraining": {"epochs": 2}}}, id="individual pretraining"),
]


def with_what_it_needs(sections: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    match sections.get("tags"):
        case {"name": "spacy"}:
            return {"tags": {**sections["tags"], "pipeline": str(request.getfixturevalue("tiny_pipeline"))}}
        case {"name": "exported"}:
            return {"tags": {**sections["tags"], "folder": str(request.getfixturevalue("tiny_tagger"))}}
        case {"name": "columns"}:
            return {"tags": {**sections["tags"], "layers": "pos"}, "tasks": request.getfixturevalue("tiny_gold")}
    return sections


@pytest.mark.parametrize("sections", ENTRIES)
def test_an_entry_trains_survives_a_checkpoint_and_round_trips(
    sections: dict[str, Any],
    request: pytest.FixtureRequest,
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tmp_path: Path,
) -> None:
    config = TrialConfig.model_validate(tiny_config(**with_what_it_needs(sections, request)))
    assert TrialConfig.model_validate_json(config.model_dump_json()) == config

    whole = list(fit(build(config, Place(tmp_path / "whole", tiny_data))))
    assert whole[-1].outcome == "finished"
    cut = fit(build(config, Place(tmp_path / "cut", tiny_data)))
    first = next(cut)
    cut.close()
    resumed = build(config, Place(None, tiny_data), resume_from=latest_checkpoint(tmp_path / "cut"))
    *_, last = fit(resumed)
    assert first.scores == whole[0].scores
    assert last.measurements == whole[-1].measurements
    assert all(torch.isfinite(parameter).all() for parameter in resumed.state.model.parameters())


@pytest.mark.parametrize("table", [*METHODS.values(), Task, Scheduler, Algorithm])
def test_every_field_of_every_entry_is_documented(table: Any) -> None:
    undocumented = [
        f"{kind.__name__}.{name}"
        for kind in members(table)
        for name, field in kind.model_fields.items()
        if not field.description and name not in ("name", "kind")
    ]
    assert undocumented == []


def test_every_tag_is_unique_in_its_table() -> None:
    for table, field in (*((table, "name") for table in METHODS.values()), (Task, "kind")):
        tags = [tag(kind, field) for kind in members(table)]
        assert len(set(tags)) == len(tags)
