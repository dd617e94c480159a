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
        is_cost: whether it is what the training takes, told only where it is asked for.
    """

    name: str
    direction: Direction
    condition: str
    is_measured: Callable[[TrialConfig], bool]
    is_cost: bool = False


def _is_pruned(config: TrialConfig) -> bool:
    return config.pruning.name != "none"


def _always(config: TrialConfig) -> bool:
    return True


_PRUNED = "under a pruning other than none"

OVERALL_METRICS: Mapping[str, OverallMetric] = {
    metric.name: metric
    for metric in (
        OverallMetric("mean_score", "maximize", "always", _always),
        OverallMetric("worst_task", "maximize", "always", _always),
        OverallMetric("open_heads", "minimize", _PRUNED, _is_pruned),
        OverallMetric("latency_ratio", "minimize", _PRUNED, _is_pruned),
        OverallMetric("score_per_second", "maximize", "always", _always, is_cost=True),
        OverallMetric("examples_per_second", "maximize", "always", _always, is_cost=True),
        OverallMetric("parameters", "minimize", "always", _always, is_cost=True),
        OverallMetric("peak_memory_bytes", "minimize", "always", _always, is_cost=True),
    )
}
"""The metrics without a task, by name.

``worst_task`` is the least main metric of the scored tasks. ``score_per_second`` is ``mean_score`` by the seconds of
training and evaluation so far.
"""


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
