from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from mtsearch.search import hebo
from mtsearch.search.hebo import HeboSampler

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-5, 1e-3, log=True),
    "dropout": FloatDistribution(0.0, 0.4, step=0.1),
    "layers": IntDistribution(2, 10, step=4),
    "width": IntDistribution(1, 64, log=True),
    "kind": CategoricalDistribution(["a", True, "x"]),
}
POINT = {"lr": 1e-4, "dropout": 0.1, "layers": 6, "width": 8, "kind": True}


def study_of(values: Sequence[float], running: int = 0, direction: str = "maximize") -> optuna.Study:
    """Trials at one point, or nearly, with these values; and some that run."""
    study = optuna.create_study(direction=direction)
    for number, value in enumerate(values):
        params = {**POINT, "lr": 1e-5 * (number + 1)}
        study.add_trial(create_trial(params=params, distributions=SPACE, value=value))
    for _ in range(running):
        study.add_trial(create_trial(state=TrialState.RUNNING, params=POINT, distributions=SPACE))
    return study


class Space:
    """In place of HEBO's ``DesignSpace``."""

    def parse(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return items


class Optimizer:
    """In place of HEBO: remembers what it is told, and proposes values a little outside their ranges."""

    design: list[dict[str, Any]]
    points: pd.DataFrame
    losses: list[list[float]]

    def __init__(self, design: list[dict[str, Any]], rand_sample: int, scramble_seed: int) -> None:
        Optimizer.design = design

    def observe(self, points: pd.DataFrame, losses: np.ndarray) -> None:
        Optimizer.points, Optimizer.losses = points, losses.tolist()

    def suggest(self, n_suggestions: int) -> pd.DataFrame:
        return pd.DataFrame([{"lr": 1.0001e-3, "dropout": 0.2999, "layers": 10, "width": 1, "kind": 1}])


@pytest.fixture
def no_hebo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hebo, "_hebo", lambda: (Space, Optimizer))


def propose(study: optuna.Study, startup_trials: int = 2, seed: int = 5) -> dict[str, Any]:
    study.sampler = HeboSampler(seed, startup_trials, RandomSampler(seed=1))
    return study.ask(SPACE).params


@pytest.mark.usefixtures("no_hebo")
def test_it_is_told_what_completed_with_less_as_better_and_what_runs_as_the_worst() -> None:
    propose(study_of([0.5, 0.9], running=1))
    assert Optimizer.losses == [[-0.5], [-0.9], [-0.5]]
    assert set(Optimizer.points.columns) == set(SPACE)
    assert Optimizer.points["kind"].tolist() == [1, 1, 1]
    propose(study_of([0.5, 0.9], running=1, direction="minimize"))
    assert Optimizer.losses == [[0.5], [0.9], [0.9]]


@pytest.mark.usefixtures("no_hebo")
def test_every_kind_of_dimension_is_declared_and_its_values_stay_in_their_ranges() -> None:
    params = propose(study_of([0.5, 0.9]))
    assert {item["name"]: item["type"] for item in Optimizer.design} == {
        "lr": "pow",
        "dropout": "num",
        "layers": "step_int",
        "width": "pow_int",
        "kind": "cat",
    }
    assert params == {"lr": 1e-3, "dropout": pytest.approx(0.3), "layers": 10, "width": 1, "kind": True}
    assert params["kind"] is True


@pytest.mark.usefixtures("no_hebo")
def test_before_enough_trials_are_complete_all_is_drawn_at_random() -> None:
    assert propose(study_of([0.5, 0.9]), startup_trials=3)["lr"] != 1e-3
    assert propose(study_of([]))["lr"] != 1e-3


@pytest.mark.usefixtures("no_hebo")
def test_what_not_every_completed_trial_has_is_drawn_at_random() -> None:
    study = study_of([0.5])
    study.add_trial(create_trial(params={"lr": 1e-4}, distributions={"lr": SPACE["lr"]}, value=0.9))
    propose(study)
    assert [item["name"] for item in Optimizer.design] == ["lr"]


@pytest.mark.usefixtures("no_hebo")
def test_the_generators_of_the_process_are_left_as_they_were() -> None:
    np.random.seed(3)
    torch.manual_seed(3)
    expected = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    propose(study_of([0.5, 0.9]))
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == expected  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hebo") is None, reason="HEBO is not installed")
def test_it_comes_closer_to_the_best_value() -> None:
    threads = torch.get_num_threads()
    study, off = optuna.create_study(direction="maximize"), list[float]()
    for number in range(14):
        study.sampler = HeboSampler(number, 6, RandomSampler(seed=number))
        trial = study.ask(SPACE)
        off.append(abs(np.log10(trial.params["lr"] / 3e-4)) + (trial.params["kind"] is not True))
        study.tell(trial, -off[-1])
    assert sum(off[-6:]) < 0.6 * sum(off[:6])
    assert torch.get_num_threads() == threads
