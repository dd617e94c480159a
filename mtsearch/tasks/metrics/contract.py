"""What a metric is: from all gold labels and all predictions of a split to one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Direction", "Metric"]

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A metric: its name, which way is better, and the function over the corpus.

    Attributes:
        name: as configs and tables call it.
        direction: ``maximize`` or ``minimize``.
        compute: ``(gold, predicted) -> number``; ratios lie in [0, 1], correlations in [-1, 1]. Labels that are
            structures may come as tuples or, from JSON, as lists. A
            :class:`~mtsearch.tasks.metrics.micro.MicroAverage` where the metric is one.
        key: which entry of a decoded prediction is compared with the gold label.
        kinds: of the kinds of task that come with mtsearch, those whose labels it can compare; empty for all. A
            plugin's kind of task may have any metric.
    """

    name: str
    direction: Direction
    compute: Callable[[Sequence[Any], Sequence[Any]], float]
    key: str = "prediction"
    kinds: tuple[str, ...] = ()
