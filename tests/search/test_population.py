from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.schedulers import Pbt
from mtsearch.config.space import SearchSpace
from mtsearch.search.population import Population
from mtsearch.search.schedulers import Seen
from mtsearch.search.state import RunState
from tests.search.conftest import Story

FILES = ("model.json", "model.safetensors", "state.json", "state.safetensors")


class World:
    """A run folder with four running trials; what they score is told to a population."""

    def __init__(self, space: SearchSpace, folder: Path, **settings: Any) -> None:
        self.folder, self.space, self.pbt = folder, space, Pbt(**settings)
        self.state, self.story, self._applied = RunState(), Story().begun(rungs=None), 0
        for number in range(4):
            self.story.suggested(number, params={"optimizer.lr": 1e-4, "training.batch_size": 16, "schedule": "linear"})
            self.story.started(number)
        self._apply()
        self.population = self.new_population()

    def new_population(self) -> Population:
        return Population(self.pbt, self.space, self.folder, self.state)

    def _apply(self) -> None:
        for event in self.story.events[self._applied :]:
            self.state.apply(event)
        self._applied = len(self.story.events)

    def report(self, number: int, evaluation: int, score: float, population: Population | None = None) -> bool:
        """Whether the trial goes on; as with Ray, the judge hears first, and then the report is an event."""
        name = f"t{number:04d}"
        checkpoint = self.folder / f"trials/{name}/attempt-1/checkpoints/evaluation-{evaluation:04d}"
        checkpoint.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (checkpoint / file).write_text(f"{name} {evaluation}")
        report = {"evaluation": evaluation, "seconds": 2.0 * evaluation, "examples_seen": 100 * evaluation}
        (checkpoint / "state.json").write_text(json.dumps({"report": report}))
        goes_on = (population or self.population).goes_on(Seen(name, 0, evaluation, 100 * evaluation, score))
        self.story.reported(number, evaluation, score)
        self._apply()
        return goes_on


@pytest.fixture
def world(make_space: Callable[..., SearchSpace], tmp_path: Path) -> Callable[..., World]:
    def make(**settings: Any) -> World:
        return World(make_space({"scheduler": {"name": "pbt"}}), tmp_path, **settings)

    return make


def test_the_worst_stops_and_a_copy_of_the_best_takes_its_place(world: Callable[..., World]) -> None:
    here = world(factor=2.0)
    for number, score in enumerate((0.9, 0.5, 0.6)):
        assert here.report(number, 1, score)
    assert not here.report(3, 1, 0.1)
    successor = here.population.successor_of("t0003")
    assert successor is not None
    assert successor.parent == "t0000"
    assert successor.params["optimizer.lr"] in (5e-5, 2e-4)
    assert successor.params["training.batch_size"] == 16
    assert (successor.evaluation, successor.seconds, successor.examples) == (1, 2.0, 100)
    assert successor.checkpoint == "trials/t0004/attempt-0/checkpoints/evaluation-0001"
    copied = here.folder / successor.checkpoint
    assert sorted(path.name for path in copied.iterdir()) == list(FILES)
    assert (copied / "model.safetensors").read_text() == "t0000 1"
    assert here.population.successor_of("t0003") is None  # once


def test_a_trial_in_the_middle_goes_on_and_so_does_one_with_too_few_to_compare_with(
    world: Callable[..., World],
) -> None:
    here = world()
    assert here.report(0, 1, 0.9)
    assert here.report(1, 1, 0.1)
    assert here.report(2, 1, 0.0)
    assert here.report(3, 1, 0.5)
    assert not any(here.folder.glob("trials/*/attempt-0"))


def test_between_two_looks_nothing_is_decided(world: Callable[..., World]) -> None:
    here = world(interval=2)
    for number, score in enumerate((0.9, 0.8, 0.7, 0.1)):
        assert here.report(number, 1, score)
    for number, score in enumerate((0.9, 0.8, 0.7)):
        assert here.report(number, 2, score)
    assert not here.report(3, 2, 0.1)


def test_only_what_still_runs_can_be_gone_on_from(world: Callable[..., World]) -> None:
    here = world()
    for number, score in enumerate((0.9, 0.8, 0.7)):
        assert here.report(number, 1, score)
    here.story.stopped(0, "completed")
    here._apply()
    assert here.report(3, 1, 0.1)


def test_it_goes_on_from_the_newest_checkpoint_though_nobody_has_told_of_it_yet(world: Callable[..., World]) -> None:
    here = world()
    for number, score in enumerate((0.9, 0.8, 0.7)):
        assert here.report(number, 1, score)
    told = here.folder / "trials/t0000/attempt-1/checkpoints/evaluation-0001"
    (told / "state.json").write_text(json.dumps({"report": {"evaluation": 2, "seconds": 4.0, "examples_seen": 200}}))
    told.rename(told.with_name("evaluation-0002"))
    assert not here.report(3, 1, 0.1)
    successor = here.population.successor_of("t0003")
    assert successor is not None
    assert (successor.evaluation, successor.checkpoint[-15:]) == (2, "evaluation-0002")


def test_a_checkpoint_that_goes_while_it_is_looked_at_is_no_beginning(world: Callable[..., World]) -> None:
    here = world()
    for number, score in enumerate((0.9, 0.8, 0.7)):
        assert here.report(number, 1, score)
    (here.folder / "trials/t0000/attempt-1/checkpoints/evaluation-0001/state.json").unlink()
    assert here.report(3, 1, 0.1)
    assert not any(here.folder.glob("trials/t0004/*"))


def test_a_file_system_without_links_gets_copies(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    here = world()
    for number, score in enumerate((0.9, 0.8, 0.7)):
        here.report(number, 1, score)
    assert not here.report(3, 1, 0.1)
    assert (here.folder / "trials/t0004/attempt-0/checkpoints/evaluation-0001/model.json").read_text() == "t0000 1"


def test_a_population_that_is_taken_up_again_decides_the_same(world: Callable[..., World]) -> None:
    here = world()
    for number, score in enumerate((0.9, 0.5, 0.6)):
        here.report(number, 1, score)
    again = here.new_population()
    seen = Seen("t0003", 0, 1, 100, 0.1)
    assert here.population.goes_on(seen) is again.goes_on(seen) is False
    assert here.population.successor_of("t0003") == again.successor_of("t0003")


def test_a_successors_first_report_is_its_parents_and_decides_nothing(world: Callable[..., World]) -> None:
    here = world()
    for number, score in enumerate((0.9, 0.5, 0.6, 0.1)):
        here.report(number, 1, score)
    here.story.suggested(4, params={"optimizer.lr": 1e-4}, parent="t0000", parent_evaluation=1, replaces="t0003")
    here._apply()
    assert here.report(4, 1, 0.0)
    assert "t0004" not in here.population._scores[1]
    assert here.report(4, 2, 0.2)


def test_what_ends_by_itself_counts_and_has_no_successor(world: Callable[..., World]) -> None:
    here = world()
    for number, score in enumerate((0.9, 0.5, 0.6)):
        assert here.report(number, 1, score)
    here.population.remember(Seen("t0003", 0, 1, 100, 0.55))
    assert here.population.successor_of("t0003") is None
    assert not (here.folder / "trials/t0004").exists()
    assert not here.report(1, 1, 0.5)  # the worst of four, as if told once more


def test_what_a_trial_began_with_is_no_state_of_its_own(world: Callable[..., World]) -> None:
    here = world(min_trials=1)
    begun_with = here.folder / "trials/t0000/attempt-0/checkpoints/evaluation-0009"
    begun_with.mkdir(parents=True)
    for file in FILES:
        (begun_with / file).write_text("another trial's")
    here.report(0, 1, 0.9)
    assert not here.report(1, 1, 0.1)
    successor = here.population.successor_of("t0001")
    assert successor is not None
    assert successor.evaluation == 1
    assert (here.folder / successor.checkpoint / "model.safetensors").read_text() == "t0000 1"
