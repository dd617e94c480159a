from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.objectives import OVERALL_METRICS, direction_of, measured_metrics
from mtsearch.config.search import SearchConfig
from mtsearch.config.space import SearchSpace
from mtsearch.config.trial import TrialConfig
from mtsearch.errors import ConfigError

REGRESSION = {"kind": "pair_regression", "data": "stsb", "metrics": ["pearson", "mean_squared_error"]}


def space_for(metric: Any, **sections: Any) -> SearchSpace:
    return load_space({"tasks": {"similarity": REGRESSION}, "search": {"metric": metric}, **sections})


def test_one_objective_or_a_list_and_the_first_says_what_is_best() -> None:
    assert (SearchConfig().metrics, SearchConfig().primary) == (("mean_score",), "mean_score")
    several = SearchConfig(metric=["similarity.pearson", "mean_score"])
    assert (several.metrics, several.primary) == (("similarity.pearson", "mean_score"), "similarity.pearson")


def test_each_objective_has_the_direction_of_its_metric() -> None:
    space = space_for(["mean_score", "similarity.mean_squared_error"])
    assert list(space.objectives.items()) == [
        ("mean_score", "maximize"),
        ("similarity.mean_squared_error", "minimize"),
    ]
    assert {name: direction_of(name, ()) for name in OVERALL_METRICS} == {
        "mean_score": "maximize",
        "worst_task": "maximize",
        "open_heads": "minimize",
        "latency_ratio": "minimize",
        "score_per_second": "maximize",
        "examples_per_second": "maximize",
        "parameters": "minimize",
        "peak_memory_bytes": "minimize",
    }


def test_a_plugins_metric_has_its_own_direction(tmp_path: Path) -> None:
    plugin = tmp_path / "misses.py"
    plugin.write_text(
        "from mtsearch.tasks.metrics import Metric\n"
        "METRICS = (Metric('misses', 'minimize', lambda gold, predicted: 0.0),)\n"
    )
    task = {**REGRESSION, "metrics": ["pearson", "misses"]}
    space = space_for(["mean_score", "similarity.misses"], tasks={"similarity": task}, plugins=[str(plugin)])
    assert space.objectives["similarity.misses"] == "minimize"


def test_heads_and_latency_are_measured_where_the_encoder_is_pruned() -> None:
    config = TrialConfig.model_validate({"tasks": {"similarity": REGRESSION}})
    costs = ("score_per_second", "examples_per_second", "parameters", "peak_memory_bytes")
    of_the_task = ("similarity.pearson", "similarity.mean_squared_error")
    assert measured_metrics(config) == ("mean_score", "worst_task", *costs, *of_the_task)
    pruned = TrialConfig.model_validate(
        {"tasks": {"similarity": REGRESSION}, "pruning": {"name": "l0", "target_sparsity": 0.5}}
    )
    assert measured_metrics(pruned)[:4] == ("mean_score", "worst_task", "open_heads", "latency_ratio")
    space = space_for(["mean_score", "open_heads", "latency_ratio"], pruning={"name": "l0", "target_sparsity": 0.5})
    assert list(space.objectives.values()) == ["maximize", "minimize", "minimize"]


CHOICES = (
    "choose mean_score, worst_task, score_per_second, examples_per_second, parameters, peak_memory_bytes, "
    "similarity.pearson or similarity.mean_squared_error"
)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ([], "search.metric: must have at least 1 entry, but got none"),
        ([3], "search.metric.0: must be text, but got 3"),
        (3, "search.metric: must be text or a list, but got 3"),
        (
            ["mean_score", "mean_score"],
            "search.metric: must name each metric once, but 'mean_score' is there twice; leave one out",
        ),
        (
            ["mean_score", "open_heads"],
            f"search.metric.1: 'open_heads' is not measured in every trial, but only under a pruning other than none; "
            f"{CHOICES}",
        ),
        (
            ["mean_score", "similarity.pearsn"],
            "search.metric.1: 'similarity.pearsn' is not measured in every trial; did you mean similarity.pearson?",
        ),
        (
            ["similarity.mean_squared_error", "mean_score"],
            "search.metric.0: the first metric says what is best and must be one where more is better, but got "
            "'similarity.mean_squared_error'; put another first, such as mean_score",
        ),
        ("similarity.mean_squared_error", "search.metric: the first metric says what is best and must be one where"),
    ],
)
def test_bad_objectives_are_told_in_one_line(metric: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        space_for(metric)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_objective_that_only_some_trials_measure_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "tasks:\n  sentiment: {kind: classification, data: sst5}\n"
        "pruning: {choice: [{name: none}, {name: l0, target_sparsity: 0.5}]}\n"
        "search:\n  metric:\n    - mean_score\n    - open_heads\n"
    )
    with pytest.raises(ConfigError, match=r"x\.yaml:7:7: search\.metric\.1: 'open_heads' is not measured in every"):
        load_space(path)
    assert load_space(path, ["pruning={name: l0, target_sparsity: 0.5}"]).objectives["open_heads"] == "minimize"


def test_a_resolved_space_keeps_the_list(tmp_path: Path) -> None:
    space = space_for(["mean_score", "similarity.pearson"])
    path = tmp_path / "resolved.yaml"
    path.write_text(space.to_yaml(), encoding="utf-8")
    assert load_space(path) == space
    assert space.identity()["search"]["metric"] == ["mean_score", "similarity.pearson"]
