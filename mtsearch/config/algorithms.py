"""The search algorithms: how the next trial is chosen."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mtsearch.config.base import Frozen

__all__ = ["Algorithm", "Auto", "CmaEs", "Gp", "Grid", "Nsga2", "Random", "Tpe"]


class Tpe(Frozen):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), Optuna's: multivariate, grouped, constant liar.

    The only one that learns from trials that were stopped early, and in branches that not every trial takes.
    """

    name: Literal["tpe"] = "tpe"
    startup_trials: int = Field(default=10, ge=0)
    """Trials drawn at random before the estimator takes over."""


class Gp(Frozen):
    """Gaussian process with expected improvement, Optuna's; of several metrics, of the Pareto front's hypervolume.

    For few and dear trials. It learns from completed trials, and what not every trial has is drawn at random.
    """

    name: Literal["gp"] = "gp"
    startup_trials: int = Field(default=10, gt=0)
    """Trials that are completed before the process takes over; until then all are drawn at random."""


class CmaEs(Frozen):
    """CMA-ES (Hansen & Ostermeier 2001), Optuna's: a population that moves and stretches towards better numbers.

    For one metric and numbers alone. It learns from completed trials; choices, and what not every trial has, are
    drawn at random. It needs the extra ``cmaes``.
    """

    name: Literal["cmaes"] = "cmaes"
    population: int | None = Field(default=None, ge=4)
    """Trials in a generation; null takes 4 + 3·ln(numbers that are searched)."""

    @model_validator(mode="after")
    def _is_installed(self) -> CmaEs:
        if find_spec("cmaes") is None:
            raise ValueError("cmaes needs the package of that name; install mtsearch[cmaes], or take another algorithm")
        return self


class Nsga2(Frozen):
    """NSGA-II (Deb et al. 2002), Optuna's: generations bred from those on the Pareto front.

    It learns from completed trials; what not every trial has is drawn at random.
    """

    name: Literal["nsga2"] = "nsga2"
    population: int = Field(default=20, ge=2)
    """Completed trials in a generation; the first is drawn at random."""


class Random(Frozen):
    """Independent random draws."""

    name: Literal["random"] = "random"


class Grid(Frozen):
    """Every point once: the dimension that is written first varies slowest. For choices, and numbers with a step."""

    name: Literal["grid"] = "grid"


class Auto(Frozen):
    """Settled by the space: ``gp`` for the first 250 trials if it can learn from all of them, else ``tpe``.

    It can where no trial is stopped early and every trial has every dimension. Settled before the first trial, so
    that a search that is taken up again goes on as it would have; OptunaHub's AutoSampler, which is fetched from the
    network when it is used, decides anew at each trial.
    """

    name: Literal["auto"] = "auto"


Algorithm = Annotated[Tpe | Gp | CmaEs | Nsga2 | Random | Grid | Auto, Field(discriminator="name")]
