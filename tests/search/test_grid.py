"""A grid search without workers: which trials it hands out, also over crashes and infeasible points."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace
from mtsearch.errors import RunError
from mtsearch.search.driver import finished_because
from mtsearch.search.events import EVENTS, Event, Infeasible, Suggested, read_events
from mtsearch.search.extension import Request, extension_of, identity_of
from mtsearch.search.state import RunState, fold
from tests.search.conftest import Story
from tests.search.test_driver import Drive


def grid(trials: int | None = None, **sections: Any) -> SearchSpace:
    """Of six points: two batch sizes, and three schedules of which two are one method's."""
    return load_space(
        {
            "name": "space",
            "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
            "training": {"epochs": 10, "batch_size": {"choice": [64, 16]}},
            "schedule": {"choice": [{"name": "plateau", "patience": {"choice": [2, 1]}}, {"name": "linear"}]},
            "search": {
                "algorithm": {"name": "grid"},
                "scheduler": {"name": "none"},
                **({} if trials is None else {"trials": trials}),
            },
            **sections,
        }
    )


# 4 of 16 points break the rule low < high, and they are not the first ones.
RULED = {
    "tasks": {
        "near": {
            "kind": "pair_regression",
            "data": "stsb",
            "low": {"choice": [0.0, 1.0, 2.0, 3.0]},
            "high": {"choice": [1.5, 2.5, 3.5, 4.5]},
        }
    },
    "training": {"epochs": 10, "batch_size": 16},
    "schedule": {"name": "linear"},
}
NUM_RULED_OUT = 3  # 2 < 1.5, 3 < 1.5 and 3 < 2.5 do not hold

Begin = Callable[..., Drive]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    opened: list[Drive] = []

    def start(space: SearchSpace, folder: str = "run", concurrency: int = 2) -> Drive:
        while opened:
            opened.pop().close()
        (tmp_path / folder).mkdir(exist_ok=True)
        opened.append(Drive(space, tmp_path / folder, concurrency))
        return opened[-1]

    yield start
    while opened:
        opened.pop().close()


def run_out(drive: Drive) -> None:
    """Run and finish what is handed out, until nothing is any more."""
    while (found := drive.driver.next_trial()) is not None:
        drive.driver.result(found[0], {"outcome": "started", "attempt": 1, "node": "n"})
        drive.say(found[0], 2, 0.5, "finished", "all done")
        drive.driver.ended(found[0])


def tried(events: list[Event]) -> list[dict[str, Any]]:
    return [dict(event.params) for event in events if isinstance(event, Suggested | Infeasible)]


def points(space: SearchSpace) -> list[dict[str, Any]]:
    return [space.point(index) for index in range(space.grid_size or 0)]


def test_every_point_is_a_trial_in_the_order_of_the_grid(begin: Begin) -> None:
    space = grid()
    drive = begin(space)
    run_out(drive)
    assert drive.driver.is_exhausted
    assert [dict(trial.params) for trial in drive.state.trials.values()] == points(space)
    configs = [trial.config for trial in drive.state.trials.values()]
    assert [config["training"]["batch_size"] for config in configs] == [64, 64, 64, 16, 16, 16]
    assert [config["schedule"].get("patience") for config in configs] == [2, 1, None, 2, 1, None]
    assert finished_because(drive.state, space) == "all 6 points of the grid are tried"


def test_fewer_trials_take_the_first_points(begin: Begin) -> None:
    space = grid(trials=4)
    drive = begin(space)
    run_out(drive)
    assert [dict(trial.params) for trial in drive.state.trials.values()] == points(space)[:4]
    assert finished_because(drive.state, space) == "all 4 trials are done"


def test_values_of_every_kind_come_through_optuna_as_they_are_written(begin: Begin) -> None:
    space = grid(
        training={"epochs": {"int": [2, 6, 4]}, "early_stopping_patience": {"choice": [None, 2]}},
        optimizer={"name": "adamw", "lr": {"qloguniform": [1e-4, 2e-4, 1e-4]}, "beta1": {"quniform": [0.1, 0.3, 0.1]}},
        encoder={"pooling": {"choice": ["mean", "cls"]}},
        schedule={"name": "linear"},
    )
    drive = begin(space, concurrency=100)
    found = [drive.start() for _ in range(space.num_trials())]
    trials = [drive.state.trials[trial_id] for trial_id in found]
    assert len({trial.config_hash for trial in trials}) == len(trials) == 2 * 2 * 2 * 3 * 2
    for trial, point in zip(trials, points(space), strict=True):
        assert space.config_from_params(trial.params) == space.config_from_params(point)


def test_infeasible_points_are_recorded_and_not_run(begin: Begin) -> None:
    space = grid(**RULED)
    drive = begin(space)
    run_out(drive)
    assert drive.driver.is_exhausted
    assert tried(drive.watcher.events) == points(space)
    assert drive.state.counts() == {"completed": 16 - NUM_RULED_OUT, "infeasible": NUM_RULED_OUT}
    assert drive.driver.fault is None
    assert finished_because(drive.state, space) == "all 16 points of the grid are tried"


def test_infeasible_points_at_the_end_of_a_grid_end_it(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtsearch.search import driver as module

    monkeypatch.setattr(module, "_MOST_INFEASIBLE_IN_A_ROW", 1)  # a limit for algorithms that draw
    near = {**RULED["tasks"]["near"], "high": {"choice": [4.5, 2.5, 1.5]}}
    space = grid(**{**RULED, "tasks": {"near": near}})
    drive = begin(space)
    run_out(drive)
    assert [trial.status for trial in drive.state.trials.values()][-2:] == ["infeasible"] * 2
    assert drive.driver.fault is None
    assert drive.driver.is_exhausted


@pytest.mark.parametrize("sections", [{}, RULED], ids=["all feasible", "some infeasible"])
def test_a_driver_killed_between_two_events_is_taken_over_and_each_point_is_tried_once(
    begin: Begin, tmp_path: Path, sections: dict[str, Any]
) -> None:
    space = grid(**sections)
    run_out(begin(space, "whole"))
    lines = (tmp_path / "whole" / EVENTS).read_bytes().splitlines(keepends=True)
    for cut in range(1, len(lines) + 1, 5):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / EVENTS).write_bytes(b"".join(lines[:cut]))
        drive = begin(space, folder.name)
        run_out(drive)
        assert drive.driver.is_exhausted
        assert tried(list(read_events(folder))) == points(space)
        assert all(trial.status in ("completed", "infeasible") for trial in drive.state.trials.values())


def test_optunas_journal_has_the_points(begin: Begin) -> None:
    space = grid()
    drive = begin(space)
    run_out(drive)
    storage = JournalStorage(JournalFileBackend(str(drive.driver._folder / "study.journal")))
    study = optuna.load_study(study_name="space", storage=storage)
    assert [trial.params for trial in study.trials] == points(space)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_sets_of_tasks_are_points_of_a_grid_like_others(begin: Begin) -> None:
    of = {
        "mood": {"kind": "classification", "data": "sst5"},
        "same": {"kind": "pair_classification", "data": "quora", "weight": {"choice": [1.0, 2.0]}},
    }
    space = grid(tasks={"subsets": {"of": of, "sizes": [1, 2]}}, training={"epochs": 10}, schedule={"name": "linear"})
    drive = begin(space)
    run_out(drive)
    assert [trial.tasks for trial in drive.state.trials.values()] == ["mood", "same", "same", "mood+same", "mood+same"]


def finished(space: SearchSpace, num_trials: int) -> RunState:
    story = Story().begun(trials=space.num_trials(), rungs=None)
    for number, point in itertools.islice(enumerate(points(space)), num_trials):
        story.suggested(number, params=point).stopped(number, "completed")
    state = fold(story.events)
    state.identity = identity_of(space)
    return state


def test_more_trials_are_the_next_points_and_no_more_than_there_are(tmp_path: Path) -> None:
    space = grid(trials=2)
    extra = extension_of(space, tmp_path, finished(space, 2), Request(3)).extra
    assert space.num_trials(extra) == 5
    extra = extension_of(space, tmp_path, finished(space, 2), Request(100)).extra
    assert space.num_trials(extra) == 6
    with pytest.raises(
        RunError, match=r"is finished \(all 6 points of the grid are tried\), and its grid has no further point; begin"
    ):
        extension_of(space, tmp_path, finished(space, 6), Request(1))
