"""Metrics over a whole corpus: from all gold labels and all predictions to one number; a file for each family."""

from __future__ import annotations

from collections.abc import Mapping

from mtsearch.tasks.metrics import classification, constituency, dependency, qa, regression, spans, srl
from mtsearch.tasks.metrics.contract import Direction, Metric

__all__ = ["METRICS", "Direction", "Metric"]

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for family in (classification, regression, spans, dependency, constituency, srl, qa)
    for metric in family.METRICS
}
"""The metrics by name. A plugin adds its own through ``METRICS``."""
