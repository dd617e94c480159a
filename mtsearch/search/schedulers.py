"""Trial schedulers: what has been seen of all trials, and from that which of them goes on.

They remember scores alone, so that the state of a search is all that they are rebuilt from. Ray's own are not used:
they draw brackets from numpy's global generator, write a later score into a rung that a trial jumped over, take a
trial that is taken up again for a new one, and pause trials where they have seen too few (2.60).

Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, arXiv 1810.05934, section 3.2, in its
stopping variant: a trial never waits at a rung, and is never taken up again after it was stopped; and Golovin et al.
2017, Google Vizier, section 3.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import numpy as np
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from mtsearch.config.rungs import rungs
from mtsearch.config.schedulers import Asha, Hyperband, Median, NoScheduler, Pbt, Scheduler
from mtsearch.search.state import RunState

__all__ = [
    "EVALUATION",
    "EXAMPLES",
    "SCORE",
    "Halving",
    "Judge",
    "MedianRule",
    "Seen",
    "build_judge",
    "build_scheduler",
]

EVALUATION, EXAMPLES, SCORE = "evaluation", "examples_seen", "score"
"""What a trial's results are called for Ray."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An evaluation of a trial.

    Attributes:
        trial_id: of the trial.
        bracket: that it is in.
        evaluation: which, from 1.
        examples: that it has been trained on.
        score: higher is better.
    """

    trial_id: str
    bracket: int
    evaluation: int
    examples: int
    score: float


class Judge(Protocol):
    """Decides which trials go on."""

    def goes_on(self, seen: Seen) -> bool:
        """Whether the trial does; what was seen is remembered.

        Evaluations of a trial come in their order, but the last one may come again when the trial is taken up again:
        then it is judged by all that has been seen meanwhile.
        """

    def remember(self, seen: Seen) -> None:
        """Take in the last evaluation of a trial that has ended by itself, or was stopped."""


class Halving:
    """Successive halving: at a rung a trial goes on if it is not below the best 1/η of those that were there.

    A trial is at a rung with its first evaluation that is not below it, and if that holds for several with the last
    of them alone. It goes on if its score is not below the (1 - 1/η) quantile of the others' scores at that rung in
    its bracket; the first to arrive always goes on.

    Args:
        rungs: of the first bracket, ascending; those of bracket s are the same without the first s.
        reduction_factor: η.
        in_examples: whether rungs are counted in examples and not in evaluations.
    """

    def __init__(self, rungs: tuple[int, ...], reduction_factor: float, *, in_examples: bool = False) -> None:
        self._rungs = rungs
        self._quantile = 1 - 1 / reduction_factor
        self._in_examples = in_examples
        self._passed: dict[str, tuple[int, int]] = {}
        self._scores: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)

    def goes_on(self, seen: Seen) -> bool:
        """As in :class:`Judge`."""
        reached = seen.examples if self._in_examples else seen.evaluation
        rung = max((rung for rung in self._rungs[seen.bracket :] if rung <= reached), default=0)
        rung_before, evaluation_before = self._passed.get(seen.trial_id, (0, 0))
        is_again = rung > 0 and (rung, seen.evaluation) == (rung_before, evaluation_before)
        if rung <= rung_before and not is_again:
            return True
        self._passed[seen.trial_id] = rung, seen.evaluation
        scores = self._scores[seen.bracket, rung]
        others = [score for trial_id, score in scores.items() if trial_id != seen.trial_id]
        scores[seen.trial_id] = seen.score
        return not others or seen.score >= float(np.quantile(others, self._quantile))

    def remember(self, seen: Seen) -> None:
        """As in :class:`Judge`."""
        self.goes_on(seen)


class MedianRule:
    """A trial goes on if its best score is not below the median of the others' mean scores up to its evaluation.

    Others are all that came as far, whatever became of them; Vizier takes those that are complete.

    Args:
        grace: evaluations that every trial gets.
        min_trials: others that must have come as far.
    """

    def __init__(self, grace: int, min_trials: int) -> None:
        self._grace = grace
        self._min_trials = min_trials
        self._scores: dict[str, dict[int, float]] = defaultdict(dict)
        self._means: dict[int, dict[str, float]] = defaultdict(dict)

    def goes_on(self, seen: Seen) -> bool:
        """As in :class:`Judge`."""
        scores, means = self._scores[seen.trial_id], self._means[seen.evaluation]
        scores[seen.evaluation] = seen.score
        so_far = [score for evaluation, score in scores.items() if evaluation <= seen.evaluation]
        means[seen.trial_id] = float(np.mean(so_far))
        others = [mean for trial_id, mean in means.items() if trial_id != seen.trial_id]
        if seen.evaluation < self._grace or len(others) < self._min_trials:
            return True
        return max(so_far) >= float(np.median(others))

    def remember(self, seen: Seen) -> None:
        """As in :class:`Judge`."""
        self.goes_on(seen)


def build_judge(scheduler: Scheduler, most: int, state: RunState) -> Judge | None:
    """What decides which trials go on, knowing what the search has seen so far; None if all do.

    Args:
        scheduler: the trial scheduler's config; for ``pbt`` there is :class:`mtsearch.search.population.Population`.
        most: evaluations of the longest trial.
        state: the trials so far.
    """
    judge: Judge
    match scheduler:
        case NoScheduler() | Pbt():
            return None
        case Asha():
            in_examples = scheduler.unit == "examples"
            judge = Halving(rungs(scheduler, most), scheduler.factor, in_examples=in_examples)
        case Hyperband():
            judge = Halving(rungs(scheduler, most), scheduler.factor)
        case Median():
            judge = MedianRule(scheduler.grace, scheduler.min_trials)
        case _:
            assert_never(scheduler)
    for trial in state.trials.values():
        for evaluation, score in sorted(trial.scores.items()):
            examples = trial.examples_at[evaluation]
            judge.goes_on(Seen(trial.trial_id, trial.bracket, evaluation, examples, score))
    return judge


def build_scheduler(judge: Judge | None, state: RunState) -> TrialScheduler:
    """The trial scheduler as Ray wants it.

    Args:
        judge: which trials go on; None if all do.
        state: the trials so far; those to come are looked up in it too.
    """
    return _InOrder() if judge is None else _Judged(judge, state)


class _InOrder(FIFOScheduler):  # type: ignore[misc]
    """Lets all trials run to their end."""

    def choose_trial_to_run(self, controller: Any) -> None:
        """No trial comes before others: Ray then takes them in their order.

        ``FIFOScheduler`` says the first that waits. That one may have a worker of its own, which is starting; Ray
        (2.60) then kills this one if another worker has become free meanwhile, and starts yet another for the next
        trial, again and again while trials end faster than workers start. It also goes through all trials each time.
        """


class _Judged(_InOrder):
    """Stops the trials that a judge lets not go on."""

    def __init__(self, judge: Judge, state: RunState) -> None:
        super().__init__()
        self._judge = judge
        self._state = state

    def on_trial_result(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Whether a running trial goes on; a report without a score is let pass."""
        seen = self._seen(trial, result)
        goes_on = seen is None or self._judge.goes_on(seen)
        decision: str = TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP
        return decision

    def on_trial_complete(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        """The last score of a trial that ends by itself counts against others."""
        seen = self._seen(trial, result)
        if seen is not None:
            self._judge.remember(seen)

    def _seen(self, trial: Any, result: Mapping[str, Any]) -> Seen | None:
        if SCORE not in result:
            return None
        bracket = self._state.trials[trial.trial_id].bracket
        values = (result[name] for name in (EVALUATION, EXAMPLES, SCORE))
        return Seen(trial.trial_id, bracket, *values)
