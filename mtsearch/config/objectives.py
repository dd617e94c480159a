"""What a search can be for: the metrics of tasks, and those over all tasks; when a trial has them, and which way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mtsearch.config.plugins import load_tables
from mtsearch.config.trial import TrialConfig
from mtsearch.tasks.metrics import Direction

__all__ = ["OVERALL_METRICS", "OverallMetric", "direction_of", "measured_metrics"]


@dataclass(frozen=True)
class OverallMetric:
    """A metric without a task, which a trial reports for dev at every evaluation.

    Attributes:
        name: as configs and tables call it.
        direction: which way is better.
        condition: which trials report it, in words.
        is_measured: whether a trial does.
    """

    name: str
    direction: Direction
    condition: str
    is_measured: Callable[[TrialConfig], bool]


def _is_pruned(config: TrialConfig) -> bool:
    return config.pruning.name != "none"


_PRUNED = "under a pruning other than none"

OVERALL_METRICS: Mapping[str, OverallMetric] = {
    metric.name: metric
    for metric in (
        OverallMetric("mean_score", "maximize", "always", lambda config: True),
        OverallMetric("open_heads", "minimize", _PRUNED, _is_pruned),
        OverallMetric("latency_ratio", "minimize", _PRUNED, _is_pruned),
    )
}
"""The metrics without a task, by name."""


def measured_metrics(config: TrialConfig) -> tuple[str, ...]:
    """All that a trial can be searched for: metrics over all tasks, and ``TASK.METRIC``."""
    overall = [metric.name for metric in OVERALL_METRICS.values() if metric.is_measured(config)]
    return (*overall, *(f"{name}.{metric}" for name, task in config.tasks.items() for metric in task.metrics))


def direction_of(metric: str, plugins: tuple[str, ...]) -> Direction:
    """Which way a metric that a trial measures is better.

    Args:
        metric: ``mean_score`` or another one over all tasks, or ``TASK.METRIC``.
        plugins: the modules whose metrics are known too.
    """
    if metric in OVERALL_METRICS:
        return OVERALL_METRICS[metric].direction
    return load_tables(plugins).metrics[metric.split(".", 1)[1]].direction
