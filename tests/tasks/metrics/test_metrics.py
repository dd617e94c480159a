"""Metrics held to numbers worked by hand."""

from __future__ import annotations

import math

import pytest

from mtsearch.tasks.metrics import METRICS


@pytest.mark.parametrize(
    ("name", "gold", "predicted", "expected"),
    [
        ("accuracy", ["a", "b", "b", "a"], ["a", "b", "a", "a"], 3 / 4),
        # a: precision 2/3, recall 1, F1 0.8; b: precision 1, recall 1/2, F1 2/3
        ("macro_f1", ["a", "b", "b", "a"], ["a", "b", "a", "a"], (0.8 + 2 / 3) / 2),
        # (tp·tn - fp·fn) / sqrt(...) with tp=1 tn=2 fp=0 fn=1
        ("matthews", ["a", "b", "b", "a"], ["a", "b", "a", "a"], 2 / math.sqrt(1 * 2 * 2 * 3)),
        ("matthews", ["a", "b"], ["a", "a"], 0.0),
        ("pearson", [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], 1.0),
        ("pearson", [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], 0.5),
        ("pearson", [1.0, 2.0, 3.0], [7.0, 7.0, 7.0], 0.0),
        ("pearson", [1.0, 2.0, 3.0], [2.5, 2.5000001, 2.4999999], 0.0),
        ("spearman", [1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 99.0], 0.8),
        ("spearman", [1.0, 2.0], [3.0, 3.0], 0.0),
        ("mean_squared_error", [1.0, 2.0], [2.0, 4.0], 2.5),
    ],
)
def test_a_metric_worked_by_hand(name: str, gold: list[object], predicted: list[object], expected: float) -> None:
    assert METRICS[name].compute(gold, predicted) == pytest.approx(expected, abs=1e-9)


def test_only_errors_are_minimised() -> None:
    assert [name for name, metric in METRICS.items() if metric.direction == "minimize"] == ["mean_squared_error"]
