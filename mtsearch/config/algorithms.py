"""The search algorithms: how the next trial is chosen."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mtsearch.config.base import Frozen

__all__ = ["Algorithm", "Auto", "CmaEs", "Gp", "Grid", "Hebo", "Nsga2", "Random", "Tpe"]


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


class Hebo(Frozen):
    """HEBO (Cowen-Rivers et al. 2022): a Gaussian process over warped scores, and three acquisition functions at once.

    For few and dear trials, and one metric. It learns from completed trials, and what not every trial has is drawn at
    random. A proposal takes seconds; as HEBO draws from generators that cannot be seeded, another search of the same
    seed has other ones. It is no extra, since what it asks for excludes a numpy that we need: ``pip install gpytorch
    pymoo disjoint-set``, then ``pip install --no-deps HEBO`` (0.3.6 does work with numpy 2.4 and pymoo 0.6.2).
    """

    name: Literal["hebo"] = "hebo"
    startup_trials: int = Field(default=10, ge=2)
    """Trials that are completed before HEBO takes over; until then all are drawn at random."""

    @model_validator(mode="after")
    def _is_installed(self) -> Hebo:
        if missing := [name for name in ("hebo", "gpytorch", "pymoo", "disjoint_set") if find_spec(name) is None]:
            raise ValueError(
                f"hebo needs packages that are not here ({', '.join(missing)}); pip install gpytorch pymoo "
                "disjoint-set and then, as it asks for too old a numpy, pip install --no-deps HEBO; or take another "
                "algorithm"
            )
        return self


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


Algorithm = Annotated[Tpe | Gp | Hebo | CmaEs | Nsga2 | Random | Grid | Auto, Field(discriminator="name")]
