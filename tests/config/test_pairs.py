from __future__ import annotations

from typing import Any

import pytest

from mtsearch.config import algorithms
from mtsearch.config.algorithms import CmaEs, Gp, Tpe
from mtsearch.config.load import load_space
from mtsearch.config.pairs import GP_TRIALS, algorithm_of, drawn_at_random
from mtsearch.config.schedulers import Asha
from mtsearch.config.space import SearchSpace
from mtsearch.config.words import algorithm_in_words, scheduler_in_words
from mtsearch.errors import ConfigError

NUMBERS: dict[str, Any] = {
    "optimizer": {"name": "adamw", "lr": {"loguniform": [1e-5, 1e-3]}, "beta1": {"uniform": [0.5, 0.9]}}
}
CHOICE: dict[str, Any] = {"training": {"epochs": 10, "batch_size": {"choice": [16, 32]}}}
BRANCH: dict[str, Any] = {
    "schedule": {"choice": [{"name": "linear"}, {"name": "plateau", "patience": {"int": [1, 4]}}]}
}
TO_THE_END: dict[str, Any] = {"scheduler": {"name": "none"}}


def space_with(search: dict[str, Any], **sections: Any) -> SearchSpace:
    tasks = {"sentiment": {"kind": "classification", "data": "sst5"}}
    return load_space({"tasks": tasks, "training": {"epochs": 10}, "search": search, **sections})


@pytest.mark.parametrize("name", ["gp", "cmaes", "nsga2"])
@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median"])
def test_an_algorithm_that_learns_from_complete_trials_alone_is_refused_where_most_are_stopped(
    name: str, scheduler: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        space_with({"algorithm": {"name": name}, "scheduler": {"name": scheduler}}, **NUMBERS)
    assert str(refused.value) == (
        f"search.algorithm: {name} learns from completed trials alone, but scheduler {scheduler} stops most of them "
        "early; take scheduler: {name: none}, or algorithm: {name: tpe}, which learns from stopped ones"
    )


@pytest.mark.parametrize("name", ["tpe", "random", "auto"])
def test_the_others_go_with_every_scheduler(name: str) -> None:
    for scheduler in ("asha", "hyperband", "median", "none"):
        space_with({"algorithm": {"name": name}, "scheduler": {"name": scheduler}}, **NUMBERS)


@pytest.mark.parametrize(
    ("search", "sections", "message"),
    [
        (
            {"algorithm": {"name": "cmaes"}, **TO_THE_END},
            CHOICE,
            "search.algorithm: cmaes searches numbers that every trial has, but there are none here; take {name: tpe}",
        ),
        (
            {"algorithm": {"name": "cmaes"}, "metric": ["mean_score", "sentiment.accuracy"], **TO_THE_END},
            NUMBERS,
            "search.algorithm: cmaes searches for one metric; take {name: nsga2}, {name: gp} or {name: tpe}",
        ),
        (
            {"algorithm": {"name": "cmaes"}, "constraints": ["sentiment.accuracy >= 0.5"], **TO_THE_END},
            NUMBERS,
            "search.algorithm: cmaes takes no notice of search.constraints; take {name: gp} or {name: tpe}",
        ),
        (
            {"algorithm": {"name": "nsga2", "population": 8}, "trials": 8, **TO_THE_END},
            NUMBERS,
            "search.algorithm.population: must be less than search.trials (8), but got 8: the first generation is "
            "drawn at random; lower it, or take {name: tpe}",
        ),
        (
            {"scheduler": {"name": "asha", "grace": 11}},
            NUMBERS,
            "search.scheduler.grace: must be at most the evaluations of a trial (10), but got 11; lower it, raise "
            "training.epochs or training.evaluations_per_epoch, or take scheduler: {name: none}",
        ),
        (
            {"scheduler": {"name": "median", "grace": 11}},
            NUMBERS,
            "search.scheduler.grace: must be at most the evaluations of a trial (10), but got 11; lower it, raise "
            "training.epochs or training.evaluations_per_epoch, or take scheduler: {name: none}",
        ),
        (
            {"scheduler": {"name": "asha", "brackets": 5}},
            NUMBERS,
            "search.scheduler.brackets: must be at most 4, one for each rung below the end of the longest trial (10 "
            "evaluations) and one without, but got 5; lower it, or the reduction_factor",
        ),
    ],
)
def test_what_does_not_suit_is_one_line(search: dict[str, Any], sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        space_with(search, **sections)
    assert str(refused.value) == message


def test_the_line_says_where_in_the_file(tmp_path: Any) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "tasks: {sentiment: {kind: classification, data: sst5}}\n"
        "optimizer: {name: adamw, lr: {loguniform: [1e-5, 1e-3]}}\n"
        "search: {algorithm: {name: gp}}\n"
    )
    with pytest.raises(ConfigError, match=r"x\.yaml:3:\d+: search\.algorithm: gp learns"):
        load_space(path)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (
            {"unit": "examples"},
            "grace must be given where unit is examples: how many every trial is trained on, such as grace: 10000",
        ),
        (
            {"unit": "examples", "mode": "conservative"},
            "grace must be given where unit is examples: how many every trial is trained on, such as grace: 10000",
        ),
        (
            {"unit": "examples", "grace": 1000, "brackets": 2},
            "brackets must be 1 where unit is examples, but got 2: how many rungs there are is not known before the "
            "data is read; take unit: evaluations",
        ),
        ({"grace": 0}, "grace"),
        ({"reduction_factor": 1}, "reduction_factor"),
        ({"mode": "brave"}, "mode"),
        ({"unit": "epochs"}, "unit"),
    ],
)
def test_a_halving_that_cannot_be_is_one_line(scheduler: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        space_with({"scheduler": {"name": "asha", **scheduler}}, **NUMBERS)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "grace", "factor"),
    [
        ({}, 1, 3),
        ({"mode": "standard"}, 1, 3),
        ({"mode": "aggressive"}, 1, 4),
        ({"mode": "conservative"}, 2, 2),
        ({"mode": "conservative", "grace": 3}, 3, 2),
        ({"mode": "aggressive", "unit": "examples", "grace": 500}, 500, 4),
    ],
)
def test_a_mode_in_words_sets_what_is_not_given(given: dict[str, Any], grace: int, factor: float) -> None:
    asha = Asha.model_validate(given)
    assert (asha.first_rung, asha.factor) == (grace, factor)
    scheduler = space_with({"scheduler": {"name": "asha", **given}}, **NUMBERS).search.scheduler
    assert scheduler == asha


def test_a_package_that_is_missing_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as refused:
        space_with({"algorithm": {"name": "cmaes"}, **TO_THE_END}, **NUMBERS)
    assert str(refused.value) == (
        "search.algorithm: cmaes needs the package of that name; install mtsearch[cmaes], or take another algorithm"
    )


def test_hebo_that_is_missing_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "find_spec", lambda name: None if name in ("hebo", "pymoo") else object())
    with pytest.raises(ConfigError) as refused:
        space_with({"algorithm": {"name": "hebo"}, **TO_THE_END}, **NUMBERS)
    assert str(refused.value) == (
        "search.algorithm: hebo needs packages that are not here (hebo, pymoo); pip install gpytorch pymoo "
        "disjoint-set and then, as it asks for too old a numpy, pip install --no-deps HEBO; or take another algorithm"
    )


def test_hebo_is_for_one_metric_and_completed_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "find_spec", lambda name: object())
    hebo = {"algorithm": {"name": "hebo"}}
    with pytest.raises(ConfigError, match="hebo learns from completed trials alone, but scheduler asha stops most"):
        space_with(hebo, **NUMBERS)
    with pytest.raises(ConfigError, match="hebo searches for one metric; take"):
        space_with({**hebo, **TO_THE_END, "metric": ["mean_score", "sentiment.accuracy"]}, **NUMBERS)
    with pytest.raises(ConfigError, match=r"hebo takes no notice of search\.constraints; take"):
        space_with({**hebo, **TO_THE_END, "constraints": ["sentiment.accuracy >= 0.5"]}, **NUMBERS)
    space = space_with({**hebo, **TO_THE_END}, **CHOICE, **NUMBERS, **BRANCH)
    assert algorithm_in_words(space) == (
        "hebo after 10 random trials; it learns nothing of schedule.patience, drawn at random"
    )


def test_auto_is_a_gaussian_process_where_that_learns_from_every_trial() -> None:
    auto = {"algorithm": {"name": "auto"}}
    plain = space_with({**auto, **TO_THE_END}, **NUMBERS, **CHOICE)
    assert algorithm_of(plain, GP_TRIALS - 1) == Gp()
    assert algorithm_of(plain, GP_TRIALS) == Tpe()
    assert algorithm_of(space_with({**auto, **TO_THE_END}, **BRANCH), 0) == Tpe()
    assert algorithm_of(space_with(auto, **NUMBERS), 0) == Tpe()
    assert algorithm_of(space_with({"algorithm": {"name": "cmaes"}, **TO_THE_END}, **NUMBERS), 0) == CmaEs()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gp", ["schedule[plateau].patience"]),
        ("nsga2", ["schedule[plateau].patience"]),
        ("cmaes", ["training.batch_size", "schedule", "schedule[plateau].patience"]),
        ("tpe", []),
        ("random", []),
    ],
)
def test_what_an_algorithm_learns_nothing_of_is_known(name: str, expected: list[str]) -> None:
    space = space_with({"algorithm": {"name": name}, **TO_THE_END}, **CHOICE, **NUMBERS, **BRANCH)
    assert [dimension.name for dimension in drawn_at_random(space)] == expected


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({}, "asha stops trials at evaluations 1, 3, 9, where one in 3 goes on"),
        ({"scheduler": {"name": "asha", "grace": 9}}, "asha stops trials at evaluation 9, where one in 3 goes on"),
        (
            {"scheduler": {"name": "asha", "brackets": 2}},
            "asha stops trials at evaluations 1, 3, 9, where one in 3 goes on; 69%, 31% of them pass 0, 1, .. rungs "
            "unjudged (2 brackets)",
        ),
        (
            {"scheduler": {"name": "asha", "unit": "examples", "grace": 1000}},
            "asha stops trials at examples 1,000, 3,000, 9,000, 27,000, .., where one in 3 goes on",
        ),
        (
            {"scheduler": {"name": "hyperband", "reduction_factor": 9}},
            "hyperband stops trials at evaluations 1, 9, where one in 9 goes on; 83%, 14%, 3% of them pass 0, 1, .. "
            "rungs unjudged (3 brackets)",
        ),
        ({"scheduler": {"name": "asha", "grace": 10}}, "asha stops no trial: there is no rung before their end"),
        (
            {"scheduler": {"name": "median", "grace": 2}},
            "median stops trials below the median of the others, from evaluation 2 on, once 5 others have come as far",
        ),
        (TO_THE_END, "every trial runs to its end"),
    ],
)
def test_a_scheduler_is_told_in_words(search: dict[str, Any], words: str) -> None:
    assert scheduler_in_words(space_with(search, **NUMBERS)) == words


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        ({"name": "tpe"}, "tpe after 10 random trials"),
        ({"name": "tpe", "startup_trials": 0}, "tpe"),
        ({"name": "random"}, "random draws"),
        ({"name": "gp"}, "gp after 10 random trials; it learns nothing of schedule.patience, drawn at random"),
        ({"name": "auto"}, "auto: tpe after 10 random trials"),
        (
            {"name": "nsga2"},
            "nsga2 in generations of 20, the first one at random; it learns nothing of schedule.patience, drawn at "
            "random",
        ),
        ({"name": "cmaes"}, "cmaes; it learns nothing of schedule, schedule.patience, drawn at random"),
    ],
)
def test_an_algorithm_is_told_in_words(algorithm: dict[str, Any], words: str) -> None:
    assert algorithm_in_words(space_with({"algorithm": algorithm, **TO_THE_END}, **NUMBERS, **BRANCH)) == words


def test_auto_says_what_it_comes_to() -> None:
    space = space_with({"algorithm": {"name": "auto"}, **TO_THE_END}, **NUMBERS)
    assert algorithm_in_words(space) == "auto: gp after 10 random trials, tpe from trial 250 on"
