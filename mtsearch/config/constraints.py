"""What a trial must reach or keep to before it can win: ``similarity.pearson >= 0.85``, ``latency_ratio <= 0.7``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Constraint"]

_CONSTRAINT = re.compile(r"\s*([\w.-]+)\s*(>=|<=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a metric at a trial's best evaluation.

    Attributes:
        metric: as in ``search.metric``.
        relation: which side of the bound is allowed; the bound itself is.
        bound: in the metric's unit.
    """

    metric: str
    relation: Literal[">=", "<="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """The constraint that a text such as ``similarity.pearson >= 0.85`` states.

        Raises:
            ValueError: it states none.
        """
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            raise ValueError(f"must be METRIC >= NUMBER or METRIC <= NUMBER, but got {text!r}")
        return cls(match[1], ">=" if match[2] == ">=" else "<=", float(match[3]))

    def shortfall(self, scores: Mapping[str, float]) -> float:
        """How far scores are on the wrong side of the bound; 0 or less on the right one, inf if not measured."""
        value = scores.get(self.metric, math.nan)
        distance = self.bound - value if self.relation == ">=" else value - self.bound
        return math.inf if math.isnan(distance) else distance

    def __str__(self) -> str:
        bound = int(self.bound) if self.bound.is_integer() else self.bound  # every digit: it is read again
        return f"{self.metric} {self.relation} {bound}"
