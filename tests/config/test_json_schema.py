from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mtsearch.config.json_schema import json_schema
from mtsearch.config.load import shipped_spaces
from mtsearch.config.syntax import written
from mtsearch.config.yaml12 import parse
from tests.config.spaces import CONDITIONAL, TASK, space_of


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def plain(text: str) -> Any:
    return written(parse(text, "x.yaml"))


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_shipped_spaces_are_legal(validator: Draft202012Validator, name: str) -> None:
    validator.validate(plain(shipped_spaces()[name].read_text(encoding="utf-8")))


def test_conditionals_labels_and_nested_domains_are_legal(validator: Draft202012Validator) -> None:
    validator.validate(plain(CONDITIONAL))
    text = TASK + (
        "  extra: {choice: [null, {label: x, kind: regression, data: {source: x, limit: 5}}]}\n"
        "schedule: {choice: [{name: plateau}, {label: warm, value: {choice: [{name: linear}]}}]}\n"
        "search: {time: 2h, concurrency: 3, scored_tasks: [sentiment]}\n"
        "resources: {gpus: 0.5}\nenvironment: [SCRATCH]\n"
    )
    validator.validate(plain(text))


SUBSETS = "tasks: {subsets: {of: {a: {kind: classification, data: x, weight: {uniform: [1, 2]}}}%s}}\n"


@pytest.mark.parametrize("sets", [", sizes: [1, 2]", ", sets: [[a]]", ", sizes: [1], sets: [[a, b]]"])
def test_sets_of_tasks_are_legal(validator: Draft202012Validator, sets: str) -> None:
    validator.validate(plain(SUBSETS % sets))


@pytest.mark.parametrize("sets", ["", ", sizes: [a]", ", sizes: []", ", sets: [a]", ", sets: [[1]]", ", size: [1]"])
def test_broken_sets_of_tasks_are_illegal(validator: Draft202012Validator, sets: str) -> None:
    assert not validator.is_valid(plain(SUBSETS % sets))


def test_only_tasks_have_sets(validator: Draft202012Validator) -> None:
    assert not validator.is_valid(plain(TASK + "encoder: {subsets: {of: {model: x}, sizes: [1]}}\n"))


def test_a_resolved_space_is_legal(validator: Draft202012Validator, tmp_path: Path) -> None:
    validator.validate(plain(space_of(CONDITIONAL, tmp_path).to_yaml()))


@pytest.mark.parametrize("metric", ["mean_score", "[mean_score, sentiment.macro_f1]"])
def test_one_objective_and_several_are_legal(validator: Draft202012Validator, metric: str) -> None:
    validator.validate(plain(TASK + f"search: {{metric: {metric}}}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "search: {metric: []}\n",
        "search: {metric: [mean_score, 3]}\n",
        "encoder: {poolin: mean}\n",
        "encodr: {}\n",
        "optimizer: {name: adamw, lrr: 1e-4}\n",
        "optimizer: {name: sofia}\n",
        "optimizer: {lr: 1e-4}\n",
        "optimizer: {name: adamw, lr: abc}\n",
        "optimizer: {name: adamw, lr: {loguniforme: [1e-5, 1e-3]}}\n",
        "optimizer: {name: adamw, lr: {loguniform: [1e-5]}}\n",
        "schedule: {choice: [{name: plateau, patence: 3}]}\n",
        "training: {batch_size: {choice: [16, x]}}\n",
        "training: {batch_size: {uniform: [16, 64]}}\n",
        "training: {seed: {int: [1, 3]}}\n",
        "schedule: {choice: []}\n",
        "search: {trials: {choice: [1, 2]}}\n",
        "search: {trial: 3}\n",
        "resources: all\n",
    ],
)
def test_what_the_loader_refuses_by_name_or_type_is_illegal(validator: Draft202012Validator, text: str) -> None:
    assert not validator.is_valid(plain(TASK + text))


def test_fields_carry_their_documentation() -> None:
    schema = json_schema()
    assert schema["$defs"]["AdamW"]["properties"]["lr"]["description"] == "Learning rate of the encoder, per update."
    assert schema["properties"]["search"]["description"].startswith("How the space is searched")
    assert "title" not in schema["$defs"]["AdamW"]["properties"]["lr"]
