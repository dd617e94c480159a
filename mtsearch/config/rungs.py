"""Where a trial scheduler of rungs decides, and which bracket a trial is in.

With ``grace`` g, reduction factor η and trials of at most T evaluations, rung k lies at g·η^k, k = 0, 1, .. while
g·η^k < T; rungs between the same two evaluations are one. A trial of bracket s is judged at rungs s, s + 1, ..
"""

from __future__ import annotations

import math
import random
from typing import Any

from mtsearch.config.schedulers import Asha, Hyperband
from mtsearch.config.space import SearchSpace

__all__ = ["bracket_of", "bracket_weights", "draw_bracket", "most_evaluations", "num_brackets", "rungs", "rungs_of"]

_MOST_EXAMPLES = 10**12


def rungs(scheduler: Asha | Hyperband, most: int) -> tuple[int, ...]:
    """Where the first bracket's trials are judged, in the scheduler's unit, lowest first.

    Args:
        scheduler: grace and reduction factor.
        most: evaluations of the longest trial; nothing is decided at its end. Of no account where rungs are
            counted in examples.
    """
    if isinstance(scheduler, Asha) and scheduler.unit == "examples":
        most = _MOST_EXAMPLES
    found = []
    milestone = float(scheduler.first_rung)
    while milestone < most:
        found.append(math.ceil(milestone))
        milestone *= scheduler.factor
    return tuple(dict.fromkeys(rung for rung in found if rung < most))


def rungs_of(space: SearchSpace) -> tuple[int, ...] | None:
    """Where the first bracket's trials of a space are judged; None if its trial scheduler has no rungs."""
    scheduler = space.search.scheduler
    return rungs(scheduler, most_evaluations(space)) if isinstance(scheduler, Asha | Hyperband) else None


def num_brackets(scheduler: Asha | Hyperband, num_rungs: int) -> int:
    """How many brackets trials are put into; HyperBand's last one has no rung."""
    return scheduler.brackets if isinstance(scheduler, Asha) else num_rungs + 1


def bracket_weights(scheduler: Asha | Hyperband, num_rungs: int) -> tuple[float, ...]:
    """Of each bracket how often it is drawn: as many trials as HyperBand starts in it.

    With K brackets possible (one for each rung, and one without), bracket s gets K / (K - s) · η^(K - s - 1).

    Source: Li et al. 2018, Hyperband, arXiv 1603.06560, algorithm 1; as weights in Klein et al. 2020, arXiv 2003.10865.
    """
    possible = num_rungs + 1
    return tuple(
        possible / (possible - s) * scheduler.factor ** (possible - s - 1)
        for s in range(num_brackets(scheduler, num_rungs))
    )


def draw_bracket(scheduler: Asha | Hyperband, num_rungs: int, seed: int, number: int) -> int:
    """The bracket of a trial, which depends on nothing but these.

    Args:
        scheduler: with its brackets.
        num_rungs: of the first bracket.
        seed: of the search.
        number: of the trial.
    """
    weights = bracket_weights(scheduler, num_rungs)
    return random.Random(f"bracket {seed} {number}").choices(range(len(weights)), weights)[0]


def bracket_of(space: SearchSpace, num_rungs: int | None, number: int) -> int:
    """The bracket of a space's trial; 0 where its trial scheduler has none.

    Args:
        space: with its trial scheduler and the search's seed.
        num_rungs: of the first bracket; None where there are none.
        number: of the trial.
    """
    scheduler = space.search.scheduler
    if num_rungs is None or not isinstance(scheduler, Asha | Hyperband):
        return 0
    return draw_bracket(scheduler, num_rungs, space.search.seed, number)


def most_evaluations(space: SearchSpace) -> int:
    """Evaluations of the longest trial that the space allows, or more if it never joins most epochs and most
    evaluations in one."""

    def training(forced: dict[str, Any]) -> dict[str, Any]:
        draw = space.draw(lambda d: forced.get(d.name, d.domain.middle))
        section: dict[str, Any] = draw.tree["training"]
        return section

    ends = [dimension.params_with(end) for dimension in space.dimensions() for end in dimension.domain.extremes]
    sections = [training(forced) for forced in [{}, *ends]]
    return math.prod(max(section[name] for section in sections) for name in ("epochs", "evaluations_per_epoch"))
