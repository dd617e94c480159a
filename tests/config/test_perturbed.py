from __future__ import annotations

import random
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.perturbed import perturb, perturbed_dimensions
from mtsearch.config.space import SearchSpace
from mtsearch.config.words import scheduler_in_words
from mtsearch.errors import ConfigError

PBT: dict[str, Any] = {"scheduler": {"name": "pbt"}}
LR: dict[str, Any] = {"optimizer": {"name": "adamw", "lr": {"loguniform": [1e-5, 1e-3]}}}


def space_with(search: dict[str, Any] = PBT, **sections: Any) -> SearchSpace:
    tasks = {"sentiment": {"kind": "classification", "data": "sst5"}}
    return load_space({"tasks": tasks, "training": {"epochs": 10}, "search": search, **sections})


def test_what_a_training_can_go_on_with_is_perturbed_and_all_else_stays() -> None:
    space = space_with(
        optimizer={"name": "adamw", "lr": {"loguniform": [1e-5, 1e-3]}, "weight_decay": {"choice": [0.0, 0.1]}},
        encoder={"dropout": {"uniform": [0.0, 0.4]}},
        training={"epochs": 10, "batch_size": {"choice": [16, 32]}},
    )
    assert {dimension.path for dimension in perturbed_dimensions(space)} == {"optimizer.lr", "encoder.dropout"}
    params = {
        "optimizer.lr": 1e-4,
        "optimizer.weight_decay": 0.1,
        "encoder.dropout": 0.2,
        "training.batch_size": 32,
    }
    drawn = [perturb(space, params, 2.0, random.Random(seed)) for seed in range(20)]
    assert {one["optimizer.lr"] for one in drawn} == {5e-5, 2e-4}
    assert {one["encoder.dropout"] for one in drawn} == {0.1, 0.4}
    for one in drawn:
        assert (one["optimizer.weight_decay"], one["training.batch_size"]) == (0.1, 32)


def test_a_value_stays_in_its_range_and_on_its_grid() -> None:
    space = space_with(optimizer={"name": "adamw", "lr": {"quniform": [0.1, 0.5, 0.1]}})
    drawn = {perturb(space, {"optimizer.lr": 0.4}, 1.5, random.Random(seed))["optimizer.lr"] for seed in range(20)}
    assert drawn == {0.3, 0.5}


def test_a_branch_that_the_parent_did_not_take_is_left_alone() -> None:
    space = space_with(encoder={"dropout": {"choice": [None, {"uniform": [0.1, 0.4]}]}}, **LR)
    name = next(d.name for d in perturbed_dimensions(space) if d.path == "encoder.dropout")
    without = {"optimizer.lr": 1e-4, "encoder.dropout": space.default.params["encoder.dropout"]}
    assert name not in perturb(space, without, 1.2, random.Random(1))


@pytest.mark.parametrize(
    ("search", "sections", "message"),
    [
        (
            PBT,
            {"training": {"epochs": 10, "batch_size": {"choice": [16, 32]}}},
            "search.scheduler: pbt changes values in mid-training, but of those that it can none is searched over a "
            "range: optimizer.lr, optimizer.head_lr, optimizer.weight_decay, encoder.dropout, "
            "encoder.attention_dropout, regularizers.smart.weight, regularizers.proximal.weight; take {name: asha}",
        ),
        (
            {**PBT, "retrain_best": True},
            LR,
            "search.retrain_best: must be left out with pbt: what its trials come to cannot be repeated from their "
            "configs alone",
        ),
        (
            {**PBT, "algorithm": {"name": "grid"}},
            {"optimizer": {"name": "adamw", "lr": {"quniform": [0.1, 0.5, 0.1]}}},
            "search.scheduler: pbt leaves the points of a grid; take algorithm: {name: random}",
        ),
        ({"scheduler": {"name": "pbt", "factor": 1.0}}, LR, "search.scheduler.factor: must be > 1, but got 1"),
        ({"scheduler": {"name": "pbt", "share": 0.6}}, LR, "search.scheduler.share: must be <= 0.5, but got 0.6"),
    ],
)
def test_what_pbt_cannot_do_is_one_line(search: dict[str, Any], sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        space_with(search, **sections)
    assert str(refused.value) == message


def test_pbt_is_told_in_words() -> None:
    assert scheduler_in_words(space_with(**LR)) == (
        "pbt stops the worst 25% of trials after every evaluation, and goes on from the best 25% with another "
        "optimizer.lr"
    )
