"""Whole searches with the real trainer, on one Ray that all of them share."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray.air.execution._internal import RayActorManager

from mtsearch.api import export
from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ResourceError, RunError
from mtsearch.search.events import Event, EventLog, Reported, Started, Stopped, Suggested, read_events
from mtsearch.search.extension import identity_of
from mtsearch.search.state import RunState, fold
from mtsearch.search.trial import Trial
from mtsearch.search.tuner import Outcome, run_search
from mtsearch_analysis.load import load_run
from tests.search.conftest import Story

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.xdist_group("ray")]

LR = {"loguniform": [1e-4, 1e-1]}


@pytest.fixture
def space_of(tiny_config: Callable[..., dict[str, Any]]) -> Callable[..., SearchSpace]:
    def make(search: dict[str, Any] | None = None, **sections: Any) -> SearchSpace:
        asha = {"name": "asha", "grace": 1, "reduction_factor": 2}
        settings = {"trials": 6, "scheduler": asha, "algorithm": {"name": "tpe", "startup_trials": 2}}
        sections = {"training": {"epochs": 3}, "optimizer": {"name": "adamw", "lr": LR}, **sections}
        return load_space(tiny_config(search={**settings, **(search or {})}, **sections))

    return make


@pytest.fixture
def run(tiny_data: Path, tmp_path: Path) -> Callable[..., Outcome]:
    def search(space: SearchSpace, folder: str = "run", **settings: Any) -> Outcome:
        return run_search(space, tmp_path / folder, data_root=tiny_data, **settings)

    return search


class Interrupt:
    """An observer that asks for a stop, as Ctrl-C does, at the n-th event of a kind."""

    def __init__(self, kind: type[Any], n: int, number: int = signal.SIGINT) -> None:
        self._kind, self._left, self._number = kind, n, number
        self.events: list[Event] = []

    def on_event(self, event: Event, state: RunState) -> None:
        self.events.append(event)
        if isinstance(event, self._kind):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._number)


def scores(folder: Path) -> dict[str, dict[int, float]]:
    return {trial.trial_id: trial.scores for trial in fold(read_events(folder)).trials.values()}


def test_a_search_fills_its_run_folder(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = run(space_of(), space_text="# as given\n")
    folder = tmp_path / "run"
    assert outcome.is_finished
    assert outcome.reason == "all 6 trials are done"
    assert sum(outcome.counts.values()) == 6
    assert outcome.counts.keys() <= {"completed", "pruned"}
    assert outcome.counts["pruned"] >= 1
    assert outcome.checkpoint is not None
    assert (outcome.checkpoint / "model.safetensors").is_file()
    assert outcome.scores["mean_score"] == outcome.score

    found = load_run(folder)
    assert sorted(found.trials["trial_id"]) == [f"t{number:04d}" for number in range(6)]
    assert found.trials["score"].max() == outcome.score
    assert set(found.trials["status"]) == {"completed", "pruned"}
    pruned = found.trials[found.trials["status"] == "pruned"]
    assert (pruned["rung"] < 2).all()
    assert (found.trials["node"].notna() & found.trials["data_hash"].notna()).all()
    best = found.metrics[(found.metrics["trial_id"] == outcome.best) & (found.metrics["metric"] == "mean_score")]
    assert best["value"].max() == outcome.score
    assert (folder / "space.yaml").read_text() == "# as given\n"
    assert found.environment is not None
    assert set(found.environment["data"]) == {"sentiment", "paraphrase", "similarity"}

    with_weights = {path.parts[-5] for path in folder.glob("trials/*/attempt-*/checkpoints/*/model.safetensors")}
    assert with_weights == set(found.trials.sort_values("score")["trial_id"].tail(3))
    assert not (folder / ".ray").exists()
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_a_worker_that_is_starting_is_not_given_up_for_one_that_has_become_free(
    space_of: Callable[..., SearchSpace],
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = tmp_path / "first"
    asked_for = []
    add_actor = RayActorManager.add_actor

    class SlowToStart(Trial):
        """All but the first worker take longer to start than two trials take."""

        def setup(self, config: dict[str, Any]) -> None:
            try:
                first.touch(exist_ok=False)
            except FileExistsError:
                deadline = time.monotonic() + 600
                while (tmp_path / "run/events.jsonl").read_text().count(
                    '"stopped"'
                ) < 2 and time.monotonic() < deadline:
                    time.sleep(0.1)
            super().setup(config)

    def count(manager: RayActorManager, *arguments: Any, **settings: Any) -> Any:
        asked_for.append(settings["resource_request"])
        return add_actor(manager, *arguments, **settings)

    monkeypatch.setattr(RayActorManager, "add_actor", count)
    search = {"algorithm": {"name": "random"}, "scheduler": {"name": "none"}, "trials": 6, "concurrency": 2}
    assert run(space_of(search), trainable=SlowToStart).counts == {"completed": 6}
    assert len(asked_for) == 2


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "asha", "unit": "examples", "grace": 10, "reduction_factor": 2},
        {"name": "median", "min_trials": 2},
    ],
    ids=["examples", "median"],
)
def test_trials_are_stopped_by_every_kind_of_scheduler(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path, scheduler: dict[str, Any]
) -> None:
    outcome = run(space_of({"scheduler": scheduler, "trials": 8, "algorithm": {"name": "random"}}))
    assert outcome.is_finished
    assert outcome.counts.keys() == {"completed", "pruned"}
    assert sum(outcome.counts.values()) == 8
    trials = load_run(tmp_path / "run").trials
    pruned = trials[trials["status"] == "pruned"]
    assert (pruned["evaluations"] < 3).all()
    assert trials["rung"].isna().all() == (scheduler["name"] == "median")


def test_a_population_goes_on_from_its_better_trials(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    pbt = {"name": "pbt", "min_trials": 1, "share": 0.5}
    # Which of two is ahead is chance, and who is ahead is never replaced: hence so many.
    settings = {"scheduler": pbt, "trials": 12, "algorithm": {"name": "random"}, "keep": {"best": 99}}
    outcome = run(space_of(settings, training={"epochs": 6}))
    assert outcome.is_finished
    assert outcome.reason == "all 12 trials are done"
    trials = load_run(tmp_path / "run").trials.set_index("trial_id")
    successors = trials[trials["parent"].notna()]
    assert len(trials) == 12 + len(successors)
    assert len(successors) == outcome.counts["pruned"] > 0
    for trial_id, row in successors.iterrows():
        parent = trials.loc[row["parent"]]
        assert row["config/optimizer.lr"] / parent["config/optimizer.lr"] in (
            pytest.approx(1.2),
            pytest.approx(1 / 1.2),
            pytest.approx(1e-4 / parent["config/optimizer.lr"]),
            pytest.approx(1e-1 / parent["config/optimizer.lr"]),
        )
        first = min(fold(read_events(tmp_path / "run")).trials[str(trial_id)].scores)
        assert first == row["parent_evaluation"]
    assert set(trials["status"]) == {"completed", "pruned"}


def test_an_interrupted_search_goes_on_where_it_was_and_comes_to_the_same_numbers(
    space_of: Callable[..., SearchSpace],
    run: Callable[..., Outcome],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # One trial at a time, so that suggestions do not depend on which of two reports first.
    space = space_of({"trials": 4, "concurrency": 1})
    uninterrupted = run(space, "whole")
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    first = run(space, observer=Interrupt(Reported, 2))
    assert not first.is_finished
    assert first.reason == "stopped by SIGINT"
    assert "stopping: running trials are interrupted" in capfd.readouterr().err
    assert first.counts["interrupted"] == 1
    second = run(space, observer=Interrupt(Reported, 3, signal.SIGTERM))
    assert second.reason == "stopped by SIGTERM"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    last = run(space)
    assert last.is_finished
    assert scores(tmp_path / "run") == scores(tmp_path / "whole")
    assert (last.best, last.score, last.counts) == (uninterrupted.best, uninterrupted.score, uninterrupted.counts)
    events = list(read_events(tmp_path / "run"))
    assert len([event for event in events if isinstance(event, Suggested)]) == 4
    told = [(event.trial_id, event.report["evaluation"]) for event in events if isinstance(event, Reported)]
    assert len(told) == len(set(told))


def test_a_finished_search_is_refused_and_can_be_extended(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome]
) -> None:
    space = space_of({"trials": 1})
    run(space)
    with pytest.raises(RunError, match=r"is finished \(the one trial is done\); go on with --trials \+N or .* --name"):
        run(space)
    outcome = run(space, extra_trials=2)
    assert outcome.is_finished
    assert sum(outcome.counts.values()) == 3


def test_another_space_is_refused_with_what_differs(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    with EventLog(tmp_path / "run") as log:
        log.append(replace(Story().begun().events[0], identity=identity_of(space_of())))
    with pytest.raises(RunError, match=r"training.epochs: 3 -> 2; choose another --name, with --from "):
        run(space_of(training={"epochs": 2}))


def test_a_folder_with_something_else_in_it_is_refused(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="holds something else"):
        run(space_of())


def test_a_folder_in_use_is_refused(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    with EventLog(tmp_path / "run"), pytest.raises(RunError, match="one driver at a time"):
        run(space_of())


def test_a_trial_that_can_never_be_placed_is_refused_before_it_starts(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome]
) -> None:
    with pytest.raises(ResourceError, match=r"asks for 64 cores and 0 GPUs on one machine, but there is 2 cores"):
        run(space_of(resources={"cpus": 64}))


def test_trials_that_raise_diverge_or_lose_their_worker_do_not_end_the_search(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], saboteur: Path, tmp_path: Path
) -> None:
    hows = ["raise", "diverge", "kill", "train"]
    marker = str(tmp_path / "killed")
    space = space_of(
        {"trials": 4, "scheduler": {"name": "none"}, "start": [{"optimizer.how": how} for how in hows]},
        plugins=[str(saboteur)],
        optimizer={"name": "saboteur", "how": {"choice": hows}, "marker": marker},
    )
    outcome = run(space)
    assert outcome.counts == {"failed": 1, "diverged": 1, "completed": 2}
    trials = pd.read_parquet(tmp_path / "run" / "trials.parquet").set_index("config/optimizer.how")
    assert trials.loc["raise", "stop_reason"].startswith("RuntimeError: boom (saboteur.py:")
    assert trials.loc["diverge", "status"] == "diverged"
    assert pd.isna(trials.loc["diverge", "score"])
    assert (trials.loc["kill", "status"], trials.loc["kill", "attempts"]) == ("completed", 2)
    assert "boom" in (tmp_path / "run" / "trials" / "t0000" / "attempt-1" / "log.txt").read_text()


def test_when_the_time_is_up_the_search_is_over_and_more_time_takes_it_up_again(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome]
) -> None:
    slow = {"training": {"epochs": 2000}, "schedule": {"name": "none"}}
    outcome = run(space_of({"trials": 3, "time": "12s", "scheduler": {"name": "none"}}, **slow))
    assert outcome.is_finished
    assert outcome.reason == "the time budget of 12 s is spent"
    assert outcome.counts["interrupted"] >= 1
    with pytest.raises(RunError, match="the time budget of 12 s is spent"):
        run(space_of({"trials": 3, "time": "12s", "scheduler": {"name": "none"}}, **slow))
    more = space_of({"trials": 3, "time": "1h", "scheduler": {"name": "none"}}, **slow)
    resumed = Interrupt(Started, 1)
    assert run(more, observer=resumed).reason == "stopped by SIGINT"
    assert [event for event in resumed.events if isinstance(event, Stopped) and event.status == "interrupted"]


def test_the_winner_is_trained_once_more_on_train_and_dev(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = run(space_of({"trials": 2, "retrain_best": True}))
    assert outcome.is_finished
    assert outcome.retrained is not None
    assert outcome.retrained.parts[-5:-3] == ("retrained", outcome.best)
    assert (outcome.retrained / "model.safetensors").is_file()
    exported = export(outcome.retrained, tmp_path / "exported")
    assert not exported.scores  # on dev it would be asked what it was told
    card = (exported.folder / "README.md").read_text()
    assert f"trial {outcome.best} retrained" in card
    assert "None: the model was trained on train and dev" in card


def test_a_search_runs_in_a_thread_of_a_notebook_too(
    space_of: Callable[..., SearchSpace], run: Callable[..., Outcome]
) -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(space_of({"trials": 1}))))
    thread.start()
    thread.join(600)
    assert outcomes[0].is_finished


OBJECTIVES = ["mean_score", "similarity.mean_squared_error"]


@pytest.fixture
def traded(tiny_config: Callable[..., dict[str, Any]], space_of: Callable[..., SearchSpace]) -> SearchSpace:
    """A search for two objectives, of which one is minimised, one trial at a time."""
    tasks = tiny_config()["tasks"]
    tasks["similarity"]["metrics"] = ["pearson", "mean_squared_error"]
    return space_of({"metric": OBJECTIVES, "concurrency": 1}, tasks=tasks)


def test_a_search_with_two_objectives_ends_with_a_front_that_optuna_agrees_with(
    traded: SearchSpace, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = run(traded)
    assert outcome.is_finished
    trials = load_run(tmp_path / "run").trials
    assert set(trials["status"]) == {"completed", "pruned"}
    front = [trial.trial_id for trial in outcome.front]
    assert sorted(front) == sorted(trials[trials["pareto"].fillna(False)]["trial_id"])
    assert trials.loc[trials["status"] != "completed", "pareto"].isna().all()
    study = optuna.load_study(
        study_name="tiny", storage=JournalStorage(JournalFileBackend(str(tmp_path / "run/study.journal")))
    )
    assert sorted(f"t{trial.number:04d}" for trial in study.best_trials) == sorted(front)
    rows = trials.set_index("trial_id")
    for trial in outcome.front:
        assert list(trial.values) == [rows.loc[trial.trial_id, f"best/{name}"] for name in OBJECTIVES]
    kept = {path.parts[-5] for path in (tmp_path / "run").glob("trials/*/attempt-*/checkpoints/*/model.safetensors")}
    assert kept == {*front, *trials.sort_values("score")["trial_id"].tail(3)}


def test_an_interrupted_search_with_two_objectives_suggests_what_it_would_have(
    traded: SearchSpace, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    whole = run(traded, "whole")
    assert not run(traded, observer=Interrupt(Reported, 6)).is_finished
    last = run(traded)
    assert scores(tmp_path / "run") == scores(tmp_path / "whole")
    assert (last.front, last.best, last.counts) == (whole.front, whole.best, whole.counts)
