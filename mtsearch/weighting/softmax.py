"""Weights of K tasks that sum to K, from one number for each."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["softmax_weights"]


def softmax_weights(scores: Mapping[str, float]) -> dict[str, float]:
    """K times the softmax over the K tasks' scores: weights that average 1."""
    largest = max(scores.values())
    powers = {task: math.exp(score - largest) for task, score in scores.items()}
    total = sum(powers.values())
    return {task: len(powers) * power / total for task, power in powers.items()}
