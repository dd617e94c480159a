"""The search algorithm and the trial scheduler of a space, in words."""

from __future__ import annotations

from typing import assert_never

from mtsearch.config.algorithms import Auto, CmaEs, Gp, Grid, Hebo, Nsga2, Random, Tpe
from mtsearch.config.pairs import GP_TRIALS, algorithm_of, drawn_at_random
from mtsearch.config.perturbed import perturbed_dimensions
from mtsearch.config.rungs import bracket_weights, rungs_of
from mtsearch.config.schedulers import Asha, Hyperband, Median, NoScheduler, Pbt
from mtsearch.config.space import SearchSpace

__all__ = ["algorithm_in_words", "scheduler_in_words"]

_SHOWN = 4  # rungs, and dimensions


def algorithm_in_words(space: SearchSpace) -> str:
    """How trials are proposed: ``tpe after 10 random trials``."""
    first = algorithm_of(space, 0)
    match first:
        case Tpe() | Gp() | Hebo():
            text = f"{first.name} after {first.startup_trials} random trials" if first.startup_trials else first.name
        case CmaEs():
            text = "cmaes"
        case Nsga2():
            text = f"nsga2 in generations of {first.population}, the first one at random"
        case Random():
            text = "random draws"
        case Grid():
            text = "grid"
        case Auto():
            raise AssertionError("auto is settled")
        case _:
            assert_never(first)
    if isinstance(space.search.algorithm, Auto):
        text = f"auto: {text}" + (f", tpe from trial {GP_TRIALS} on" if isinstance(first, Gp) else "")
    names = [dimension.path for dimension in drawn_at_random(space)]
    if names:
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        text += f"; it learns nothing of {shown}, drawn at random"
    return text


def scheduler_in_words(space: SearchSpace) -> str:
    """Which trials are stopped: ``asha stops trials at evaluations 1, 3 and 9, where one in 3 goes on``."""
    scheduler = space.search.scheduler
    match scheduler:
        case NoScheduler():
            return "every trial runs to its end"
        case Median():
            return (
                f"median stops trials below the median of the others, from evaluation {scheduler.grace} on, "
                f"once {scheduler.min_trials} others have come as far"
            )
        case Pbt():
            every = "every evaluation" if scheduler.interval == 1 else f"every {scheduler.interval} evaluations"
            paths = ", ".join(dict.fromkeys(dimension.path for dimension in perturbed_dimensions(space)))
            return (
                f"pbt stops the worst {scheduler.share:.0%} of trials after {every}, and goes on from the best "
                f"{scheduler.share:.0%} with another {paths}"
            )
        case Asha() | Hyperband():
            at = rungs_of(space)
        case _:
            assert_never(scheduler)
    if not at:
        return f"{scheduler.name} stops no trial: there is no rung before their end"
    unit = scheduler.unit if isinstance(scheduler, Asha) else "evaluations"
    listed = [f"{rung:,}" for rung in at[:_SHOWN]] + ([".."] if len(at) > _SHOWN else [])
    text = (
        f"{scheduler.name} stops trials at {unit if len(at) > 1 else unit.removesuffix('s')} {', '.join(listed)}, "
        f"where one in {scheduler.factor:g} goes on"
    )
    weights = bracket_weights(scheduler, len(at)) if unit == "evaluations" else (1.0,)
    if len(weights) > 1:
        shares = ", ".join(f"{weight / sum(weights):.0%}" for weight in weights)
        text += f"; {shares} of them pass 0, 1, .. rungs unjudged ({len(weights)} brackets)"
    return text
