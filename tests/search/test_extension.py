from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.space import SearchSpace
from mtsearch.errors import RunError
from mtsearch.search.events import EventLog, RunStarted
from mtsearch.search.extension import Extension, Request, extension_of, identity_of, is_finished, refuse_run
from mtsearch.search.state import RunState, fold
from tests.search.conftest import Story

NO_SCHEDULER = {"scheduler": {"name": "none"}}


class History:
    """A run folder's events, to which drivers come, each with a request of its own, and go."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.story = Story()

    @property
    def state(self) -> RunState:
        return fold(self.story.events)

    def take_up(self, trials: int = 0, seconds: float = 0.0) -> Extension:
        """A driver begins."""
        extension = extension_of(self.space, Path("runs/x"), self.state, Request(trials, seconds))
        begun = self.story.begun(self.space.num_trials(extension.extra), rungs=None).events.pop()
        assert isinstance(begun, RunStarted)
        identity = identity_of(self.space)
        self.story.events.append(
            replace(
                begun,
                identity=identity,
                extra=extension.extra,
                extra_from=extension.extra_from,
                extra_seconds=extension.extra_seconds,
                extra_seconds_from=extension.extra_seconds_from,
                extended=extension.extended,
            )
        )
        return extension

    def train(self, number: int) -> None:
        """So many trials are suggested and completed, a second for each event."""
        for _ in range(number):
            next_one = len(self.state.trials)
            self.story.suggested(next_one).stopped(next_one, "completed")

    @property
    def target(self) -> int:
        return self.state.target


@pytest.fixture
def history(make_space: Callable[..., SearchSpace]) -> Callable[..., History]:
    return lambda **search: History(make_space({**NO_SCHEDULER, **search}))


def test_the_same_command_after_a_crash_goes_on_with_its_extension_and_adds_nothing(
    history: Callable[..., History],
) -> None:
    run = history(trials=4)
    run.take_up()
    run.train(4)
    run.take_up(trials=3)
    assert run.target == 7
    run.train(1)
    for _ in range(2):  # it crashes, and is taken up once more, by the same command or without the option
        assert not run.take_up(trials=3).extended
        run.take_up()
        assert run.target == 7
    run.train(2)
    assert is_finished(run.state, run.space)
    run.take_up(trials=3)  # now that they are done, it means three more
    assert run.target == 10


def test_another_number_counts_from_where_the_search_was_last_finished_too(history: Callable[..., History]) -> None:
    run = history(trials=4)
    run.take_up()
    run.train(1)
    for trials, target in ((3, 7), (5, 9), (5, 9), (3, 7)):  # an unfinished one: on top of what its space asks for
        run.take_up(trials=trials)
        assert run.target == target
    run.train(6)
    run.take_up(trials=2)
    run.train(1)
    run.take_up(trials=4)
    assert run.target == 11


def test_a_new_search_that_is_extended_at_once_is_not_extended_again_by_the_same_command(
    history: Callable[..., History],
) -> None:
    run = history(trials=4)
    for _ in range(2):
        run.take_up(trials=3)
        assert run.target == 7
        run.train(1)


def test_an_extension_gets_the_whole_time_anew_once(history: Callable[..., History]) -> None:
    run = history(trials=4, time="1h")
    run.take_up()
    run.train(4)
    run.take_up(trials=3, seconds=60.0)
    granted_from = run.state.seconds_granted_from
    assert granted_from > 0
    run.train(1)
    run.take_up(trials=3, seconds=60.0)
    assert run.state.seconds_granted_from == granted_from
    assert run.state.extra_seconds == 60.0


def test_more_time_counts_from_what_was_spent_and_is_given_once(history: Callable[..., History]) -> None:
    run = history(trials=99, time=3.0)
    run.take_up()
    run.train(3)
    spent = run.state.seconds
    assert spent > 3.0
    run.take_up(seconds=20.0)
    assert run.state.extra_seconds == spent - 3.0 + 20.0
    run.train(2)
    run.take_up(seconds=20.0)
    assert run.state.extra_seconds == spent - 3.0 + 20.0
    run.take_up()
    assert run.state.extra_seconds == spent - 3.0 + 20.0
    with pytest.raises(RunError, match="--time: must extend a budget of time, but this search has none"):
        history().take_up(seconds=1.0)


def test_a_search_that_a_budget_has_ended_is_extended_from_the_trials_that_it_has(
    history: Callable[..., History],
) -> None:
    run = history(trials=9, gpu_hours=1e-9)
    run.take_up()
    run.story.suggested(0, gpus=1.0).reported(0, 1, 0.5).stopped(0, "completed")
    run.take_up(trials=2)
    assert run.target == 3
    run.take_up(trials=2)
    assert run.target == 3


def test_a_finished_search_is_refused(history: Callable[..., History]) -> None:
    run = history(trials=1, time="1h")
    run.take_up()
    run.train(1)
    with pytest.raises(RunError, match=r"is finished \(the one trial is done\); go on with --trials \+N or begin"):
        run.take_up()
    with pytest.raises(RunError, match="is finished"):
        run.take_up(seconds=60.0)  # there is time left, and nothing to do in it


def test_other_budgets_are_no_other_space(history: Callable[..., History], make_space: Callable[..., Any]) -> None:
    run = history(trials=2)
    run.take_up(trials=3)
    run.space = make_space({**NO_SCHEDULER, "trials": 4})
    run.take_up()
    assert run.target == 7


def test_a_run_of_a_version_that_knew_fewer_settings_is_gone_on_with(
    make_space: Callable[..., SearchSpace], tmp_path: Path
) -> None:
    space = make_space()
    state = fold(Story().begun().suggested(0).events)
    older = identity_of(space)
    del older["search"]["constraints"], older["training"]["early_stopping_patience"], older["surgery"]
    state.identity = older
    assert extension_of(space, tmp_path, state, Request()) == Extension()
    other = make_space(optimizer={"name": "adamw", "lr": 1e-4})
    with pytest.raises(RunError, match=r"differs from the one it was made for: optimizer\.lr"):
        extension_of(other, tmp_path, state, Request())
    older["search"]["no_longer_there"] = 1
    with pytest.raises(RunError, match=r"no_longer_there: 1 -> .absent."):
        extension_of(space, tmp_path, state, Request())


def test_what_is_no_run_or_a_finished_one_is_refused_by_itself(
    make_space: Callable[..., SearchSpace], tmp_path: Path
) -> None:
    space = make_space({**NO_SCHEDULER, "trials": 1})
    refuse_run(space, tmp_path / "new", Request())
    run = History(space)
    run.take_up()
    run.train(1)
    with EventLog(tmp_path / "run") as log:
        for event in run.story.events:
            log.append(event)
    refuse_run(space, tmp_path / "run", Request(trials=1))
    with pytest.raises(RunError, match="is finished"):
        refuse_run(space, tmp_path / "run", Request())
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="holds something else"):
        refuse_run(space, tmp_path, Request())


@pytest.mark.parametrize(
    ("params", "told"),
    [({"optimizer.mood": 1}, "optimizer.mood: is no dimension"), ({"optimizer.lr": 5.0}, "optimizer.lr: must be in")],
)
def test_a_trial_at_a_point_that_its_space_does_not_have_is_refused(
    history: Callable[..., History], params: dict[str, Any], told: str
) -> None:
    run = history()
    run.take_up()
    run.story.suggested(0, params=params)
    with pytest.raises(RunError, match=rf"events.jsonl: params of t0000: {told}"):
        run.take_up()
