"""Which search algorithms and trial schedulers suit each other and a space; what an algorithm cannot learn there."""

from __future__ import annotations

from mtsearch.config.algorithms import Algorithm, Auto, CmaEs, Gp, Grid, Hebo, Nsga2, Tpe
from mtsearch.config.domains import Categorical
from mtsearch.config.messages import Problem
from mtsearch.config.nodes import Located, Path, dotted
from mtsearch.config.perturbed import PERTURBED, perturbed_dimensions
from mtsearch.config.rungs import most_evaluations, num_brackets, rungs
from mtsearch.config.schedulers import Asha, Hyperband, Median, NoScheduler, Pbt
from mtsearch.config.space import Dimension, SearchSpace

__all__ = ["GP_TRIALS", "algorithm_of", "drawn_at_random", "pair_problems"]

GP_TRIALS = 250
"""Trials for which ``auto`` takes a Gaussian process, whose cost grows with their cube."""


def algorithm_of(space: SearchSpace, number: int) -> Algorithm:
    """What proposes the trial of this number: the space's algorithm, and what ``auto`` comes to."""
    algorithm = space.search.algorithm
    if not isinstance(algorithm, Auto):
        return algorithm
    has_branches = any(dimension.branch for dimension in space.dimensions())
    can_learn = isinstance(space.search.scheduler, NoScheduler) and not has_branches
    return Gp() if can_learn and number < GP_TRIALS else Tpe()


def drawn_at_random(space: SearchSpace) -> tuple[Dimension, ...]:
    """The dimensions of which the algorithm learns nothing, though it learns."""
    algorithm = algorithm_of(space, 0)
    if not isinstance(algorithm, Gp | Hebo | CmaEs | Nsga2):
        return ()
    return tuple(dimension for dimension in space.dimensions() if not _is_learned(dimension, algorithm))


def _is_learned(dimension: Dimension, algorithm: Algorithm) -> bool:
    return not dimension.branch and not (isinstance(algorithm, CmaEs) and isinstance(dimension.domain, Categorical))


def pair_problems(space: SearchSpace, places: Located) -> list[Problem]:
    """What is wrong with the search algorithm and the trial scheduler, together and for this space.

    Args:
        space: with both.
        places: where the ``search`` section is written.
    """

    def problem(path: Path, message: str) -> Problem:
        place = next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), None)
        return Problem(None if place is None else place.value, dotted(path), message)

    return [problem(("search", *path), message) for path, message in (*_of_algorithm(space), *_of_scheduler(space))]


def _of_algorithm(space: SearchSpace) -> list[tuple[Path, str]]:
    search, found = space.search, list[tuple[Path, str]]()
    algorithm, scheduler = search.algorithm, search.scheduler
    path: Path = ("algorithm",)
    if isinstance(algorithm, Gp | Hebo | CmaEs | Nsga2):
        name = algorithm.name
        if not isinstance(scheduler, NoScheduler):
            found.append(
                (
                    path,
                    f"{name} learns from completed trials alone, but scheduler {scheduler.name} stops most of them "
                    "early; take scheduler: {name: none}, or algorithm: {name: tpe}, which learns from stopped ones",
                )
            )
        dimensions = space.dimensions()
        if dimensions and not any(_is_learned(dimension, algorithm) for dimension in dimensions):
            kind = "numbers" if isinstance(algorithm, CmaEs) else "dimensions"
            found.append(
                (path, f"{name} searches {kind} that every trial has, but there are none here; take {{name: tpe}}")
            )
    if isinstance(algorithm, Hebo | CmaEs):
        name = algorithm.name
        if len(search.metrics) > 1:
            found.append((path, f"{name} searches for one metric; take {{name: nsga2}}, {{name: gp}} or {{name: tpe}}"))
        if search.constraints:
            found.append((path, f"{name} takes no notice of search.constraints; take {{name: gp}} or {{name: tpe}}"))
    if isinstance(algorithm, Nsga2) and algorithm.population >= search.trials:
        message = (
            f"must be less than search.trials ({search.trials}), but got {algorithm.population}: the first generation "
            "is drawn at random; lower it, or take {name: tpe}"
        )
        found.append(((*path, "population"), message))
    return found


def _of_scheduler(space: SearchSpace) -> list[tuple[Path, str]]:
    scheduler = space.search.scheduler
    if isinstance(scheduler, NoScheduler) or (isinstance(scheduler, Asha) and scheduler.unit == "examples"):
        return []
    if isinstance(scheduler, Pbt):
        return _of_pbt(space)
    most = most_evaluations(space)
    grace = scheduler.grace if isinstance(scheduler, Median) else scheduler.first_rung
    if grace > most:
        message = (
            f"must be at most the evaluations of a trial ({most}), but got {grace}; "
            "lower it, raise training.epochs or training.evaluations_per_epoch, or take scheduler: {name: none}"
        )
        return [(("scheduler", "grace"), message)]
    if isinstance(scheduler, Median | Hyperband):
        return []
    num_rungs = len(rungs(scheduler, most))
    if num_brackets(scheduler, num_rungs) > num_rungs + 1:
        message = (
            f"must be at most {num_rungs + 1}, one for each rung below the end of the longest trial ({most} "
            f"evaluations) and one without, but got {scheduler.brackets}; lower it, or the reduction_factor"
        )
        return [(("scheduler", "brackets"), message)]
    return []


def _of_pbt(space: SearchSpace) -> list[tuple[Path, str]]:
    search, path = space.search, ("scheduler",)
    found: list[tuple[Path, str]] = []
    if not perturbed_dimensions(space):
        message = (
            f"pbt changes values in mid-training, but of those that it can none is searched over a range: "
            f"{', '.join(PERTURBED)}; take {{name: asha}}"
        )
        found.append((path, message))
    if isinstance(search.algorithm, Grid):
        found.append((path, "pbt leaves the points of a grid; take algorithm: {name: random}"))
    for name, is_asked in (("retrain_best", search.retrain_best), ("replicate", search.replicate is not None)):
        if is_asked:
            message = "must be left out with pbt: what its trials come to cannot be repeated from their configs alone"
            found.append(((name,), message))
    return found
