"""HEBO behind Optuna's interface for samplers.

OptunaHub's sampler is not used: it is fetched from the network when it is used, and tells HEBO what runs with the wrong
sign where more is better.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

__all__ = ["HeboSampler"]


class HeboSampler(BaseSampler):
    """One proposal of HEBO's, from nothing but the study's completed trials, and those that run.

    Trials that run count as the worst of the completed ones, so that others are not proposed beside them.

    Args:
        seed: of this proposal.
        startup_trials: completed trials, at least two, before which nothing is proposed.
        independent_sampler: draws what not every completed trial has.

    Source: Cowen-Rivers et al. 2022, arXiv 2012.03826.
    """

    def __init__(self, seed: int, startup_trials: int, independent_sampler: BaseSampler) -> None:
        self._seed = seed
        self._startup_trials = startup_trials
        self._independent_sampler = independent_sampler

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What every completed trial has, and can differ in."""
        shared = intersection_search_space(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        return {name: distribution for name, distribution in shared.items() if not distribution.single()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """HEBO's proposal; nothing as long as there are too few completed trials."""
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not search_space or len(completed) < self._startup_trials:
            return {}
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0  # HEBO minimises
        losses = [sign * done.value for done in completed if done.value is not None]
        running = [
            other
            for other in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if search_space.keys() <= other.params.keys()
        ]
        losses += [max(losses)] * len(running)
        points = [_to_hebo(told.params, search_space) for told in (*completed, *running)]
        with _seeded(self._seed):
            space, optimizer = _hebo()
            design = space().parse([_parameter(name, search_space[name]) for name in search_space])
            hebo = optimizer(design, rand_sample=2, scramble_seed=self._seed)
            hebo.observe(pd.DataFrame(points), np.array(losses)[:, None])
            proposed = hebo.suggest(n_suggestions=1)
        return {name: _from_hebo(proposed[name].iloc[0], search_space[name]) for name in search_space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Another sampler's draw."""
        return self._independent_sampler.sample_independent(study, trial, param_name, param_distribution)


def _hebo() -> tuple[Any, Any]:
    """HEBO's two classes; it is imported when it is first used, since that takes seconds."""
    import torch

    threads = torch.get_num_threads()
    from hebo.design_space.design_space import DesignSpace
    from hebo.optimizers.hebo import HEBO

    torch.set_num_threads(threads)  # which importing it sets to one
    return DesignSpace, HEBO


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """HEBO draws from the generators of the whole process: they are seeded for it, and put back."""
    import torch

    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what HEBO does in older ways
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)


def _parameter(name: str, distribution: BaseDistribution) -> dict[str, Any]:
    """A dimension as HEBO declares it; options by their places, as they may be anything."""
    match distribution:
        case CategoricalDistribution():
            return {"name": name, "type": "cat", "categories": list(range(len(distribution.choices)))}
        case FloatDistribution(low=low, high=high, log=log):
            return {"name": name, "type": "pow" if log else "num", "lb": low, "ub": high}
        case IntDistribution(low=low, high=high, log=log, step=step):
            kind = {"type": "pow_int"} if log else {"type": "step_int", "step": step}
            return {"name": name, "lb": low, "ub": high, **kind}
    raise AssertionError(f"{distribution} is not a distribution that we make")


def _to_hebo(params: Mapping[str, Any], search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {
        name: int(distribution.to_internal_repr(params[name]))
        if isinstance(distribution, CategoricalDistribution)
        else params[name]
        for name, distribution in search_space.items()
    }


def _from_hebo(value: Any, distribution: BaseDistribution) -> Any:
    """A value as Optuna takes it: HEBO's are rounded to 32 bits, which may be a little outside a range."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[int(value)]
        case FloatDistribution(low=low, high=high, step=step):
            on_grid = float(value) if step is None else low + round((float(value) - low) / step) * step
            return min(max(on_grid, low), high)
        case IntDistribution(low=low, high=high):
            return min(max(int(value), low), high)
    raise AssertionError(f"{distribution} is not a distribution that we make")
