from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mtsearch.config.load import load_space, locate, shipped_spaces
from mtsearch.config.yaml12 import dump
from mtsearch.errors import ConfigError, PluginError
from tests.config.spaces import CONDITIONAL, TASK, space_of

PLUGIN = """\
from typing import Literal

from mtsearch.tasks.classification import Classification


class Irony(Classification):
    kind: Literal["irony"] = "irony"


TASKS = (Irony,)
"""

METHODS_PLUGIN = """\
from typing import Literal

from mtsearch.surgery import PCGrad
from mtsearch.unfreezing import Gradual
from mtsearch.weighting import Static


class Halves(Static):
    name: Literal["halves"] = "halves"


class Cautious(PCGrad):
    name: Literal["cautious"] = "cautious"


class Slow(Gradual):
    name: Literal["slow"] = "slow"


WEIGHTINGS, SURGERIES, UNFREEZINGS = (Halves,), (Cautious,), (Slow,)
"""

SHIPPED = ", ".join(shipped_spaces())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_shipped_spaces_load_and_none_of_their_draws_is_refused(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    assert space.refused_share == 0
    assert len(space.start_params()) == len(space.search.start)


@pytest.mark.parametrize("name", ["baseline", "baseline.yaml", "spaces/baseline.yaml", "search_spaces/baseline"])
def test_a_shipped_space_is_found_by_its_name_from_anywhere(name: str) -> None:
    assert locate(name) == shipped_spaces()["baseline"]


def test_a_file_of_the_working_folder_wins_over_a_shipped_space() -> None:
    Path("spaces").mkdir()
    shutil.copy(shipped_spaces()["quick"], "spaces/baseline.yaml")
    assert locate("spaces/baseline.yaml") == Path("spaces/baseline.yaml")
    assert load_space("spaces/baseline.yaml").name == "quick"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("baselin", f"baselin: no such file, nor a shipped space; did you mean baseline? shipped are {SHIPPED}"),
        ("spaces/x.yaml", f"spaces/x.yaml: no such file, nor a shipped space; shipped are {SHIPPED}"),
        ("a/baseline.yaml", f"a/baseline.yaml: no such file; shipped spaces are {SHIPPED}"),
        (".", ".: must be a YAML file, but is a folder"),
    ],
)
def test_a_name_that_means_nothing_is_told_with_what_is_shipped(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_space(name)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.yaml: must be a mapping of sections (tasks, encoder, ...), but is empty"),
        (b"# only a comment\n", "x.yaml: must be a mapping of sections (tasks, encoder, ...), but is empty"),
        (b"- a\n", "x.yaml: must be a mapping of sections (tasks, encoder, ...), but holds a list"),
        (b"5\n", "x.yaml: must be a mapping of sections (tasks, encoder, ...), but holds one value"),
        (b"a: \xff\n", "x.yaml: must be UTF-8 text, but byte 3 is not; save it as UTF-8"),
        (b"#" * 10_000_001, "x.yaml: is larger than 10 MB; a config is a small YAML text"),
        (b"{choice: [{name: a}]}", "x.yaml:1:1: the whole config cannot be a domain"),
    ],
)
def test_a_file_that_holds_no_config_is_told_in_one_line(content: bytes, message: str) -> None:
    Path("x.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_space("x.yaml")
    assert str(error.value).startswith(message)


def test_a_missing_file_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^nowhere/x.yaml: no such file$"):
        load_space(Path("nowhere/x.yaml"))


def test_a_byte_order_mark_is_no_text() -> None:
    Path("x.yaml").write_text(TASK, encoding="utf-8-sig")
    assert load_space("x.yaml").dimensions() == ()


def test_a_space_without_a_name_is_called_as_its_file() -> None:
    Path("my-space.yaml").write_text(TASK)
    assert load_space("my-space.yaml").name == "my-space"
    Path("my space.yaml").write_text(TASK)
    assert load_space("my space.yaml").name == "trial"
    assert load_space("my-space.yaml", ["name=other"]).name == "other"


def test_plain_data_load_as_a_file_does() -> None:
    plain = {
        "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
        "optimizer": {"name": "adamw", "lr": {"loguniform": (1e-5, 1e-3)}},
    }
    text = TASK + "name: trial\noptimizer: {name: adamw, lr: {loguniform: [1e-5, 1e-3]}}\n"
    assert load_space(plain) == space_of(text, Path())


def test_one_config_is_loaded_and_its_search_section_checked() -> None:
    Path("x.yaml").write_text(TASK + "search: {trials: 3}\nresources: {cpus: 2}\n")
    space = load_space("x.yaml", ["optimizer.lr=1e-4"])
    assert space.single_config().optimizer.lr == 1e-4
    assert space.resources != "auto"
    assert space.resources.cpus == 2
    Path("x.yaml").write_text(TASK + "search: {trials: x}\n")
    with pytest.raises(ConfigError, match=r"search.trials: must be an integer"):
        load_space("x.yaml")


def test_a_space_is_refused_as_one_config_with_all_that_is_open() -> None:
    Path("x.yaml").write_text(CONDITIONAL)
    with pytest.raises(ConfigError) as error:
        load_space("x.yaml", ["encoder.dropout=0.1", "optimizer.eps=1e-8"]).single_config()
    assert str(error.value) == (
        "x.yaml:5:24: one config is wanted, but these are open: training.batch_size, training.epochs, optimizer.lr, "
        "schedule, schedule.patience, schedule.warmup_ratio; settle each, such as --set training.batch_size=16"
    )


def test_a_space_with_all_settled_is_one_config() -> None:
    settled = [
        "encoder.dropout=0.1",
        "training.batch_size=16",
        "training.gradient_clip=1.0",
        "optimizer.lr=1e-4",
        "optimizer.weight_decay=0.1",
        "schedule=plateau",
        "schedule.patience=1",
    ]
    config = load_space("baseline", settled).single_config()
    assert config.schedule.model_dump() == {"name": "plateau", "factor": 0.1, "patience": 1}


def test_a_trial_s_own_config_loads_back_equal() -> None:
    space = load_space("baseline")
    config = space.config(space.default)
    Path("config.yaml").write_text(dump(config.model_dump(mode="json")))
    assert load_space("config.yaml").single_config() == config


def test_a_plugin_beside_the_space_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "irony.py").write_text(PLUGIN)
    (folder / "x.yaml").write_text("plugins: [irony.py]\ntasks: {a: {kind: irony, data: x}}\n")
    space = load_space(folder / "x.yaml")
    assert space.plugins == (str(folder / "irony.py"),)
    assert space.config(space.default).tasks["a"].kind == "irony"
    assert space_of(space.to_yaml(), Path()) == space


def test_a_plugins_kind_of_task_may_have_any_metric() -> None:
    Path("irony.py").write_text(PLUGIN)
    text = "plugins: [irony.py]\ntasks: {a: {kind: irony, data: x, metrics: [accuracy, matthews, pearson]}}\n"
    assert space_of(text, Path()).single_config().tasks["a"].metrics == ("accuracy", "matthews", "pearson")


def test_a_plugin_adds_weightings_surgeries_and_unfreezings() -> None:
    Path("mine.py").write_text(METHODS_PLUGIN)
    text = (
        TASK + "  b: {kind: regression, data: x}\nsampler: {name: uniform, mixed: true}\n"
        "weighting: {name: halves}\nsurgery: {name: cautious}\nunfreezing: {name: slow, interval: 2}\n"
    )
    config = space_of(text + "plugins: [mine.py]\n", Path()).single_config()
    assert (config.weighting.name, config.surgery.name, config.unfreezing.name) == ("halves", "cautious", "slow")
    with pytest.raises(ConfigError, match=r"x.yaml:5:19: weighting.name: 'halves' is not a weighting"):
        space_of(text, Path())


def test_a_plugin_can_be_set_and_is_then_found_from_the_working_folder() -> None:
    Path("irony.py").write_text(PLUGIN)
    text = "tasks: {a: {kind: irony, data: x}}\n"
    assert space_of(text, Path(), "plugins=[irony.py]").plugins == (str(Path("irony.py").resolve()),)
    with pytest.raises(ConfigError, match=r"x.yaml:1:19: tasks.a.kind: 'irony' is not a kind of task"):
        space_of(text, Path())


def test_a_plugin_may_be_a_module_of_a_package_and_take_its_tables_from_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("lab").mkdir()
    Path("lab/irony.py").write_text(PLUGIN)
    Path("lab/__init__.py").write_text("")
    Path("lab/plugin.py").write_text("from lab.irony import TASKS")
    monkeypatch.syspath_prepend(Path.cwd())
    for module in ("lab.irony", "lab.plugin"):
        space = space_of(f"plugins: [{module}]\ntasks: {{a: {{kind: irony, data: x}}}}\n", Path())
        assert space.single_config().tasks["a"].kind == "irony"


def test_a_path_of_nobody_s_home_is_taken_as_it_is() -> None:
    text = (
        "tasks: {a: {kind: classification, data: ~nobody-of-that-name/x}}\nencoder: {model: ~nobody-of-that-name/x}\n"
    )
    assert "~nobody-of-that-name/x" in space_of(text, Path()).single_config().encoder.model


def test_a_plugin_that_cannot_be_used_is_located() -> None:
    with pytest.raises(PluginError, match=r"^x.yaml:3:10: plugins: 'nothere' must be an importable module"):
        space_of(TASK + "plugins: [nothere]\n", Path())
    with pytest.raises(ConfigError, match=r"^x.yaml:3:10: plugins: must be a list of modules' names or .py files"):
        space_of(TASK + "plugins: nothere\n", Path())
