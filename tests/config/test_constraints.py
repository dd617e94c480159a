from __future__ import annotations

import math
from typing import Any

import pytest

from mtsearch.config.constraints import Constraint
from mtsearch.config.load import load_space
from mtsearch.config.search import SearchConfig
from mtsearch.errors import ConfigError

TASKS = {"similarity": {"kind": "pair_regression", "data": "stsb"}}


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("similarity.pearson >= 0.85", Constraint("similarity.pearson", ">=", 0.85)),
        ("latency_ratio<=.7", Constraint("latency_ratio", "<=", 0.7)),
        (" peak_memory_bytes  <= 8e9 ", Constraint("peak_memory_bytes", "<=", 8e9)),
        ("similarity.pearson >= -1", Constraint("similarity.pearson", ">=", -1.0)),
        ("parameters <= 22713216", Constraint("parameters", "<=", 22_713_216.0)),
        ("mean_score >= 0.8512349", Constraint("mean_score", ">=", 0.8512349)),
    ],
)
def test_a_constraint_is_a_metric_and_a_bound(text: str, constraint: Constraint) -> None:
    assert Constraint.parse(text) == constraint
    assert Constraint.parse(str(constraint)) == constraint


@pytest.mark.parametrize("text", ["", "pearson", "pearson > 0.8", "pearson >= high", "0.8 <= pearson", "a >= 1 >= 2"])
def test_anything_else_is_refused_with_the_form_it_must_have(text: str) -> None:
    with pytest.raises(ValueError, match="must be METRIC >= NUMBER or METRIC <= NUMBER"):
        Constraint.parse(text)


def test_the_shortfall_is_how_far_the_value_is_on_the_wrong_side_and_the_bound_itself_is_right() -> None:
    at_least, at_most = Constraint.parse("m >= 0.5"), Constraint.parse("m <= 0.5")
    assert [at_least.shortfall({"m": value}) for value in (0.25, 0.5, 0.75)] == [0.25, 0.0, -0.25]
    assert [at_most.shortfall({"m": value}) for value in (0.25, 0.5, 0.75)] == [-0.25, 0.0, 0.25]
    assert at_least.shortfall({}) == at_most.shortfall({"m": math.nan}) == math.inf


def space_with(constraints: Any, **sections: Any) -> Any:
    return load_space({"tasks": TASKS, "search": {"constraints": constraints}, **sections})


def test_constraints_are_written_the_same_way_however_they_were_typed() -> None:
    assert SearchConfig(constraints=["mean_score>=.50"]).constraints == ("mean_score >= 0.5",)
    assert space_with(["similarity.pearson >= 0.8"]).search.constraints == ("similarity.pearson >= 0.8",)


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        (["similarity.pearson = 0.8"], "must be METRIC >= NUMBER"),
        (["similarity.accuracy >= 0.8"], "'similarity.accuracy' is not measured in every trial"),
        (["open_heads <= 0.5"], "'open_heads' is not measured in every trial, but only under a pruning"),
    ],
)
def test_a_constraint_that_cannot_be_checked_is_refused_where_it_stands(constraints: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=r"search\.constraints") as refused:
        space_with(constraints)
    assert said in str(refused.value)
