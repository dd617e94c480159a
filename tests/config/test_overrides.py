from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.domains import Categorical, Float
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError
from tests.config.spaces import CONDITIONAL, TASK, space_of


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(*overrides: str) -> SearchSpace:
    return space_of(CONDITIONAL, Path(), *overrides)


def domains(space: SearchSpace) -> dict[str, Any]:
    return {dimension.name: dimension.domain for dimension in space.dimensions()}


def test_a_value_takes_the_place_of_a_domain() -> None:
    space = changed("optimizer.lr=3e-5")
    assert "optimizer.lr" not in domains(space)
    assert space.config(space.default).optimizer.lr == 3e-5


def test_a_domain_takes_the_place_of_a_domain() -> None:
    assert domains(changed("optimizer.lr={loguniform: [1e-5, 1e-4]}"))["optimizer.lr"] == Float(1e-5, 1e-4, log=True)


def test_search_and_resources_are_set_alike() -> None:
    space = changed("search.trials=3", "search.algorithm.name=random", "resources.cpus=2", "search.time=2h")
    assert (space.search.trials, space.search.algorithm.name, space.search.time) == (3, "random", 7200)
    assert space.resources != "auto"
    assert (space.resources.cpus, space.resources.gpus) == (2, 0)


def test_the_name_of_a_data_set_becomes_an_object_under_a_longer_path() -> None:
    space = changed("tasks.sentiment.data.limit=100")
    data = space.config(space.default).tasks["sentiment"].data
    assert (data.source, data.limit) == ("sst5", 100)


def test_a_path_through_a_choice_sets_the_branches_that_have_the_key() -> None:
    names = domains(changed("schedule.warmup_ratio=0.25"))
    assert "schedule[linear].warmup_ratio" not in names
    assert "schedule[plateau].patience" in names
    space = changed("schedule.warmup_ratio=0.25")
    linear = space.draw(lambda d: {"schedule": "linear"}.get(d.name, d.domain.middle))
    cosine = space.draw(lambda d: {"schedule": "long cosine"}.get(d.name, d.domain.middle))
    assert linear.tree["schedule"]["warmup_ratio"] == cosine.tree["schedule"]["warmup_ratio"] == 0.25


@pytest.mark.parametrize("override", ["schedule.name=linear", "schedule=linear"])
def test_a_method_s_name_narrows_a_choice_to_its_branch(override: str) -> None:
    names = domains(changed(override))
    assert "schedule" not in names
    assert names["schedule.warmup_ratio"] == Float(0.0, 0.3, 0.1)


def test_a_label_narrows_a_choice_too() -> None:
    space = changed("schedule=long cosine")
    assert space.config(space.default).schedule.model_dump() == {"name": "cosine", "warmup_ratio": 0.3}


def test_a_name_narrows_a_choice_within_a_choice() -> None:
    text = TASK + (
        "schedule:\n"
        "  choice:\n"
        "    - {name: plateau}\n"
        "    - {label: warm, value: {choice: [{name: linear}, {name: cosine, warmup_ratio: 0.3}]}}\n"
    )
    space = space_of(text, Path(), "schedule.name=cosine")
    assert space.dimensions() == ()
    assert space.config(space.default).schedule.model_dump() == {"name": "cosine", "warmup_ratio": 0.3}


def test_a_name_that_several_branches_have_leaves_those() -> None:
    text = TASK + "schedule: {choice: [{name: none}, {name: linear}, {label: slow, name: linear, warmup_ratio: 0.5}]}\n"
    names = domains(space_of(text, Path(), "schedule.name=linear"))
    assert names == {"schedule": Categorical(("linear", "slow"))}


def test_a_name_without_a_branch_takes_that_method() -> None:
    space = changed("schedule.name=none")
    assert space.config(space.default).schedule.name == "none"


def test_another_method_keeps_the_given_keys_that_it_has_too() -> None:
    text = TASK + "schedule: {name: linear, warmup_ratio: 0.3}\n"
    config = space_of(text, Path(), "schedule.name=cosine")
    assert config.config(config.default).schedule.model_dump() == {"name": "cosine", "warmup_ratio": 0.3}
    config = space_of(text, Path(), "schedule.name=plateau")
    assert config.config(config.default).schedule.name == "plateau"


def test_a_section_that_the_file_leaves_out_can_be_set() -> None:
    space = space_of(TASK, Path(), "optimizer.lr=1e-4", "encoder.pooling=attention")
    config = space.config(space.default)
    assert (config.optimizer.lr, config.encoder.pooling) == (1e-4, "attention")


def test_a_whole_section_is_replaced() -> None:
    space = space_of(TASK + "training: {epochs: 3, batch_size: 8}\n", Path(), "training={epochs: 4}")
    training = space.config(space.default).training
    assert (training.epochs, training.batch_size) == (4, 32)


def test_a_task_is_added_as_a_whole_and_left_out_by_null() -> None:
    space = changed("tasks.extra={kind: regression, data: x}", "tasks.similarity=null")
    assert list(space.config(space.default).tasks) == ["sentiment", "extra"]


def test_an_entry_of_a_list_is_set_by_its_index() -> None:
    space = changed("tasks.sentiment.metrics.0=matthews")
    assert space.config(space.default).tasks["sentiment"].metrics == ("matthews", "macro_f1")


def test_an_empty_value_is_null() -> None:
    space = changed("training.gradient_clip=")
    assert space.config(space.default).training.gradient_clip is None


def test_later_overrides_win() -> None:
    assert changed("search.trials=3", "search.trials=4").search.trials == 4


def test_a_start_point_forgets_what_an_override_settles() -> None:
    text = CONDITIONAL.replace(
        "trials: 8",
        "start: [{optimizer.lr: 1e-4, training.batch_size: 32, schedule: linear, schedule.warmup_ratio: 0.1}]",
    )
    space = space_of(
        text, Path(), "optimizer.lr=3e-5", "schedule.name=plateau", "training.batch_size={choice: [32, 8]}"
    )
    assert space.start_params() == ({"training.batch_size": 32},)
    space = space_of(text, Path(), "schedule={choice: [{name: plateau}, {name: none}]}")
    assert space.start_params() == ({"optimizer.lr": 1e-4, "training.batch_size": 32},)


def test_a_start_point_s_own_mistake_is_still_told() -> None:
    text = CONDITIONAL.replace("trials: 8", "start: [{optimizer.lr: 1}]")
    with pytest.raises(ConfigError, match=r"search.start.0.optimizer.lr: must be in loguniform"):
        space_of(text, Path(), "training.batch_size=32")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("foo", "must be KEY=VALUE, such as --set optimizer.lr=3e-5"),
        ("=3", "must be KEY=VALUE, such as --set optimizer.lr=3e-5"),
        ("optimizer..lr=3", "must be KEY=VALUE, such as --set optimizer.lr=3e-5"),
        ("optimizer.lr=abc", "optimizer.lr: must be a number, but got the text 'abc'"),
        ("optimizer.lr={loguniform: [1,", "not valid YAML: expected the node content, but found '<stream end>'"),
        ("optimizer.lr={loguniform: [1, 0]}", "optimizer.lr: low < high must hold, but got loguniform: [1, 0]"),
        ("optimizer.lrr=3", "optimizer.lrr: unknown key; did you mean lr?"),
        ("optmizer.lr=3", "optmizer: unknown key; did you mean optimizer?"),
        ("lr=3", "lr: unknown key; did you mean optimizer.lr?"),
        ("schedule.patence=3", "schedule.patence: unknown key; did you mean patience?"),
        ("schedule.name=linea", "schedule.name: 'linea' is not a schedule; choose none, linear, cosine or plateau"),
        ("optimizer.name={choice: [adamw]}", "optimizer.name: must be adamw or sophiah, but got a mapping"),
        ("optimizer.lr.x=3", "optimizer.lr: holds a value, and nothing is under it; set optimizer.lr itself"),
        ("training.precision.x=3", "training.precision: holds a value, and nothing is under it"),
        (
            "optimizer.head_lr.x=3",
            "optimizer.head_lr: is the same as optimizer.lr; set that, or optimizer.head_lr as a whole",
        ),
        ("search.trials={choice: [1]}", "search.trials: a domain is not allowed here; write one value"),
        ("training.seed={int: [1, 2]}", "training.seed: a domain is not allowed here"),
        (
            "tasks.sentimen.weight=2",
            "tasks.sentimen: is not there; did you mean sentiment? A new one is set as a whole",
        ),
        ("tasks.sentiment.metrics.5=x", "tasks.sentiment.metrics.5: is not there; the list has 2, counted from 0"),
        ("environment=[HOME]", "environment: is declared in the file, not by --set"),
        ("encoder.model=${HOME}", "encoder.model: ${HOME} is not a declared environment variable"),
    ],
)
def test_an_override_that_cannot_be_is_told_with_its_argument(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        changed(override)
    assert str(error.value).startswith(f"--set {override}: {message}")
