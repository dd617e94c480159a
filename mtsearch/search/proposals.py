"""Optuna's study of a search: proposes trials, and is told truthfully how each of them ended."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from mtsearch.config.algorithms import Algorithm, Auto, CmaEs, Gp, Grid, Hebo, Nsga2, Random, Tpe
from mtsearch.config.constraints import Constraint
from mtsearch.config.domains import Categorical, Domain, Float, Int
from mtsearch.config.pairs import algorithm_of
from mtsearch.config.space import Dimension, Draw, Infeasible, SearchSpace
from mtsearch.config.trial import TrialConfig
from mtsearch.search.events import Imported
from mtsearch.search.hebo import HeboSampler
from mtsearch.search.journal import JournalFile
from mtsearch.search.mirror import StudyMirror
from mtsearch.search.state import RunState, TrialState
from mtsearch_analysis.tables import Status

__all__ = ["JOURNAL", "Proposal", "Proposals", "build_sampler", "trial_name"]

JOURNAL = "study.journal"
_FAR_OFF = 1e6  # from a bound on something that was not measured

_OPTUNA_STATES: dict[Status, OptunaState] = {
    "running": OptunaState.RUNNING,
    "interrupted": OptunaState.RUNNING,
    "completed": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "diverged": OptunaState.FAIL,
    "failed": OptunaState.FAIL,
    "infeasible": OptunaState.FAIL,
}


def trial_name(number: int) -> str:
    """The id of a trial: ``t0003``."""
    return f"t{number:04d}"


@dataclass(frozen=True)
class Proposal:
    """What Optuna proposes to run next.

    Attributes:
        number: ours.
        params: the dimensions that it has, by their names inside Optuna, with Optuna's values.
        config: what they come to; None if they break a rule.
        problem: the rule that they break; empty if none.
    """

    number: int
    params: Mapping[str, Any]
    config: TrialConfig | None
    problem: str = ""


class Proposals:
    """The study, rebuilt from what is known of a search, and kept in step with it.

    Each proposal is drawn from a generator seeded by the search's seed and the proposal's number, and depends
    on nothing else but the trials before it: a search that is taken up again proposes what it would have.

    Args:
        space: to search.
        state: the trials so far.
        journal: the file that optuna-dashboard can open; written anew.
        mirror: of the study in a database, not yet begun; None for none.
    """

    def __init__(self, space: SearchSpace, state: RunState, journal: Path, mirror: StudyMirror | None = None) -> None:
        self._space = space
        self._mirror = mirror
        self._distributions = {dimension.name: _distribution(dimension.domain) for dimension in space.dimensions()}
        # Readers of the old journal see a whole one at any time.
        temporary = journal.with_name(f".{journal.name}.tmp")
        self._journal = JournalFile(temporary)
        self._storage = JournalStorage(self._journal)
        self._study = _create_study(self._storage, space)
        self._num_observed = 0  # that stand before our trials in the study
        if isinstance(space.search.algorithm, CmaEs | Nsga2):
            self._replay(state)
        else:
            if state.imported is not None:
                self.observe(state.imported)
            for trial in state.trials.values():
                self._study.add_trial(self._frozen(trial))
        os.replace(temporary, journal)
        self._reflect_all()

    def observe(self, imported: Imported) -> None:
        """Tell the trials of an earlier run, before the first of our own."""
        for observation in imported.observations:
            best_so_far = dict(observation.get("best_so_far") or observation["scores"])  # as older runs tell it
            trial = TrialState(
                f"{Path(imported.source).name}/{observation['trial_id']}",
                self._num_observed,
                observation["params"],
                {},
                "",
                0,
                None,
                status=observation["status"],
                reason=f"of {imported.source}",
                best_so_far=best_so_far,
                evaluation=max(best_so_far),
                best_score=best_so_far[max(best_so_far)],
                best_scores=observation["best_scores"],
            )
            self._study.add_trial(self._frozen(trial))
            self._num_observed += 1
        self._reflect_all()

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def propose(self, number: int, start: Mapping[str, Any] | None = None) -> Proposal:
        """The next trial: of a grid its point of this number.

        Args:
            number: how many were proposed before it.
            start: values to take, by the dimensions' names; the algorithm chooses the rest.
        """
        if isinstance(self._space.search.algorithm, Grid):
            start = self._space.point(number)
        draw, params = self._ask(number, start)
        self._reflect(number)
        try:
            return Proposal(number, params, self._space.config(draw))
        except Infeasible as error:
            return Proposal(number, params, None, str(error))

    def _ask(self, number: int, start: Mapping[str, Any] | None) -> tuple[Draw, dict[str, Any]]:
        """Optuna's next trial, as a point of the space and as Optuna has it."""
        self._study.sampler = build_sampler(algorithm_of(self._space, number), self._space.search.seed, number)
        if start is not None:
            self._study.enqueue_trial(dict(start))
        trial = self._study.ask()
        assert trial.number == self._num_observed + number, f"Optuna's trial {trial.number} is our {number}"
        # Asked for even where a start point leaves nothing to draw: it puts the trial into its generation.
        _ = trial.relative_params
        draw = self._space.draw(lambda dimension: _suggest(trial, dimension))
        # The sampler leaves what it drew itself, of branches that the trial did not take, and where a start point
        # has other values, too; as long as the trial runs it would hold that for an observation.
        for key in self._storage.get_trial_system_attrs(trial._trial_id):
            if key.startswith(("tpe:", "gp:")):
                self._storage.set_trial_system_attr(trial._trial_id, key, "")
        return draw, dict(trial.params)

    def _replay(self, state: RunState) -> None:
        """Propose all trials again, each when it was proposed, and tell their ends in between.

        CMA-ES and NSGA-II write beside each trial which generation it is of and what they have learned, which are no
        events. It is the same again where the same trials had ended.
        """
        num_told = 0
        for trial in state.trials.values():
            self._tell_all(state, num_told, trial.num_ended_before)
            num_told = trial.num_ended_before
            self._ask(trial.number, trial.params)
        self._tell_all(state, num_told, len(state.endings))
        for trial in state.open:
            self._report_all(trial)

    def _tell_all(self, state: RunState, begin: int, end: int) -> None:
        for trial_id in state.endings[begin:end]:
            self._report_all(state.trials[trial_id])
            self.tell(state.trials[trial_id])

    def _report_all(self, trial: TrialState) -> None:
        if not self._has_several_objectives:
            for evaluation, best in trial.best_so_far.items():
                self._storage.set_trial_intermediate_value(self._optuna_id(trial), evaluation, best)

    def report(self, trial: TrialState) -> None:
        """Tell the best score so far at a trial's last evaluation; of several objectives Optuna takes none."""
        best = trial.best_so_far.get(trial.evaluation)
        if best is not None and not self._has_several_objectives:
            self._storage.set_trial_intermediate_value(self._optuna_id(trial), trial.evaluation, best)
            self._reflect(trial.number)

    def tell(self, trial: TrialState) -> None:
        """Tell how a trial ended; of an interrupted one nothing is told, since it goes on.

        COMPLETE with its objectives at its best evaluation if it trained to its end, PRUNED if the trial scheduler
        stopped it, else FAIL.
        """
        state, values = self._end(trial)
        if state == OptunaState.RUNNING:
            return
        for key, value in _attributes(trial).items():
            self._storage.set_trial_user_attr(self._optuna_id(trial), key, value)
        for name, value in self._constraints(trial).items():
            optuna.Trial(self._study, self._optuna_id(trial)).set_constraint(name, value)
        self._study.tell(self._num_observed + trial.number, values, state)
        self._reflect(trial.number)

    def _reflect(self, number: int) -> None:
        """Let the database's study follow in a trial."""
        if self._mirror is not None:
            self._mirror.put(self._study.get_trials(deepcopy=False)[self._num_observed + number])

    def _reflect_all(self) -> None:
        if self._mirror is not None:
            for trial in self._study.get_trials(deepcopy=False):
                self._mirror.put(trial)

    @property
    def _has_several_objectives(self) -> bool:
        return len(self._space.objectives) > 1

    def _end(self, trial: TrialState) -> tuple[OptunaState, list[float] | None]:
        """What Optuna calls a trial's status, and its objectives if it is complete."""
        state = _OPTUNA_STATES[trial.status]
        values = trial.objective_values(self._space.objectives)
        if state != OptunaState.COMPLETE:
            return state, None
        # A trial whose only report was lost on the way, or that could not measure an objective, has nothing to tell.
        return (OptunaState.FAIL, None) if any(map(math.isnan, values)) else (state, values)

    def _constraints(self, trial: TrialState) -> dict[str, float]:
        """How far a trial is from what a winner must keep to, by the constraint; more than 0 breaks it.

        A trial that was stopped early in a search with several objectives breaks one more. TPE ranks pruned trials
        below all complete ones, by how far they came and then by their score. With several objectives it has no
        intermediate values to see that by, and where few trials are complete would take the first ones for good.
        Trials that break constraints are below the complete ones too, and are ranked.
        """
        if trial.status not in ("completed", "pruned") or not trial.best_scores:
            return {}
        # Optuna adds what is broken up: hence as shares of the bounds.
        found = {
            str(constraint): min(constraint.shortfall(trial.best_scores) / (abs(constraint.bound) or 1.0), _FAR_OFF)
            for constraint in map(Constraint.parse, self._space.search.constraints)
        }
        if trial.status == "pruned" and self._has_several_objectives:
            # The score counts for less than one more evaluation, whatever its scale.
            share = 0.5 + math.atan(trial.best_score or 0.0) / math.pi
            found["stopped_early"] = 1 / (trial.evaluation + share)
        return found

    def _optuna_id(self, trial: TrialState) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, self._num_observed + trial.number)

    def _frozen(self, trial: TrialState) -> FrozenTrial:
        state, values = self._end(trial)
        best = {} if self._has_several_objectives else trial.best_so_far
        if state == OptunaState.PRUNED and best:
            values = [best[max(best)]]  # as Optuna's own tell has it
        frozen = create_trial(
            state=state,
            values=values,
            params=dict(trial.params),
            distributions={name: self._distributions[name] for name in trial.params},
            user_attrs=_attributes(trial) if state.is_finished() else {},
            intermediate_values=best,
            constraints=self._constraints(trial),
        )
        if trial.started_at is not None:
            frozen.datetime_start = datetime.fromtimestamp(trial.started_at)
        if trial.ended_at is not None and state.is_finished():
            frozen.datetime_complete = datetime.fromtimestamp(trial.ended_at)
        return frozen


def _attributes(trial: TrialState) -> dict[str, Any]:
    return {"trial_id": trial.trial_id, "status": trial.status, "reason": trial.reason}


def _create_study(storage: JournalStorage, space: SearchSpace) -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(study_name=space.name, storage=storage, directions=list(space.objectives.values()))
    finally:
        optuna.logging.set_verbosity(verbosity)


def build_sampler(algorithm: Algorithm, seed: int, number: int) -> BaseSampler:
    """Optuna's sampler for one proposal.

    Args:
        algorithm: which; not ``auto``, but what it comes to.
        seed: of the search.
        number: of the proposal.
    """
    own_seed, seed_of_rest = (int(word) for word in np.random.SeedSequence((seed, number)).generate_state(2))
    # What an algorithm leaves to chance is drawn by another generator than what it draws itself: from the same
    # seed, the first numbers of both would be the same in every proposal.
    rest = RandomSampler(seed=seed_of_rest)
    match algorithm:
        case Random() | Grid():  # of a grid's point nothing is left to draw
            return RandomSampler(seed=own_seed)
        case Gp():
            return GPSampler(
                seed=own_seed,
                independent_sampler=rest,
                n_startup_trials=algorithm.startup_trials,
                warn_independent_sampling=False,
            )
        case Hebo():
            return HeboSampler(own_seed, algorithm.startup_trials, rest)
        case CmaEs():
            return CmaEsSampler(
                seed=own_seed,
                independent_sampler=rest,
                popsize=algorithm.population,
                warn_independent_sampling=False,
            )
        case Nsga2():
            sampler = NSGAIISampler(population_size=algorithm.population, seed=own_seed)
            sampler._random_sampler = rest
            return sampler
        case Auto():
            raise AssertionError("auto is settled before")
        case Tpe():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # group=True is what conditional spaces need
                return TPESampler(
                    n_startup_trials=algorithm.startup_trials,
                    multivariate=True,
                    group=True,
                    constant_liar=True,
                    seed=own_seed,
                )


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case Float():
            return FloatDistribution(domain.low, domain.high, log=domain.log, step=None if domain.log else domain.step)
        case Int():
            return IntDistribution(domain.low, domain.high, log=domain.log, step=1 if domain.log else domain.step)
        case Categorical():
            return CategoricalDistribution(domain.options)


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    match _distribution(dimension.domain):
        case FloatDistribution() as d:
            return trial.suggest_float(dimension.name, d.low, d.high, log=d.log, step=d.step)
        case IntDistribution() as d:
            return trial.suggest_int(dimension.name, d.low, d.high, log=d.log, step=d.step)
        case CategoricalDistribution() as d:
            return trial.suggest_categorical(dimension.name, d.choices)
