"""Replays a run's learning curves: which search algorithm and trial scheduler would have found as much for less.

Every proposal of a simulated search gets the curve of the recorded trial that is nearest to it, with the examples and
the seconds that each evaluation took. All else is the search's own: the study, the judge that stops trials, the fold
over events. Time is simulated, so that a search takes as long as its suggestions.

What this cannot show: between recorded trials there is nothing to find, so that a finer search is worth no more than
the best recorded trial; and noise is that of one training of each. Record as many trials as can be borne, drawn at
random and none of them stopped early.
"""

from __future__ import annotations

import bisect
import heapq
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from mtsearch.config.algorithms import Grid
from mtsearch.config.domains import Categorical, Domain
from mtsearch.config.messages import schema_problems
from mtsearch.config.pairs import pair_problems
from mtsearch.config.rungs import bracket_of, rungs_of
from mtsearch.config.schedulers import Pbt
from mtsearch.config.search import SearchConfig
from mtsearch.config.slots import Slot
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError, RunError
from mtsearch.search.events import (
    EVENTS,
    Infeasible,
    Reported,
    RunStarted,
    Started,
    Stopped,
    StopStatus,
    Suggested,
    read_events,
)
from mtsearch.search.proposals import JOURNAL, Proposals, trial_name
from mtsearch.search.schedulers import Seen, build_judge
from mtsearch.search.state import RunState, fold
from mtsearch_analysis.significance import t_interval

__all__ = ["DEFAULT_ARMS", "Arm", "Curve", "Outlook", "Step", "arm_of", "compare_arms", "read_curves", "simulate"]

_FEWEST_CURVES = 5
_SHARES = (0.25, 0.5, 1.0)  # of the budget


@dataclass(frozen=True)
class Curve:
    """What a recorded trial came to.

    Attributes:
        trial_id: of the recorded run.
        params: its point of the space, by the dimensions' names.
        scores: of each evaluation; higher is better.
        examples: that it had been trained on at each.
        seconds: that it had taken at each.
    """

    trial_id: str
    params: Mapping[str, Any]
    scores: tuple[float, ...]
    examples: tuple[int, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Arm:
    """What is compared.

    Attributes:
        algorithm: the search algorithm's section.
        scheduler: the trial scheduler's.
    """

    algorithm: Mapping[str, Any]
    scheduler: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.algorithm['name']}+{self.scheduler['name']}"


@dataclass(frozen=True, slots=True)
class Step:
    """An evaluation of a simulated search.

    Attributes:
        examples: that all its trials have been trained on by then.
        seconds: of simulated time.
        trials: evaluated by then.
        best: the best score so far.
    """

    examples: int
    seconds: float
    trials: int
    best: float


def arm_of(text: str) -> Arm:
    """``tpe+asha``: a search algorithm and a trial scheduler, with their defaults.

    Raises:
        ConfigError: it is not of that form. Whether there are such is seen when it is simulated.
    """
    algorithm, plus, scheduler = text.partition("+")
    if not (algorithm and plus and scheduler):
        raise ConfigError(f"--arm: must be ALGORITHM+SCHEDULER, such as tpe+asha, but got {text!r}")
    return Arm({"name": algorithm}, {"name": scheduler})


DEFAULT_ARMS = tuple(map(arm_of, ("random+none", "tpe+none", "random+asha", "tpe+asha", "tpe+median")))
"""What is compared if nothing is named: full budgets for all, and early stopping."""


def read_curves(folder: Path) -> list[Curve]:
    """The learning curves of a run's completed trials.

    Raises:
        RunError: the folder is no run, or too few of its trials ran to their end.
    """
    if not (folder / EVENTS).is_file():
        raise RunError(f"{folder}: must be a run folder, but it holds no {EVENTS}")
    seconds: dict[str, dict[int, float]] = {}
    for event in read_events(folder):
        if isinstance(event, Reported):
            seconds.setdefault(event.trial_id, {})[event.report["evaluation"]] = event.report["seconds"]
    curves = [
        Curve(
            trial.trial_id,
            trial.params,
            tuple(trial.scores[evaluation] for evaluation in sorted(trial.scores)),
            tuple(trial.examples_at[evaluation] for evaluation in sorted(trial.scores)),
            tuple(seconds[trial.trial_id][evaluation] for evaluation in sorted(trial.scores)),
        )
        for trial in fold(read_events(folder)).trials.values()
        if trial.status == "completed" and trial.scores and trial.parent is None
    ]
    if len(curves) < _FEWEST_CURVES:
        raise RunError(
            f"{folder}: a simulation wants at least {_FEWEST_CURVES} trials that ran to their end, but there are "
            f"{len(curves)}; run more with --set search.scheduler.name=none"
        )
    return curves


@dataclass(frozen=True)
class Outlook:
    """How searches of one arm stand at a share of the budget, over several seeds.

    Attributes:
        arm: as ``tpe+asha``.
        share: of the budget that is spent.
        best: mean of the best scores.
        low: of the 95% interval of that mean (Student's t over the seeds); NaN for one seed.
        high: of the same.
        trials: evaluated by then, on average.
        seconds: of simulated time by then, on average.
    """

    arm: str
    share: float
    best: float
    low: float
    high: float
    trials: float
    seconds: float


def compare_arms(
    space: SearchSpace, curves: Sequence[Curve], arms: Sequence[Arm], *, seeds: int, trials: int, slots: int
) -> list[Outlook]:
    """Simulated searches of each arm, all with the same budget of examples.

    Args:
        space: that the curves were recorded on.
        curves: from :func:`read_curves`.
        arms: to compare.
        seeds: searches of each.
        trials: the budget: what so many trials take that are not stopped, on average.
        slots: trials at a time.

    Raises:
        ConfigError: as :func:`simulate`.
    """
    examples = round(trials * fmean(curve.examples[-1] for curve in curves))
    found = []
    for arm in arms:
        searches = [simulate(space, curves, arm, seed=seed, examples=examples, slots=slots) for seed in range(seeds)]
        for share in _SHARES:
            steps = [_last_within(search, share * examples) for search in searches]
            low, high = t_interval([step.best for step in steps])
            found.append(
                Outlook(
                    str(arm),
                    share,
                    fmean(step.best for step in steps),
                    low,
                    high,
                    fmean(step.trials for step in steps),
                    fmean(step.seconds for step in steps),
                )
            )
    return found


def _last_within(search: Sequence[Step], examples: float) -> Step:
    within = bisect.bisect_right(search, examples, key=lambda step: step.examples)
    return search[max(0, within - 1)]


def simulate(
    space: SearchSpace, curves: Sequence[Curve], arm: Arm, *, seed: int, examples: int, slots: int
) -> list[Step]:
    """One search over recorded curves.

    Args:
        space: that the curves were recorded on.
        curves: from :func:`read_curves`.
        arm: what proposes, and what stops trials.
        seed: of the search.
        examples: that all trials together may be trained on; the search ends with the evaluation that gets there.
        slots: trials at a time.

    Returns:
        Every evaluation, in the order of simulated time.

    Raises:
        ConfigError: there is no such algorithm or scheduler, they do not suit each other, or the space.
    """
    searched = _with_arm(space, arm, seed)
    with tempfile.TemporaryDirectory() as scratch:
        return list(_Simulation(searched, curves, slots, Path(scratch)).run(examples))


def _with_arm(space: SearchSpace, arm: Arm, seed: int) -> SearchSpace:
    from pydantic import ValidationError

    settings = space.search.model_dump(exclude_unset=True)
    settings |= {"algorithm": dict(arm.algorithm), "scheduler": dict(arm.scheduler), "seed": seed}
    settings |= {"metric": space.search.primary, "constraints": (), "start": ()}
    try:
        searched = replace(space, search=SearchConfig.model_validate(settings))
    except ValidationError as error:
        raise ConfigError(f"--arm {arm}: {schema_problems(error, Slot(SearchConfig), {})[0]}") from error
    if isinstance(searched.search.scheduler, Pbt) or isinstance(searched.search.algorithm, Grid):
        raise ConfigError(f"--arm {arm}: neither pbt nor a grid can be replayed on other trials' curves; leave it out")
    if problems := pair_problems(searched, {}):
        raise ConfigError(f"--arm {arm}: {problems[0]}")
    return searched


class _Simulation:
    def __init__(self, space: SearchSpace, curves: Sequence[Curve], slots: int, scratch: Path) -> None:
        self._space = space
        self._domains = {dimension.name: dimension.domain for dimension in space.dimensions()}
        self._curves = curves
        self._slots = slots
        rungs = rungs_of(space)
        self._num_rungs = None if rungs is None else len(rungs)
        self._state = RunState()
        self._state.apply(
            RunStarted(
                time=0.0,
                identity={},
                trials=space.search.trials,
                extra=0,
                extended=False,
                rungs=rungs,
                host="",
                pid=0,
                versions={},
            )
        )
        self._proposals = Proposals(space, self._state, scratch / JOURNAL)
        most = max(len(curve.scores) for curve in curves)
        self._judge = build_judge(space.search.scheduler, most, self._state)
        self._coming: list[tuple[float, int, int]] = []  # time, trial's number, evaluation
        self._curve_of: dict[int, Curve] = {}

    def run(self, budget: int) -> Iterator[Step]:
        """Every evaluation until the budget is spent."""
        with closing(self._proposals):
            for _ in range(self._slots):
                self._begin(0.0)
            spent, num_trials, best = 0, 0, -math.inf
            while self._coming and spent < budget:
                now, number, evaluation = heapq.heappop(self._coming)
                curve, place = self._curve_of[number], evaluation - 1
                spent += curve.examples[place] - (curve.examples[place - 1] if place else 0)
                best = max(best, curve.scores[place])
                num_trials += evaluation == 1
                yield Step(spent, now, num_trials, best)
                if self._evaluated(now, number, evaluation):
                    self._await(now, number, evaluation + 1)
                else:
                    self._begin(now)

    def _begin(self, now: float) -> None:
        """The next trial; proposals that break a rule are passed over, as in any search."""
        while True:
            number = len(self._state.trials)
            proposal = self._proposals.propose(number)
            trial_id = trial_name(number)
            if proposal.config is not None:
                break
            told = Infeasible(
                time=now, trial_id=trial_id, number=number, params=proposal.params, reason=proposal.problem, start=None
            )
            self._state.apply(told)
            self._proposals.tell(self._state.trials[trial_id])
        self._state.apply(
            Suggested(
                time=now,
                trial_id=trial_id,
                number=number,
                params=proposal.params,
                config={},
                config_hash="",
                gpus=0.0,
                start=None,
                bracket=bracket_of(self._space, self._num_rungs, number),
            )
        )
        self._state.apply(Started(time=now, trial_id=trial_id, attempt=1, node=""))
        self._curve_of[number] = min(self._curves, key=lambda curve: self._distance(proposal.params, curve.params))
        self._await(now, number, 1)

    def _await(self, now: float, number: int, evaluation: int) -> None:
        seconds = (0.0, *self._curve_of[number].seconds)
        heapq.heappush(self._coming, (now + seconds[evaluation] - seconds[evaluation - 1], number, evaluation))

    def _evaluated(self, now: float, number: int, evaluation: int) -> bool:
        """Take in an evaluation; gives whether the trial goes on."""
        curve, trial_id = self._curve_of[number], trial_name(number)
        place = evaluation - 1
        best = max(range(evaluation), key=lambda index: curve.scores[index])
        report = {
            "evaluation": evaluation,
            "step": evaluation,
            "epoch": float(evaluation),
            "examples_seen": curve.examples[place],
            "seconds": curve.seconds[place],
            "scores": {self._space.search.primary: curve.scores[place]},
            "score": curve.scores[place],
            "best_score": curve.scores[best],
            "best_evaluation": best + 1,
            "outcome": "running",
            "facts": {},
        }
        self._state.apply(
            Reported(time=now, trial_id=trial_id, report=report, checkpoint=None, precision="", data=None)
        )
        trial = self._state.trials[trial_id]
        self._proposals.report(trial)
        seen = Seen(trial_id, trial.bracket, evaluation, curve.examples[place], curve.scores[place])
        goes_on = self._judge is None or self._judge.goes_on(seen)
        is_at_end = evaluation == len(curve.scores)
        if goes_on and not is_at_end:
            return True
        status: StopStatus = "completed" if is_at_end else "pruned"
        self._state.apply(Stopped(time=now, trial_id=trial_id, status=status, reason=""))
        self._proposals.tell(trial)
        return False

    def _distance(self, here: Mapping[str, Any], there: Mapping[str, Any]) -> float:
        """How far two points are apart: each dimension counts up to 1, and 1 where only one of them has it."""
        return sum(
            _apart(self._domains[name], here[name], there[name]) if name in here and name in there else 1.0
            for name in here.keys() | there.keys()
        )


def _apart(domain: Domain, here: Any, there: Any) -> float:
    if isinstance(domain, Categorical):
        return float(here != there)
    low, high = float(domain.low), float(domain.high)
    if low == high:
        return 0.0
    if domain.log:
        return abs(math.log(here / there)) / math.log(high / low)
    return abs(float(here) - float(there)) / (high - low)
