from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.config.domains import Categorical, Float, Int
from mtsearch.config.nodes import Where
from mtsearch.config.space import Dimension, Draw, Infeasible, SearchSpace, diff
from mtsearch.errors import ConfigError
from tests.config.spaces import CONDITIONAL, TASK, space_of


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> SearchSpace:
    return space_of(CONDITIONAL, tmp_path_factory.mktemp("spaces"))


@pytest.fixture(scope="module")
def resolved(space: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> SearchSpace:
    return space_of(space.to_yaml(), tmp_path_factory.mktemp("resolved"))


def random_draw(space: SearchSpace, seed: int) -> Draw:
    rng = random.Random(seed)
    return space.draw(lambda dimension: dimension.domain.sample(rng))


def taking(space: SearchSpace, **values: Any) -> Draw:
    return space.draw(lambda dimension: values.get(dimension.name, dimension.domain.middle))


def test_dimensions_are_named_by_path_and_branch_in_the_order_of_the_text(space: SearchSpace) -> None:
    assert [(d.name, d.path, d.domain, d.condition) for d in space.dimensions()] == [
        ("encoder.dropout", "encoder.dropout", Categorical((None, "uniform")), ""),
        ("encoder.dropout[uniform]", "encoder.dropout", Float(0.1, 0.4), "encoder.dropout = uniform"),
        ("training.batch_size", "training.batch_size", Categorical((16, 32, 64)), ""),
        ("training.epochs", "training.epochs", Int(2, 10, 4), ""),
        ("optimizer.lr", "optimizer.lr", Float(1e-5, 3e-4, log=True), ""),
        ("optimizer.eps", "optimizer.eps", Float(1e-8, 1.01e-6, 1e-7, log=True), ""),
        ("schedule", "schedule", Categorical(("plateau", "linear", "long cosine")), ""),
        ("schedule[plateau].patience", "schedule.patience", Int(0, 2), "schedule = plateau"),
        ("schedule[linear].warmup_ratio", "schedule.warmup_ratio", Float(0.0, 0.3, 0.1), "schedule = linear"),
    ]


def test_a_dimension_knows_its_place_in_the_text(space: SearchSpace) -> None:
    (lr,) = [dimension for dimension in space.dimensions() if dimension.name == "optimizer.lr"]
    assert str(lr.where).endswith("x.yaml:8:7")


def test_only_the_dimensions_of_the_taken_branch_are_asked_for(space: SearchSpace) -> None:
    draw = taking(space, schedule="linear")
    assert "schedule[linear].warmup_ratio" in draw.params
    assert "schedule[plateau].patience" not in draw.params
    assert draw.tree["schedule"] == {"name": "linear", "warmup_ratio": pytest.approx(0.1, abs=0.11)}


def test_the_default_takes_first_options_and_middles(space: SearchSpace) -> None:
    assert space.default.params == {
        "encoder.dropout": None,
        "training.batch_size": 16,
        "training.epochs": 6,
        "optimizer.lr": pytest.approx(5.477e-5, rel=1e-3),
        "optimizer.eps": 1.1e-7,
        "schedule": "plateau",
        "schedule[plateau].patience": 1,
    }


def test_same_as_takes_what_stands_there(space: SearchSpace) -> None:
    draw = taking(space, **{"optimizer.lr": 2e-5})
    assert draw.tree["optimizer"]["head_lr"] == 2e-5


def test_same_as_shares_a_section_and_follows_another_same_as(tmp_path: Path) -> None:
    text = (
        "tasks:\n"
        "  a: {kind: classification, data: sst5, head: {hidden_layers: {int: [0, 3]}}}\n"
        "  b: {kind: classification, data: sst5, head: {same_as: tasks.c.head}}\n"
        "  c: {kind: classification, data: sst5, head: {same_as: tasks.a.head}}\n"
    )
    config = space_of(text, tmp_path).config_from_params({"tasks.a.head.hidden_layers": 3})
    assert config.tasks["b"].head == config.tasks["c"].head == config.tasks["a"].head
    assert config.tasks["b"].head.hidden_layers == 3


def test_a_domain_within_a_list_is_searched(tmp_path: Path) -> None:
    text = TASK.replace("data: sst5", "data: sst5, metrics: [{choice: [accuracy, macro_f1]}, matthews]")
    space = space_of(text, tmp_path)
    assert [dimension.name for dimension in space.dimensions()] == ["tasks.sentiment.metrics.0"]
    metrics = space.config_from_params({"tasks.sentiment.metrics.0": "macro_f1"}).tasks["sentiment"].metrics
    assert metrics == ("macro_f1", "matthews")


def test_a_choice_nests_in_a_choice(tmp_path: Path) -> None:
    text = TASK + (
        "schedule:\n"
        "  choice:\n"
        "    - {name: plateau}\n"
        "    - label: warm\n"
        "      value: {choice: [{name: linear, warmup_ratio: {uniform: [0.1, 0.3]}}, {name: cosine}]}\n"
    )
    names = [(d.name, d.path, d.condition) for d in space_of(text, tmp_path).dimensions()]
    assert names == [
        ("schedule", "schedule", ""),
        ("schedule[warm]", "schedule", "schedule = warm"),
        ("schedule[warm][linear].warmup_ratio", "schedule.warmup_ratio", "schedule = warm and schedule = linear"),
    ]


@pytest.mark.parametrize(
    ("suggestion", "message"),
    [
        ({"schedule": "linea"}, "schedule: must be one of plateau, linear, long cosine, but got 'linea'"),
        ({"optimizer.lr": 1}, "optimizer.lr: must be in loguniform"),
        ({"training.epochs": 3}, "training.epochs: must be in int"),
    ],
)
def test_a_suggestion_outside_its_domain_is_refused(space: SearchSpace, suggestion: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        taking(space, **suggestion)


@given(seed=st.integers())
@settings(max_examples=50)
def test_recorded_params_rebuild_the_same_config(space: SearchSpace, seed: int) -> None:
    draw = random_draw(space, seed)
    recorded = json.loads(json.dumps(draw.params))
    assert space.config_from_params(recorded) == space.config(draw)


def test_params_of_another_space_are_refused(space: SearchSpace) -> None:
    params = dict(space.default.params)
    with pytest.raises(ConfigError, match=r"encoder.attention_dropout: recorded, but not searched at this point"):
        space.config_from_params({**params, "encoder.attention_dropout": 0.1})
    del params["optimizer.lr"]
    with pytest.raises(ConfigError, match=r"optimizer.lr: missing in the recorded params"):
        space.config_from_params(params)


def test_the_written_space_loads_back_equal(space: SearchSpace, resolved: SearchSpace) -> None:
    assert resolved == space
    assert resolved.identity() == space.identity()
    assert resolved.to_yaml() == space.to_yaml()


@given(seed=st.integers())
@settings(max_examples=25)
def test_the_written_space_draws_the_same_configs(space: SearchSpace, resolved: SearchSpace, seed: int) -> None:
    assert resolved.config(random_draw(resolved, seed)) == space.config(random_draw(space, seed))


def test_the_written_space_has_the_defaults_in_it(tmp_path: Path) -> None:
    text = space_of(TASK, tmp_path).to_yaml()
    assert "source: sst5" in text
    assert "mode: standard" in text
    assert "beta2: 0.999" in text


def test_the_size_counts_the_points_of_all_branches(tmp_path: Path) -> None:
    text = TASK + (
        "training: {batch_size: {choice: [16, 32]}, epochs: {int: [2, 10, 4]}}\n"
        "schedule: {choice: [{name: plateau, patience: {int: [0, 2]}}, {name: none}]}\n"
    )
    assert space_of(text, tmp_path).size() == 2 * 3 * (3 + 1)


def test_a_real_range_has_no_size(space: SearchSpace) -> None:
    assert space.size() is None


def test_budgets_retention_resources_and_the_name_are_not_part_of_the_identity(tmp_path: Path) -> None:
    one = space_of(TASK + "search: {trials: 8}\n", tmp_path)
    other = space_of(
        TASK + "name: other\nresources: {cpus: 2}\n"
        "search: {trials: 9, time: 2h, gpu_hours: 3, concurrency: 2, retrain_best: true,\n"
        "  keep: {best: 1, running: last}}\n",
        tmp_path,
    )
    assert one.identity() == other.identity()
    assert json.loads(json.dumps(one.identity())) == one.identity()


def test_a_diff_names_what_changed_and_to_what(space: SearchSpace, tmp_path: Path) -> None:
    changed = space_of(
        CONDITIONAL,
        tmp_path,
        "optimizer.lr={loguniform: [1e-5, 1e-3]}",
        "training.batch_size=16",
        "schedule.patience={int: [0, 4]}",
        "search.algorithm={name: random}",
        "tasks.similarity=null",
    )
    lines = diff(json.loads(json.dumps(space.identity())), changed.identity())
    assert "optimizer.lr: loguniform [1e-5, 3e-4] -> loguniform [1e-5, 1e-3]" in lines
    assert "training.batch_size: choice [16, 32, 64] -> 16" in lines
    assert "schedule[plateau].patience: int [0, 2] -> int [0, 4]" in lines
    assert "search.algorithm.name: tpe -> random" in lines
    assert "tasks.similarity.low: 0 -> (absent)" in lines
    assert not any(line.startswith(("encoder", "tasks.sentiment", "optimizer.beta1")) for line in lines)


def test_equal_spaces_have_no_diff(space: SearchSpace) -> None:
    assert diff(space.identity(), space.identity()) == []


def test_start_points_are_given_by_the_dimensions_names(tmp_path: Path) -> None:
    start = (
        "start: [{optimizer.lr: 1e-4, schedule: linear, schedule.warmup_ratio: 0.1}, {'encoder.dropout[uniform]': 0.2}]"
    )
    space = space_of(CONDITIONAL.replace("trials: 8", start), tmp_path)
    assert space.start_params() == (
        {"optimizer.lr": 1e-4, "schedule": "linear", "schedule[linear].warmup_ratio": 0.1},
        {"encoder.dropout[uniform]": 0.2},
    )


def test_a_path_in_several_branches_starts_in_each(tmp_path: Path) -> None:
    text = TASK + (
        "schedule:\n"
        "  choice:\n"
        "    - {name: linear, warmup_ratio: {uniform: [0, 0.2]}}\n"
        "    - {name: cosine, warmup_ratio: {uniform: [0, 0.2]}}\n"
        "search: {start: [{schedule.warmup_ratio: 0.1}, {schedule.warmup_ratio: 0.1, schedule: cosine}]}\n"
    )
    assert space_of(text, tmp_path).start_params() == (
        {"schedule[linear].warmup_ratio": 0.1, "schedule[cosine].warmup_ratio": 0.1},
        {"schedule[cosine].warmup_ratio": 0.1, "schedule": "cosine"},
    )


def test_rules_across_fields_refuse_a_share_of_the_draws(tmp_path: Path) -> None:
    text = "tasks: {a: {kind: regression, data: x, low: {choice: [0, 1]}, high: {choice: [1, 2]}}}\n"
    space = space_of(text, tmp_path)
    assert space.refused_share == pytest.approx(0.25, abs=0.1)
    with pytest.raises(Infeasible, match=r"tasks.a: low < high must hold, but got low=1.0, high=1.0") as refused:
        space.config_from_params({"tasks.a.low": 1, "tasks.a.high": 1})
    assert refused.value.crosses_fields


def test_two_domains_of_one_name_are_refused(tmp_path: Path) -> None:
    text = (
        "tasks:\n"
        "  a:\n"
        "    kind: classification\n"
        "    data: {source: x, columns: {choice: [{label: p, value: {l.q: {choice: [a, b]}}}]}}\n"
    )
    columns = text.replace("{l.q: {choice: [a, b]}}", "{l.q: {choice: [a, b]}, l: {q: {choice: [a, b]}}}")
    with pytest.raises(ConfigError, match=r"two domains are called tasks.a.data.columns\[p\].l.q"):
        space_of(columns, tmp_path)


def test_dimensions_compare_by_what_they_are_and_not_by_where() -> None:
    one = Dimension("a", "a", Float(0, 1), where=Where("x.yaml", 1, 1))
    assert one == Dimension("a", "a", Float(0, 1), where=Where("y.yaml", 2, 2))
