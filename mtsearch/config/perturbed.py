"""What population based training may change in mid-training, and how."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from mtsearch.config.domains import Float
from mtsearch.config.space import Dimension, Infeasible, SearchSpace

__all__ = ["PERTURBED", "perturb", "perturbed_dimensions"]

PERTURBED = (
    "optimizer.lr",
    "optimizer.head_lr",
    "optimizer.weight_decay",
    "encoder.dropout",
    "encoder.attention_dropout",
    "regularizers.smart.weight",
    "regularizers.proximal.weight",
)
"""Values that a training can go on with changed, of the same model and the same state."""

_TRIES = 20


def perturbed_dimensions(space: SearchSpace) -> tuple[Dimension, ...]:
    """The dimensions that are changed: ranges, not choices."""
    return tuple(
        dimension
        for dimension in space.dimensions()
        if dimension.path in PERTURBED and isinstance(dimension.domain, Float)
    )


def perturb(space: SearchSpace, params: Mapping[str, Any], factor: float, rng: random.Random) -> dict[str, Any]:
    """A point beside another: each value that may change is multiplied with ``factor`` or divided by it, by lot.

    A value stays in its range and on its grid. Where the rules refuse twenty such points, the point itself.

    Args:
        space: of the points.
        params: the point.
        factor: above 1.
        rng: throws the lots.
    """
    dimensions = [dimension for dimension in perturbed_dimensions(space) if dimension.name in params]
    for _ in range(_TRIES):
        changed = dict(params)
        for dimension in dimensions:
            changed[dimension.name] = dimension.domain.settle(params[dimension.name] * rng.choice((factor, 1 / factor)))
        try:
            space.config_from_params(changed)
        except Infeasible:
            continue
        return changed
    return dict(params)
