from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState as OptunaState

from mtsearch.config.space import SearchSpace
from mtsearch.search.proposals import JOURNAL, Proposal, Proposals
from mtsearch.search.state import RunState
from tests.search.conftest import Story, with_holdout

MakeSpace = Callable[..., SearchSpace]


opened: list[Search] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while opened:
        opened.pop().proposals.close()


class Search:
    """A search without workers: what is proposed is scored by a formula, and told."""

    def __init__(
        self, space: SearchSpace, folder: Path, state: RunState | None = None, story: Story | None = None
    ) -> None:
        opened.append(self)
        self.story = story or Story().begun(rungs=None)
        self.state = state or RunState()
        self.proposals = Proposals(space, self.state, folder / JOURNAL)
        self.journal = folder / JOURNAL
        self._num_applied = 0
        if state is None:
            self._catch_up()

    def _catch_up(self) -> None:
        for event in self.story.events[self._num_applied :]:
            self.state.apply(event)
        self._num_applied = len(self.story.events)

    def propose(self, start: dict[str, Any] | None = None) -> Proposal:
        number = len(self.state.trials)
        proposal = self.proposals.propose(number, start)
        self.story.suggested(number, params=dict(proposal.params))
        self._catch_up()
        return proposal

    def report(self, number: int, evaluation: int, score: float, **others: float | None) -> None:
        """``others`` are further dev metrics, with two underscores for the dot."""
        trial = self.state.trials[f"t{number:04d}"]
        best = max([(s, e) for e, s in trial.scores.items()] + [(score, evaluation)])
        scores = {"mean_score": score, **{name.replace("__", "."): value for name, value in others.items()}}
        self.story.reported(number, evaluation, score, (best[1], best[0]), scores=scores)
        self._catch_up()
        self.proposals.report(trial)

    def stop(self, number: int, status: Any) -> None:
        self.story.stopped(number, status)
        self._catch_up()
        self.proposals.tell(self.state.trials[f"t{number:04d}"])

    def run(self, num_trials: int, num_running: int = 0) -> None:
        """Some complete, some are pruned or fail, and a few are left running."""
        rng = random.Random(5)
        for _ in range(num_trials):
            proposal = self.propose()
            number = proposal.number
            assert proposal.config is not None
            for evaluation in (1, 2):
                score = proposal.config.training.batch_size / 64 + rng.random() / 10
                self.report(number, evaluation, score, similarity__mean_squared_error=rng.random())
            if number < num_trials - num_running:
                self.stop(number, ("completed", "pruned", "completed", "diverged")[number % 4])

    def resumed(self, space: SearchSpace, folder: Path) -> Search:
        folder.mkdir()
        state = RunState()
        for event in self.story.events:
            state.apply(event)
        return Search(space, folder, state, self.story)


def read(journal: Path) -> optuna.Study:
    return optuna.load_study(study_name="space", storage=JournalStorage(JournalFileBackend(str(journal))))


TWO_OBJECTIVES: dict[str, Any] = {
    "search": {"metric": ["mean_score", "similarity.mean_squared_error"]},
    "tasks": {
        "similarity": {"kind": "pair_regression", "data": "stsb", "metrics": ["pearson", "mean_squared_error"]},
    },
}


@pytest.mark.parametrize("sections", [{}, TWO_OBJECTIVES], ids=["one objective", "two objectives"])
def test_a_resumed_search_proposes_what_an_uninterrupted_one_does(
    make_space: MakeSpace, tmp_path: Path, sections: dict[str, Any]
) -> None:
    space = make_space(**sections)
    search = Search(space, tmp_path)
    search.run(14, num_running=3)
    resumed = search.resumed(space, tmp_path / "resumed")
    assert search.proposals.propose(14) == resumed.proposals.propose(14)
    assert search.proposals.propose(15) == resumed.proposals.propose(15)


ALL_NUMBERS: dict[str, Any] = {
    "optimizer": {
        "name": "adamw",
        "lr": {"loguniform": [1e-5, 3e-4]},
        "beta1": {"uniform": [0.1, 0.9]},
        "weight_decay": {"quniform": [0, 0.3, 0.1]},
    }
}


@pytest.mark.parametrize(
    ("algorithm", "objectives"),
    [
        pytest.param(algorithm, objectives, id=f"{algorithm['name']}, {'two' if objectives else 'one'}")
        for algorithm in (
            {"name": "gp", "startup_trials": 5},
            {"name": "cmaes", "population": 4},
            {"name": "nsga2", "population": 4},
            {"name": "random"},
            {"name": "auto"},
        )
        for objectives in ({}, TWO_OBJECTIVES)
        if not (algorithm["name"] == "cmaes" and objectives)  # which is for one metric, and else refused
    ],
)
def test_that_holds_for_every_algorithm(
    make_space: MakeSpace, tmp_path: Path, algorithm: dict[str, Any], objectives: dict[str, Any]
) -> None:
    search = {"scheduler": {"name": "none"}, **objectives.get("search", {}), "algorithm": algorithm}
    space = make_space(**{**ALL_NUMBERS, **objectives, "search": search})
    undisturbed = Search(space, tmp_path)
    rng = random.Random(5)
    proposed, running = list[Proposal](), list[int]()
    num_trials = 9 if algorithm["name"] in ("gp", "auto") else 14
    while len(proposed) < num_trials:  # up to three at a time, which end in another order than they began
        if len(running) < 3:
            everything = {**proposed[1].params, "optimizer.lr": 1e-4} if len(proposed) == 2 else None
            proposal = undisturbed.propose(everything)
            proposed.append(proposal)
            running.append(proposal.number)
        else:
            number = running.pop(rng.randrange(3))
            score = -abs(proposed[number].params["optimizer.beta1"] - 0.7) + 1
            undisturbed.report(number, 1, score, similarity__mean_squared_error=rng.random())
            undisturbed.stop(number, "failed" if number == 5 else "completed")
    resumed = undisturbed.resumed(space, tmp_path / "resumed")
    assert undisturbed.proposals.propose(num_trials) == resumed.proposals.propose(num_trials)


@pytest.mark.parametrize("name", ["gp", "cmaes", "nsga2"])
def test_an_algorithm_comes_closer_to_the_best_value(make_space: MakeSpace, tmp_path: Path, name: str) -> None:
    settings = {"startup_trials": 6} if name == "gp" else {"population": 6}
    space = make_space(
        {"trials": 99, "scheduler": {"name": "none"}, "algorithm": {"name": name, **settings}}, **ALL_NUMBERS
    )
    search, found = Search(space, tmp_path), list[float]()
    for number in range(12 if name == "gp" else 36):
        off = abs(search.propose().params["optimizer.beta1"] - 0.85)
        search.report(number, 1, 1 - off)
        search.stop(number, "completed")
        found.append(off)
    assert sum(found[-6:]) < 0.6 * sum(found[:6])


def test_the_same_holds_for_values_on_a_logarithmic_grid(make_space: MakeSpace, tmp_path: Path) -> None:
    space = make_space(
        optimizer={"name": "adamw", "lr": {"qloguniform": [1e-5, 3e-4, 1e-5]}, "beta1": {"quniform": [0.1, 0.9, 0.1]}}
    )
    search = Search(space, tmp_path)
    search.run(9)
    assert search.proposals.propose(9) == search.resumed(space, tmp_path / "resumed").proposals.propose(9)


def test_start_up_draws_differ_from_each_other_and_from_another_seed(make_space: MakeSpace, tmp_path: Path) -> None:
    drawn = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        search = Search(make_space({"seed": seed, "algorithm": {"name": "random"}}), tmp_path / str(seed))
        drawn += [search.propose().params["optimizer.lr"] for _ in range(5)]
    assert len(set(drawn)) == 10


def test_a_branch_that_is_not_taken_has_no_value(make_space: MakeSpace, tmp_path: Path) -> None:
    search = Search(make_space(), tmp_path)
    search.run(12)
    taken = {proposal["schedule"] for proposal in (trial.params for trial in search.state.trials.values())}
    assert taken == {"linear", "plateau"}
    for trial in search.state.trials.values():
        assert ("schedule[plateau].patience" in trial.params) == (trial.params["schedule"] == "plateau")


def test_a_running_trial_counts_for_nothing_in_branches_that_it_did_not_take(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    search = Search(make_space(), tmp_path)
    search.run(12, num_running=12)
    for trial in read(search.journal).trials:
        assert not [value for key, value in trial.system_attrs.items() if key.startswith("tpe:") and value]


def test_optuna_is_told_the_truth_and_its_journal_can_be_read(make_space: MakeSpace, tmp_path: Path) -> None:
    search = Search(make_space(), tmp_path)
    for _ in range(6):
        search.propose()
    for number, status in enumerate(("completed", "pruned", "diverged", "failed", "interrupted")):
        search.report(number, 1, 0.6)
        search.report(number, 2, 0.5)
        search.stop(number, status)
    for journal in (search.journal, search.resumed(make_space(), tmp_path / "resumed").journal):
        trials = read(journal).trials
        assert [trial.state for trial in trials] == [
            OptunaState.COMPLETE,
            OptunaState.PRUNED,
            OptunaState.FAIL,
            OptunaState.FAIL,
            OptunaState.RUNNING,
            OptunaState.RUNNING,
        ]
        assert trials[0].value == 0.6
        assert trials[1].intermediate_values == {1: 0.6, 2: 0.6}
        assert trials[1].last_step == 2
        assert trials[2].user_attrs == {"trial_id": "t0002", "status": "diverged", "reason": "because"}
        assert trials[2].value is None


def test_of_several_objectives_optuna_is_told_those_of_the_best_evaluation(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    space = make_space(**TWO_OBJECTIVES)
    search = Search(space, tmp_path)
    ends = ("completed", "pruned", "diverged", "completed", "completed", "interrupted")
    for number, status in enumerate(ends):
        search.propose()
        search.report(number, 1, 0.6 - number / 10, similarity__mean_squared_error=None if number == 3 else 2.0)
        search.report(number, 2, 0.5 - number / 10, similarity__mean_squared_error=1.0)
        search.stop(number, status)
    for journal in (search.journal, search.resumed(space, tmp_path / "resumed").journal):
        study = read(journal)
        assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
        assert [trial.state for trial in study.trials] == [
            OptunaState.COMPLETE,
            OptunaState.PRUNED,
            OptunaState.FAIL,
            OptunaState.FAIL,  # it completed, but had no second objective to tell
            OptunaState.COMPLETE,
            OptunaState.RUNNING,
        ]
        assert [trial.values for trial in study.trials] == [
            [0.6, 2.0],
            None,
            None,
            None,
            [pytest.approx(0.2), 2.0],
            None,
        ]
        assert not any(trial.intermediate_values for trial in study.trials)
        assert [trial.number for trial in study.best_trials] == [0]
    assert [trial.number for trial in search.state.front(space.objectives)] == [0]


def test_with_a_holdout_optuna_is_told_its_values_at_the_evaluations_that_dev_chose(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    search = Search(make_space({"holdout_ratio": 0.5}), tmp_path)
    for number in (0, 1):
        search.propose()
        reported = [(1, 0.6, (1, 0.6), 0.8), (2, 0.7, (2, 0.7), 0.4), (3, 0.65, (2, 0.7), 0.9)]
        for evaluation, dev, best, holdout in reported:
            search.story.reported(number, evaluation, dev, best, **with_holdout(dev, holdout))
            search._catch_up()
            search.proposals.report(search.state.trials[f"t{number:04d}"])
    search.stop(0, "completed")
    search.stop(1, "pruned")
    rebuilt = Search(make_space({"holdout_ratio": 0.5}), tmp_path, search.state, search.story)
    for proposals in (search.proposals, rebuilt.proposals):
        completed, pruned = proposals._study.trials
        assert completed.value == 0.4
        assert pruned.intermediate_values == completed.intermediate_values == {1: 0.8, 2: 0.4, 3: 0.4}


def test_stopped_trials_of_several_objectives_are_ranked_by_how_far_they_came_and_then_by_score(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    search = Search(make_space(**TWO_OBJECTIVES), tmp_path)
    for number, scores in enumerate([(0.9,), (0.1, 0.2), (0.8,), (0.1, 0.1, 0.0), (-50.0, -40.0)]):
        search.propose()
        for evaluation, score in enumerate(scores, start=1):
            search.report(number, evaluation, score, similarity__mean_squared_error=1.0)
        search.stop(number, "pruned")
    trials = read(search.journal).trials
    # The larger, the further from what Optuna takes for good; 0 and less is as good as a complete trial.
    fell_short = {trial.number: trial.constraints["stopped_early"] for trial in trials}
    assert sorted(fell_short, key=lambda number: fell_short[number]) == [3, 1, 4, 0, 2]
    assert min(fell_short.values()) > 0


def test_what_only_the_second_objective_tells_is_learned_in_its_direction(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    space = make_space(**TWO_OBJECTIVES)
    search = Search(space, tmp_path)
    low, high = math.log(1e-5), math.log(3e-4)
    found = []
    for number in range(40):
        position = (math.log(search.propose().params["optimizer.lr"]) - low) / (high - low)
        assert 0 <= position <= 1
        search.report(number, 1, 0.5, similarity__mean_squared_error=1 - position)
        search.stop(number, "completed")
        found.append(position)
    assert sum(found[-20:]) / 20 > 0.8


@pytest.mark.parametrize("sections", [{}, TWO_OBJECTIVES], ids=["one objective", "two objectives"])
def test_a_rebuilt_study_equals_the_one_that_was_kept_in_step(
    make_space: MakeSpace, tmp_path: Path, sections: dict[str, Any]
) -> None:
    space = make_space(**sections)
    search = Search(space, tmp_path)
    search.run(10, num_running=2)

    def essence(journal: Path) -> list[Any]:
        return [
            (t.number, t.state, t.params, t.distributions, t.values, t.intermediate_values, t.user_attrs, t.constraints)
            for t in read(journal).trials
        ]

    resumed = search.resumed(space, tmp_path / "resumed")
    assert essence(search.journal) == essence(resumed.journal)
    assert read(search.journal).directions == read(resumed.journal).directions


def test_a_start_point_is_taken_and_the_rest_is_drawn(make_space: MakeSpace, tmp_path: Path) -> None:
    search = Search(make_space(), tmp_path)
    proposal = search.propose({"optimizer.lr": 5e-5, "schedule": "plateau", "schedule[plateau].patience": 2})
    assert proposal.config is not None
    assert proposal.config.optimizer.lr == 5e-5
    assert proposal.config.schedule.model_dump() == {"name": "plateau", "factor": 0.1, "patience": 2}
    assert proposal.config.training.batch_size in (16, 32, 64)
    assert read(search.journal).trials[0].state == OptunaState.RUNNING


def test_a_draw_that_breaks_a_rule_is_given_with_the_rule(make_space: MakeSpace, tmp_path: Path) -> None:
    task = {"kind": "pair_regression", "data": "stsb", "low": {"uniform": [0, 3]}, "high": {"uniform": [1, 5]}}
    search = Search(make_space(tasks={"similarity": task}), tmp_path)
    proposals = [search.propose() for _ in range(24)]
    infeasible = [proposal for proposal in proposals if proposal.config is None]
    assert 0 < len(infeasible) < 24
    assert all("low < high must hold" in proposal.problem for proposal in infeasible)


def test_numbers_out_of_step_with_optuna_are_a_fault(make_space: MakeSpace, tmp_path: Path) -> None:
    search = Search(make_space(), tmp_path)
    with pytest.raises(AssertionError, match="Optuna's trial 0 is our 3"):
        search.proposals.propose(3)
