"""Trial schedulers: ASHA's rungs, and Ray's scheduler filled with what a search has already seen.

Rungs. With ``grace`` g, reduction factor η and trials of at most T evaluations, rung k lies at g·η^k evaluations,
k = 0, 1, .. while g·η^k < T; a trial meets it at the first evaluation that is not below. There it goes on if its
score is not below the (1 - 1/η) quantile of the scores recorded at the rung so far, its own not counted; the first
to arrive always goes on. An evaluation is recorded at one rung only, the highest one that it meets.

Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, arXiv 1810.05934, section 3.2, in the
stopping variant of Ray Tune: a trial never waits at a rung, and is never taken up again after it was stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from mtsearch.config.schedulers import Asha, NoScheduler
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError
from mtsearch.search.state import RunState

__all__ = ["EVALUATION", "SCORE", "build_scheduler", "most_evaluations", "rungs"]

EVALUATION, SCORE = "evaluation", "score"
"""What a trial's results are called for Ray."""


def rungs(asha: Asha, most: int) -> tuple[int, ...]:
    """The evaluations at which ASHA decides, lowest first.

    Args:
        asha: grace and reduction factor.
        most: evaluations of the longest trial; nothing is decided at its end.
    """
    found = []
    milestone = float(asha.grace)
    while milestone < most:
        found.append(math.ceil(milestone))
        milestone *= asha.reduction_factor
    return tuple(dict.fromkeys(rung for rung in found if rung < most))


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


def build_scheduler(asha: Asha | NoScheduler, most: int, state: RunState) -> TrialScheduler:
    """Ray's scheduler, knowing what the search has seen so far.

    A trial that is taken up again finds its own scores in the rungs that it passed: else it would write a later
    score into them, and an emptied rung would let anything pass.

    Args:
        asha: the trial scheduler's config.
        most: evaluations of the longest trial.
        state: the trials so far.

    Raises:
        ConfigError: the first rung lies beyond the end of every trial.
    """
    if isinstance(asha, NoScheduler):
        return FIFOScheduler()
    if asha.grace > most:
        raise ConfigError(
            f"search.scheduler.grace: must be at most the evaluations of a trial ({most}), but got {asha.grace}; "
            "lower it, raise training.epochs or training.evaluations_per_epoch, or take scheduler: {name: none}"
        )
    scheduler = AsyncHyperBandScheduler(
        time_attr=EVALUATION,
        metric=SCORE,
        mode="max",
        max_t=most,
        grace_period=asha.grace,
        reduction_factor=asha.reduction_factor,
    )
    for trial in state.trials.values():
        seen = _Seen(trial.trial_id)
        scheduler.on_trial_add(None, seen)
        for evaluation, score in sorted(trial.scores.items()):
            scheduler.on_trial_result(None, seen, {EVALUATION: evaluation, SCORE: score})
        if not trial.is_open:
            scheduler.on_trial_remove(None, seen)
    return scheduler


@dataclass(frozen=True)
class _Seen:
    """As much of Ray's trial as its scheduler looks at."""

    trial_id: str
