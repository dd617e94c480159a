"""Metrics of numbers held to numbers worked by hand."""

from __future__ import annotations

import pytest

from mtsearch.tasks.metrics import METRICS


@pytest.mark.parametrize(
    ("name", "gold", "predicted", "expected"),
    [
        ("pearson", [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], 1.0),
        ("pearson", [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], 0.5),
        ("pearson", [1.0, 2.0, 3.0], [7.0, 7.0, 7.0], 0.0),
        ("pearson", [1.0, 2.0, 3.0], [2.5, 2.5000001, 2.4999999], 0.0),
        ("spearman", [1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 99.0], 0.8),
        ("spearman", [1.0, 2.0], [3.0, 3.0], 0.0),
        ("mean_squared_error", [1.0, 2.0], [2.0, 4.0], 2.5),
    ],
)
def test_a_metric_worked_by_hand(name: str, gold: list[float], predicted: list[float], expected: float) -> None:
    assert METRICS[name].compute(gold, predicted) == pytest.approx(expected, abs=1e-9)
