"""The trial schedulers: which running trials are stopped early."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mtsearch.config.base import Frozen

__all__ = ["Asha", "Hyperband", "Median", "NoScheduler", "Pbt", "Scheduler"]

_MODES = {"aggressive": (1, 4.0), "standard": (1, 3.0), "conservative": (2, 2.0)}


class Asha(Frozen):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), the stopping variant.

    Rungs lie at ``grace · reduction_factor^k``; at a rung a trial goes on if its score is in the
    top 1/reduction_factor of those that reached it so far.
    """

    name: Literal["asha"] = "asha"
    mode: Literal["aggressive", "standard", "conservative"] = "standard"
    """What ``grace`` and ``reduction_factor`` are where they are not given.

    ``aggressive``: every trial gets 1 evaluation, and a rung lets one in 4 go on. ``standard``: 1, and one in 3.
    ``conservative``: 2, and one in 2, for scores that say little at first.
    """
    grace: int | None = Field(default=None, gt=0)
    """What every trial gets, in ``unit``; null takes the mode's, and must be given for examples."""
    reduction_factor: float | None = Field(default=None, gt=1)
    """A rung lets one in this many go on; null takes the mode's."""
    brackets: int = Field(default=1, gt=0)
    """More than 1 are a hedge against scores that say little at first: trials of bracket s pass s rungs unjudged.

    Each trial is in one bracket, by lot, as many in each as in HyperBand; trials of a bracket are judged by each other.
    """
    unit: Literal["evaluations", "examples"] = "evaluations"
    """What rungs are counted in: evaluations, or examples that a trial was trained on."""

    @model_validator(mode="after")
    def _examples_have_no_defaults(self) -> Asha:
        if self.unit == "evaluations":
            return self
        if self.grace is None:
            raise ValueError(
                "grace must be given where unit is examples: how many every trial is trained on, such as grace: 10000"
            )
        if self.brackets > 1:
            raise ValueError(
                f"brackets must be 1 where unit is examples, but got {self.brackets}: how many rungs there are is not "
                "known before the data is read; take unit: evaluations"
            )
        return self

    @property
    def first_rung(self) -> int:
        """Where the first bracket's first rung lies: ``grace``, given or the mode's."""
        return _MODES[self.mode][0] if self.grace is None else self.grace

    @property
    def factor(self) -> float:
        """One in this many goes on: ``reduction_factor``, given or the mode's."""
        return _MODES[self.mode][1] if self.reduction_factor is None else self.reduction_factor


class Hyperband(Frozen):
    """Asynchronous HyperBand: successive halving with a bracket for every first rung, and one that stops nothing.

    Li et al. 2018 (arXiv 1603.06560) in the asynchronous form of Klein et al. 2020 (arXiv 2003.10865): nothing waits
    for a bracket to fill; each trial is put into a bracket by lot, as often as HyperBand would.
    """

    name: Literal["hyperband"] = "hyperband"
    grace: int = Field(default=1, gt=0)
    """Evaluations before the first rung of the first bracket."""
    reduction_factor: float = Field(default=3, gt=1)
    """A rung lets one in this many go on."""

    @property
    def first_rung(self) -> int:
        """As in :class:`Asha`."""
        return self.grace

    @property
    def factor(self) -> float:
        """As in :class:`Asha`."""
        return self.reduction_factor


class Median(Frozen):
    """Median stopping (Golovin et al. 2017, Google Vizier).

    A trial stops if its best score so far is below the median of what the other trials had on average
    up to the same evaluation.
    """

    name: Literal["median"] = "median"
    grace: int = Field(default=1, gt=0)
    """Evaluations that every trial gets."""
    min_trials: int = Field(default=5, gt=0)
    """So many others must have come as far before a trial is judged."""


class Pbt(Frozen):
    """Population based training (Jaderberg et al. 2017, arXiv 1711.09846): bad trials make room for good ones' copies.

    Every ``interval`` evaluations a trial among the worst ``share`` of all that came as far stops. A new trial takes
    its place: it goes on from the last checkpoint of one of the best ``share`` that is still running, with some of that
    one's values made larger or smaller: learning rates, weight decay, dropout, and the weights of regularisers, as far
    as they are searched over a range. All else is its parent's. Such trials do not count against ``search.trials``.

    What a trial comes to is then not decided by its config alone, but by those of all its ancestors, and by which trial
    was faster: the columns ``parent`` and ``parent_evaluation`` say which they are. A trial with nobody beside it that
    is better is never replaced, so there should be room for four or more at a time.
    """

    name: Literal["pbt"] = "pbt"
    interval: int = Field(default=1, gt=0)
    """Evaluations between two looks at a trial."""
    share: float = Field(default=0.25, gt=0, le=0.5)
    """How many of the worst stop, and how many of the best are gone on from."""
    factor: float = Field(default=1.2, gt=1)
    """What a value is multiplied with or divided by."""
    min_trials: int = Field(default=3, gt=0)
    """So many others must have come as far before a trial is judged."""


class NoScheduler(Frozen):
    """Every trial runs to its end."""

    name: Literal["none"] = "none"


Scheduler = Annotated[Asha | Hyperband | Median | Pbt | NoScheduler, Field(discriminator="name")]
