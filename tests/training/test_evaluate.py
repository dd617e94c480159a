"""Metrics are over the entry of a prediction that they name, and the table of predictions can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mtsearch.data.examples import Example
from mtsearch.tasks.metrics import Metric
from mtsearch.training.evaluate import evaluate, prediction_table
from mtsearch.training.parts import Parts


def test_a_metric_is_over_the_entry_that_it_names(start: Callable[..., Parts]) -> None:
    seen: dict[str, Sequence[Any]] = {}

    def metric(name: str, **key: str) -> Metric:
        def compute(gold: Sequence[Any], predicted: Sequence[Any]) -> float:
            seen[name] = predicted
            return len(seen) / 10

        return Metric(name, "maximize", compute, **key)

    parts = start(tasks={"sentiment": {"kind": "classification", "data": "sst5"}})
    task = parts.tasks["sentiment"]
    metrics = {"accuracy": metric("accuracy"), "macro_f1": metric("macro_f1", key="probabilities")}
    result = evaluate(
        parts.state.model,
        task.kind,
        task.inventory,
        task.splits["dev"],
        task.examples["dev"],
        metrics,
        parts.prefix.batch,
        parts.accelerator,
        8,
    )
    assert {name: value for name, value in result.metrics.items() if name != "loss"} == {
        "accuracy": 0.1,
        "macro_f1": 0.2,
    }
    assert seen["accuracy"] == [one["prediction"] for one in result.predictions]
    assert seen["macro_f1"] == [one["probabilities"] for one in result.predictions]


def table(*labelled: tuple[Any, dict[str, Any]]) -> dict[str, list[str]]:
    examples = [Example(f"x{i}", ("text",), label, i + 1) for i, (label, _) in enumerate(labelled)]
    rows = prediction_table("task", "dev", examples, [prediction for _, prediction in labelled])
    assert rows["example"].tolist() == [f"x{i}" for i in range(len(labelled))]
    return {column: rows[column].tolist() for column in ("gold", "prediction", "scores")}


def test_classes_are_written_as_they_are() -> None:
    rows = table(("0", {"prediction": "4", "probabilities": [0.25, 0.75]}), ("4", {"prediction": "4"}))
    assert rows == {"gold": ["0", "4"], "prediction": ["4", "4"], "scores": ['{"probabilities": [0.25, 0.75]}', "{}"]}


def test_structures_and_answers_are_written_as_json() -> None:
    spans = ((0, 2, "PER"),)
    rows = table((spans, {"prediction": ()}), (1.5, {"prediction": 2.0}), ((("42", 7),), {"prediction": "42"}))
    assert rows["gold"] == ['[[0, 2, "PER"]]', "1.5", '[["42", 7]]']
    assert rows["prediction"] == ["[]", "2.0", '"42"']
    assert [json.loads(text) for text in rows["prediction"]] == [[], 2.0, "42"]  # an answer, not a number
