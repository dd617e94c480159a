"""A grid's points: which, in what order, and what cannot be one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.space import Dimension, SearchSpace
from mtsearch.errors import ConfigError
from tests.config.spaces import TASK, space_of

SPACE = """\
tasks: {sentiment: {kind: classification, data: sst5}}
training: {batch_size: {choice: [64, 16]}, drop_longest: {quniform: [0, 0.2, 0.1]}}
schedule: {choice: [{name: plateau, patience: {int: [0, 4, 2]}}, {name: linear}]}
unfreezing: {choice: [{name: none}, {name: gradual, interval: {choice: [2, 1]}}]}
search: {algorithm: {name: grid}, scheduler: {name: none}}
"""
SETS = (
    "{subsets: {of: {mood: {kind: classification, data: sst5, weight: {choice: [1.0, 2.0]}}, "
    "same: {kind: pair_classification, data: quora}}, sizes: [1, 2]}}"
)


def points(space: SearchSpace) -> list[dict[str, Any]]:
    size = space.size()
    assert size is not None
    return [space.point(index) for index in range(size)]


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    return space_of(SPACE, tmp_path)


def test_the_first_dimension_varies_slowest_and_what_an_option_searches_follows_its_choice() -> None:
    small = load_space(
        {
            "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
            "training": {"batch_size": {"choice": [64, 16]}},
            "schedule": {"choice": [{"name": "plateau", "patience": {"int": [0, 4, 2]}}, {"name": "linear"}]},
        }
    )
    plateau = "schedule[plateau].patience"
    assert points(small) == [
        {"training.batch_size": 64, "schedule": "plateau", plateau: 0},
        {"training.batch_size": 64, "schedule": "plateau", plateau: 2},
        {"training.batch_size": 64, "schedule": "plateau", plateau: 4},
        {"training.batch_size": 64, "schedule": "linear"},
        {"training.batch_size": 16, "schedule": "plateau", plateau: 0},
        {"training.batch_size": 16, "schedule": "plateau", plateau: 2},
        {"training.batch_size": 16, "schedule": "plateau", plateau: 4},
        {"training.batch_size": 16, "schedule": "linear"},
    ]


def walked(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Every way through the space: the last answer that can be another one is, and what follows it is asked anew."""
    answers: list[int] = []
    while True:
        asked: list[tuple[int, int]] = []

        def suggest(dimension: Dimension, answers: list[int] = answers, asked: list[tuple[int, int]] = asked) -> Any:
            answer = answers[len(asked)] if len(asked) < len(answers) else 0
            asked.append((answer, dimension.domain.size or 0))
            return dimension.domain.at(answer)

        yield dict(space.draw(suggest).params)
        while asked and asked[-1][0] + 1 == asked[-1][1]:
            asked.pop()
        if not asked:
            return
        answers = [answer for answer, _ in asked]
        answers[-1] += 1


@pytest.mark.parametrize("tasks", ["", "tasks=" + SETS], ids=["one set of tasks", "sets of tasks"])
def test_the_points_are_all_ways_through_the_space_each_once(tmp_path: Path, tasks: str) -> None:
    space = space_of(SPACE, tmp_path, *filter(None, [tasks]))
    found = points(space)
    assert found == list(walked(space))
    assert len(found) == 2 * 3 * (3 + 1) * (1 + 2) * (2 + 1 + 2 if tasks else 1)


def test_every_point_is_a_config(space: SearchSpace) -> None:
    hashes = {space.config_from_params(point).config_hash() for point in points(space)}
    assert len(hashes) == space.size()


def test_a_grid_has_a_trial_for_every_point_unless_fewer_are_asked_for(space: SearchSpace, tmp_path: Path) -> None:
    assert (space.search.trials, space.num_trials(), space.grid_size) == (72, 72, 72)
    few = space_of(SPACE, tmp_path, "search.trials=5")
    assert (few.num_trials(), few.num_trials(3), few.num_trials(100)) == (5, 8, 72)
    assert space_of(SPACE, tmp_path, "search.trials=100").num_trials() == 72
    assert space_of(SPACE, tmp_path, "training.batch_size=16").num_trials() == 36
    other = space_of(SPACE, tmp_path, "search.algorithm.name=random")
    assert (other.search.trials, other.grid_size, other.num_trials(9)) == (32, None, 41)


def test_a_resolved_grid_reads_back_as_the_same_one(space: SearchSpace, tmp_path: Path) -> None:
    assert space_of(space.to_yaml(), tmp_path) == space


def test_a_space_without_domains_is_a_grid_of_one_point(tmp_path: Path) -> None:
    space = space_of(TASK + "search: {algorithm: {name: grid}}\n", tmp_path)
    assert (space.num_trials(), space.point(0)) == (1, {})


def test_a_range_of_real_numbers_is_no_dimension_of_a_grid(tmp_path: Path) -> None:
    text = TASK + "optimizer:\n  name: adamw\n  lr: {loguniform: [1e-5, 3e-4]}\nsearch: {algorithm: {name: grid}}\n"
    with pytest.raises(ConfigError) as refused:
        space_of(text, tmp_path)
    assert str(refused.value).endswith(
        "x.yaml:5:7: optimizer.lr: a grid takes every value, but got loguniform [1e-5, 3e-4]; list some with "
        "choice: [...], or give a step, as in quniform: [low, high, step]"
    )


def test_a_grid_has_no_start_points(tmp_path: Path) -> None:
    text = SPACE.replace("grid}", "grid}, start: [{schedule: linear}]")
    with pytest.raises(ConfigError, match=r"x\.yaml:5:42: search\.start: must be empty with a grid, .*; leave it out"):
        space_of(text, tmp_path)
    assert space_of(text, tmp_path, "search.start=[]").grid_size == 72
