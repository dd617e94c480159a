"""The search algorithms: how the next trial is chosen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mtsearch.config.base import Frozen

__all__ = ["Algorithm", "Grid", "Random", "Tpe"]


class Tpe(Frozen):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), Optuna's: multivariate, grouped, constant liar."""

    name: Literal["tpe"] = "tpe"
    startup_trials: int = Field(default=10, ge=0)
    """Trials drawn at random before the estimator takes over."""


class Random(Frozen):
    """Independent random draws."""

    name: Literal["random"] = "random"


class Grid(Frozen):
    """Every point once: the dimension that is written first varies slowest. For choices, and numbers with a step."""

    name: Literal["grid"] = "grid"


Algorithm = Annotated[Tpe | Random | Grid, Field(discriminator="name")]
