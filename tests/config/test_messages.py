"""Bad input: for each mistake the one line that a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.messages import InvalidConfigError
from mtsearch.errors import ConfigError
from tests.config.spaces import TASK, space_of

KINDS = (
    "classification, regression, pair_classification, pair_regression, tagging, ner, dependency, constituency, srl "
    "or qa"
)
REGRESSION = "tasks:\n  a: {kind: regression, data: x, "


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        space_of(text, Path())
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TASK + "optimizer:\n  name: sofia\n",
            "x.yaml:4:9: optimizer.name: 'sofia' is not an optimizer; choose adamw or sophiah",
        ),
        (TASK + "schedule: {name: linea}\n", "'linea' is not a schedule; choose none, linear, cosine or plateau"),
        (TASK + "optimizer: {name: 3}\n", "x.yaml:3:19: optimizer.name: must be adamw or sophiah, but got 3"),
        (TASK + "optimizer: {lr: 1e-3}\n", "x.yaml:3:1: optimizer.name: missing; choose adamw or sophiah"),
        (TASK + "optimizer: adamw\n", "x.yaml:3:12: optimizer: must be a mapping: write {name: adamw}"),
        (TASK + "encoder:\n  poolin: mean\n", "x.yaml:4:3: encoder.poolin: unknown key; did you mean pooling?"),
        (TASK + "resources: {x: 1}\n", "x.yaml:3:13: resources.x: unknown key; choose cpus, gpus or workers"),
        (TASK + "serch: {}\n", "x.yaml:3:1: serch: unknown key; did you mean search?"),
        (TASK + "optimizer: {name: adamw, lr: abc}\n", "optimizer.lr: must be a number, but got the text 'abc'"),
        (TASK + "optimizer: {name: adamw, lr: null}\n", "x.yaml:3:30: optimizer.lr: must be a number, but got null"),
        (TASK + "optimizer: {name: adamw, lr: -1}\n", "x.yaml:3:30: optimizer.lr: must be > 0, but got -1"),
        (TASK + "optimizer: {name: adamw, lr: .inf}\n", "optimizer.lr: must be a finite number, but got inf"),
        (TASK + "training: {batch_size: 16.0}\n", "training.batch_size: must be an integer, but got 16.0"),
        (TASK + "training: {batch_size: true}\n", "training.batch_size: must be an integer, but got true"),
        (TASK + "training: {gradient_clip: no}\n", "must be a number or null, but got the text 'no'"),
        (TASK + "training: {precision: f16}\n", "must be auto, fp32, bf16 or fp16, but got the text 'f16'"),
        (TASK + "training: [1]\n", "x.yaml:3:11: training: must be a mapping, but got a list"),
        (TASK + "encoder: {model: ''}\n", "x.yaml:3:18: encoder.model: must not be empty"),
        (
            TASK + "name: a/b\n",
            "x.yaml:3:7: name: must match ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$, but got the text 'a/b'",
        ),
        (TASK + "resources: all\n", "x.yaml:3:12: resources: must be auto or a mapping, but got the text 'all'"),
        (TASK + "resources: {cpus: 0}\n", "x.yaml:3:19: resources.cpus: must be > 0, but got 0"),
        (TASK + "search: {concurrency: 0}\n", "x.yaml:3:23: search.concurrency: must be > 0, but got 0"),
        (TASK + "search: {concurrency: 1.5}\n", "search.concurrency: must be auto or an integer, but got 1.5"),
        (TASK + "search: {time: 3x}\n", "search.time: a duration is a number of seconds or like 90s, 30m, 2h, 1d"),
        (
            TASK + "search: {metric: sentiment.acuracy}\n",
            "x.yaml:3:18: search.metric: 'sentiment.acuracy' is not measured",
        ),
        (
            TASK + "search: {scored_tasks: [sentimen]}\n",
            "'sentimen' is not a task of every trial; did you mean sentiment?",
        ),
        ("name: x\n", "x.yaml:1:1: tasks: missing; it must be given (the tasks by name; names have no dots)"),
        ("tasks: {}\n", "x.yaml:1:8: tasks: must have at least 1 entry, but got none"),
        (
            "tasks:\n  a: {kind: classification}\n",
            "x.yaml:2:3: tasks.a.data: missing; it must be given (the task's data set",
        ),
        ("tasks:\n  a: {kind: x, data: y}\n", f"x.yaml:2:13: tasks.a.kind: 'x' is not a kind of task; choose {KINDS}"),
        (
            "tasks: {a.b: {kind: regression, data: x}}\n",
            "x.yaml:1:14: tasks.a.b: a task's name must be letters, digits",
        ),
        (
            "tasks: {type: {kind: regression, data: x}}\n",
            "x.yaml:1:15: tasks.type: a task's name must not be one that torch's modules take, but got 'type'",
        ),
        (
            TASK + "adapters: {name: pal, rank: 200}\n",
            "x.yaml:3:29: adapters.rank: must be a multiple of attention_heads (12), but got 200; take 204",
        ),
        (REGRESSION + "low: 3, high: 1}\n", "x.yaml:2:3: tasks.a: low < high must hold, but got low=3.0, high=1.0"),
        (REGRESSION + "metrics: [recall]}\n", "tasks.a.metrics: 'recall' is not a metric; choose pearson, spearman"),
        (REGRESSION + "metrics: [macro_f1]}\n", "tasks.a.metrics: 'macro_f1' does not suit regression; choose pearson"),
        (TASK[:-2] + ", metrics: [pearson]}\n", "'pearson' does not suit classification; choose accuracy, macro_f1"),
        (
            "tasks:\n  a: {kind: tagging, data: x, metrics: [accuracy, las]}\n",
            "x.yaml:2:40: tasks.a.metrics: 'las' does not suit tagging; choose accuracy, macro_f1",
        ),
        (REGRESSION + "metrics: []}\n", "tasks.a.metrics: must have at least 1 entry, but got none"),
        (
            "tasks:\n  a: {kind: regression, data: {sorce: x}}\n",
            "x.yaml:2:32: tasks.a.data.sorce: unknown key; did you mean source?",
        ),
        (
            "tasks:\n  a: {kind: regression, data: {source: x, splits: {trian: y}}}\n",
            "tasks.a.data.splits.trian: unknown key; did you mean train?",
        ),
        (
            TASK + "optimizer: {name: sophiah, hessian_interval: 0}\n",
            "x.yaml:3:46: optimizer.hessian_interval: must be >= 1, but got 0",
        ),
        (
            TASK + "surgery: {name: pcgrd}\n",
            "x.yaml:3:17: surgery.name: 'pcgrd' is not a surgery; choose none, pcgrad or",
        ),
        (
            TASK + "weighting: {name: sum}\n",
            "x.yaml:3:19: weighting.name: 'sum' is not a weighting; choose static, unc",
        ),
        (
            TASK + "unfreezing: {name: gradual, interval: 0}\n",
            "x.yaml:3:39: unfreezing.interval: must be >= 1, but got 0",
        ),
        (
            TASK + "pruning: {name: l0, target_sparsity: 1}\n",
            "x.yaml:3:38: pruning.target_sparsity: must be < 1, but got 1",
        ),
        (
            TASK + "pruning: {name: l0, strength: 1.0, target_sparsity: 0.5}\n",
            "x.yaml:3:1: pruning: target_sparsity replaces strength, but got both; leave one out",
        ),
        (
            TASK + "pruning: {name: l0, strength: 1.0, mode: static}\n",
            "x.yaml:3:1: pruning: mode static prunes a trained model; name its run folder or checkpoint as source",
        ),
        (TASK + "pruning: {name: l1}\n", "x.yaml:3:17: pruning.name: 'l1' is not a pruning; choose none or l0"),
        (TASK + "regularizers: {smrt: {}}\n", "x.yaml:3:16: regularizers.smrt: unknown key; did you mean smart?"),
        (
            TASK + "surgery: {name: pcgrad}\n",
            "x.yaml:3:17: surgery.name: 'pcgrad' compares the gradients of several tasks, but there is one task; ",
        ),
        (
            TASK + "  b: {kind: regression, data: x}\nsurgery:\n  name: gradvac\n",
            "x.yaml:5:9: surgery.name: 'gradvac' compares the tasks' gradients within one update, but this sampler "
            "gives one task to an update; set sampler.mixed to true",
        ),
    ],
)
def test_a_broken_rule_is_told_with_its_place_value_and_remedy(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ("{loguniform: [3e-4, 1e-5]}", "3:43: optimizer.lr: low < high must hold, but got loguniform: [3e-4, 1e-5]"),
        ("{uniform: [1e-4, 1e-4]}", "low < high must hold"),
        ("{loguniform: [0, 1e-5]}", "3:44: optimizer.lr: low > 0 must hold on a logarithmic scale"),
        ("{loguniform: [1e-5, 30]}", "3:50: optimizer.lr: must be <= 1, but got 30"),
        ("{loguniform: [1e-5]}", "loguniform takes [low, high], but got a list of 1"),
        ("{loguniform: 3}", "loguniform takes [low, high], but got 3"),
        ("{loguniform: [1e-5, abc]}", "3:50: optimizer.lr: loguniform takes numbers, but got the text 'abc'"),
        ("{loguniform: [1e-5, .nan]}", "loguniform takes numbers, but got nan"),
        ("{uniform: [false, true]}", "uniform takes numbers, but got false"),
        ("{quniform: [0.1, 0.4]}", "quniform takes [low, high, step], but got a list of 2"),
        ("{quniform: [0.1, 0.4, 0]}", "step > 0 must hold"),
        (
            "{quniform: [0.1, 0.45, 0.1]}",
            "high must be low + a multiple of step, but got quniform: [0.1, 0.45, 0.1]; end at 0.4",
        ),
        ("{quniform: [0.1, 0.2, 0.5]}", "take a smaller step"),
        ("{int: [1.5, 3]}", "int takes integers, but got 1.5"),
        ("{uniform: [0.1, 0.2], step: 3}", "a domain has one key, but beside uniform there is step"),
        ("{loguniforme: [1e-5, 1e-3]}", "'loguniforme' is not a domain; did you mean loguniform?"),
        ("{choice: []}", "choice takes a list of options, but got none"),
        ("{choice: 3}", "choice takes a list of options, but got 3"),
        ("{choice: [1e-5, 1e-5]}", "two options are called 1e-5; tell them apart with {label: NAME, value: ...}"),
        ("{choice: [{uniform: [0.1, 0.2]}, {uniform: [0.3, 0.4]}]}", "two options are called uniform"),
        ("{choice: [1e-5, high]}", "3:46: optimizer.lr: must be a number, but got the text 'high'"),
        ("{choice: [{label: '', value: 1}]}", "a label is a name"),
        ("{choice: [{x: 1}]}", "option 1 has no name to call it by; add label: NAME to it"),
        ("{same_as: 3}", "same_as takes a path"),
        ("{same_as: optimizer.l}", "same_as: optimizer.l names nothing that is there; did you mean optimizer.lr?"),
        ("{same_as: optimizer.lr}", "same_as: optimizer.lr goes round in a circle"),
        ("{same_as: optimizer}", "same_as: optimizer goes round in a circle"),
    ],
)
def test_a_broken_domain_is_told_with_its_place(domain: str, message: str) -> None:
    assert message in refusal(TASK + f"optimizer: {{name: adamw, lr: {domain}}}\n")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("name: {choice: [a, b]}\n", "name"),
        ("search: {trials: {choice: [1, 2]}}\n", "search.trials"),
        ("search: {scheduler: {choice: [{name: asha}, {name: none}]}}\n", "search.scheduler"),
        ("resources: {cpus: {choice: [1, 2]}}\n", "resources.cpus"),
        ("training: {seed: {int: [1, 3]}}\n", "training.seed"),
        ("optimizer: {name: {choice: [adamw, x]}}\n", "optimizer.name"),
    ],
)
def test_a_domain_where_none_is_allowed_is_refused(text: str, path: str) -> None:
    assert f": {path}: a domain is not allowed here" in refusal(TASK + text)


def test_a_searched_task_kind_is_refused() -> None:
    message = refusal("tasks: {a: {kind: {choice: [classification, regression]}, data: x}}\n")
    assert "tasks.a.kind: a domain is not allowed here; choose among whole sections with tasks.a: {choice:" in message


def test_a_range_of_real_numbers_for_an_integer_names_the_right_keyword() -> None:
    message = refusal(TASK + "training: {batch_size: {uniform: [16, 64]}}\n")
    rule = "must be an integer, but uniform [16, 64] gives real numbers; write int: [16, 64]"
    assert message == f"x.yaml:3:24: training.batch_size: {rule}"


def test_a_problem_in_another_branch_is_found_and_located() -> None:
    text = TASK + "schedule:\n  choice:\n    - {name: linear}\n    - {name: plateau, patience: {int: [-1, 3]}}\n"
    assert refusal(text) == "x.yaml:6:40: schedule.patience: must be >= 0, but got -1"


def test_a_problem_in_a_nested_branch_is_found_and_located() -> None:
    text = TASK + (
        "schedule:\n"
        "  choice:\n"
        "    - {name: linear}\n"
        "    - {label: other, value: {choice: [{name: cosine}, {name: plateau, patence: 3}]}}\n"
    )
    assert refusal(text) == "x.yaml:6:71: schedule.patence: unknown key; did you mean patience?"


def test_an_option_that_is_refused_with_every_other_value_is_located() -> None:
    text = REGRESSION + "low: {choice: [0, 3]}, high: {choice: [1, 2]}}\n"
    assert refusal(text).startswith("x.yaml:2:52: tasks.a.low: 3 is refused whatever the rest is: tasks.a: low < high")


def test_searched_tasks_need_scored_tasks() -> None:
    text = TASK + "  extra: {choice: [null, {kind: classification, data: sst5}]}\n"
    assert "search.scored_tasks: missing; the tasks themselves are searched" in refusal(text)
    assert "scored_tasks: [sentiment]" in refusal(text)
    assert space_of(text + "search: {scored_tasks: [sentiment]}\n", Path()).search.scored_tasks == ("sentiment",)
    assert "'extra' is not a task of every trial" in refusal(text + "search: {scored_tasks: [extra]}\n")


def test_searched_settings_of_a_task_need_no_scored_tasks() -> None:
    text = "tasks: {a: {choice: [{label: x, kind: classification, data: x}, {kind: regression, data: y}]}}\n"
    assert space_of(text, Path()).search.scored_tasks is None


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            "{optimizer.lr: 1}",
            "x.yaml:6:21: search.start.0.optimizer.lr: must be in loguniform [1e-5, 1e-3], but got 1",
        ),
        ("{optimizr.lr: 1e-4}", "search.start.0.optimizr.lr: is not searched here; did you mean optimizer.lr?"),
        ("{schedule: linar}", "search.start.0.schedule: must be one of linear, plateau, but got 'linar'"),
        (
            "{schedule: linear, schedule.patience: 1}",
            "x.yaml:6:44: search.start.0.schedule.patience: exists only where schedule = plateau",
        ),
        ("3", "x.yaml:6:6: search.start.0: must be a mapping, or defaults, but got 3"),
    ],
)
def test_a_start_point_that_is_not_of_the_space_is_located(start: str, message: str) -> None:
    text = TASK + (
        "optimizer: {name: adamw, lr: {loguniform: [1e-5, 1e-3]}}\n"
        "schedule: {choice: [{name: linear}, {name: plateau, patience: {int: [1, 2]}}]}\n"
        f"search: {{start:\n    [{start}]}}\n"
    )
    assert message in refusal(text)


def test_a_start_point_that_the_rules_refuse_is_located() -> None:
    text = REGRESSION + "low: {choice: [0, 1]}, high: {choice: [1, 2]}}\n"
    message = refusal(text + "search: {start: [{tasks.a.low: 1, tasks.a.high: 1}]}\n")
    assert message.startswith("x.yaml:3:18: search.start.0: is refused: tasks.a: low < high must hold")


def test_the_first_problem_in_the_file_is_told_and_all_are_kept() -> None:
    text = TASK + "training: {epochs: 0, batch_size: x}\nencoder: {poolin: 1}\nsearch: {trials: 0}\n"
    with pytest.raises(InvalidConfigError) as error:
        space_of(text, Path())
    assert str(error.value) == "x.yaml:3:20: training.epochs: must be > 0, but got 0 (and 3 more)"
    assert [problem.path for problem in error.value.problems] == [
        "training.epochs",
        "training.batch_size",
        "encoder.poolin",
        "search.trials",
    ]


def test_plain_data_are_told_without_a_place() -> None:
    task = {"kind": "classification", "data": "sst5"}
    with pytest.raises(ConfigError) as error:
        load_space({"tasks": {"a": task}, "optimizer": {"name": "adamw", "lr": -1}})
    assert str(error.value) == "optimizer.lr: must be > 0, but got -1"
    with pytest.raises(ConfigError, match=r"^tasks.a.weight: must be plain data"):
        load_space({"tasks": {"a": {**task, "weight": object()}}})
    with pytest.raises(ConfigError, match=r"^tasks: a key must be text, but got 1"):
        load_space({"tasks": {1: task}})
