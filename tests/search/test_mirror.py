from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mtsearch.errors import RunError
from mtsearch.search.mirror import StudyMirror
from tests.search.postgresql import PostgreSQL

DISTRIBUTIONS = {"optimizer.lr": FloatDistribution(1e-5, 1e-1, log=True), "schedule": CategoricalDistribution("ab")}


def trial(
    number: int, state: TrialState = TrialState.RUNNING, scores: tuple[float, ...] = (), **changes: Any
) -> FrozenTrial:
    values = [scores[-1]] if state in (TrialState.COMPLETE, TrialState.PRUNED) else None
    made = create_trial(
        state=state,
        values=values,
        params={"optimizer.lr": 10 ** -(2 + number / 10), "schedule": "ab"[number % 2]},
        distributions=DISTRIBUTIONS,
        user_attrs={"trial_id": f"t{number:04d}"} if state.is_finished() else {},
        intermediate_values=dict(enumerate(scores, start=1)),
        system_attrs={"tpe:relative_params:0": "{}"},
        **changes,
    )
    made.number = number
    return made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "study.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture
def url(empty: Path) -> Iterator[str]:
    """Of a database with Optuna's tables, in memory: making them, and waiting for a disk, take longer than all else."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield f"sqlite:///{shutil.copy(empty, folder)}"


@pytest.fixture
def mirror() -> Iterator[Callable[..., StudyMirror]]:
    opened: list[StudyMirror] = []

    def begin(url: str, *trials: FrozenTrial, run_id: str = "r1", told: list[str] | None = None) -> StudyMirror:
        warn = [].append if told is None else told.append
        one = StudyMirror(url, "run", ["maximize"], run_id, warn, seconds_between_tries=0.1)
        for each in trials:
            one.put(each)
        one.begin()
        opened.append(one)
        return one

    yield begin
    for one in opened:
        one.close()


def read(url: str) -> list[FrozenTrial]:
    storage = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        return storage.get_all_trials(storage.get_study_id_from_name("run"))
    finally:
        storage.remove_session()
        storage.engine.dispose()


def shown(trials: list[FrozenTrial]) -> list[Any]:
    return [(t.number, t.state, t.values, t.params, t.intermediate_values, t.user_attrs) for t in trials]


def test_what_is_put_is_in_the_database_but_not_the_algorithms_notes(
    mirror: Callable[..., StudyMirror], url: str
) -> None:
    trials = [
        trial(0, TrialState.COMPLETE, (0.2, 0.5), constraints={"b >= 1": 0.5}),
        trial(1, TrialState.PRUNED, (0.1,)),
        trial(2, TrialState.FAIL),
        trial(3, TrialState.RUNNING, (0.3,)),
    ]
    trials[0].datetime_start, trials[0].datetime_complete = datetime(2024, 1, 1), datetime(2024, 1, 2)
    mirror(url, *trials).close()
    there = read(url)
    assert shown(there) == shown(trials)
    assert (there[0].datetime_start, there[0].datetime_complete) == (datetime(2024, 1, 1), datetime(2024, 1, 2))
    assert there[0].constraints == {"b >= 1": 0.5}
    assert [t.system_attrs.keys() for t in there[1:]] == [set()] * 3


def test_a_trial_goes_its_way_in_the_database_too(mirror: Callable[..., StudyMirror], url: str) -> None:
    kept = mirror(url, trial(0))
    end = trial(0, TrialState.COMPLETE, (0.1, 0.4))
    for state in (trial(0, scores=(0.1,)), trial(1), trial(0, scores=(0.1, 0.4)), end):
        kept.put(state)
    kept.close()
    assert shown(read(url)) == shown([end, trial(1)])


def test_the_next_driver_goes_on_with_what_is_there(mirror: Callable[..., StudyMirror], url: str) -> None:
    mirror(url, trial(0, TrialState.COMPLETE, (0.5,)), trial(1, scores=(0.1,))).close()
    before = read(url)
    after = [trial(0, TrialState.COMPLETE, (0.5,)), trial(1, TrialState.PRUNED, (0.1, 0.2)), trial(2)]
    mirror(url, *after).close()
    assert shown(read(url)) == shown(after)
    assert [t._trial_id for t in read(url)[:2]] == [t._trial_id for t in before]


@pytest.mark.parametrize(
    "there",
    [
        pytest.param([trial(0, TrialState.COMPLETE, (0.9,))], id="another end"),
        pytest.param([trial(1)], id="other params"),
        pytest.param([trial(0, scores=(0.9,))], id="another report"),
        pytest.param([trial(0), trial(1)], id="a trial too many"),
    ],
)
def test_a_study_that_contradicts_the_events_is_made_anew(
    mirror: Callable[..., StudyMirror], url: str, there: list[FrozenTrial]
) -> None:
    mirror(url, *(trial_numbered(number, one) for number, one in enumerate(there))).close()
    truth = [trial(0, TrialState.COMPLETE, (0.5,))]
    mirror(url, *truth).close()
    assert shown(read(url)) == shown(truth)


def trial_numbered(number: int, one: FrozenTrial) -> FrozenTrial:
    one.number = number
    return one


def test_the_study_of_another_run_is_not_touched(mirror: Callable[..., StudyMirror], url: str) -> None:
    mirror(url, trial(0, TrialState.COMPLETE, (0.5,)), run_id="theirs").close()
    with pytest.raises(RunError, match="holds a study 'run' that this run did not make; choose another --name"):
        mirror(url, run_id="ours")
    assert len(read(url)) == 1


def test_a_database_that_does_not_answer_is_one_clear_line_without_the_password(
    mirror: Callable[..., StudyMirror],
) -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
    with pytest.raises(RunError) as raised:
        mirror("postgresql://me:hunter2@127.0.0.1:1/db")
    assert "search.storage: the database at postgresql://me@127.0.0.1:1/db must answer" in str(raised.value)
    assert "refused" in str(raised.value)
    assert "search.storage=null" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_unknown_kind_of_database_is_one_clear_line(mirror: Callable[..., StudyMirror]) -> None:
    with pytest.raises(
        RunError, match=re.escape("search.storage: the database at redis://here/0 must answer, but got")
    ):
        mirror("redis://here/0")


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
    server = PostgreSQL()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_postgresql_may_go_down_in_the_middle_and_nothing_is_lost(
    mirror: Callable[..., StudyMirror], server: PostgreSQL
) -> None:
    told: list[str] = []
    kept = mirror(server.url, trial(0, TrialState.COMPLETE, (0.5,)), trial(1), told=told)
    wait_for(lambda: len(read(server.url)) == 2)
    server.stop()
    kept.put(trial(1, scores=(0.1,)))
    kept.put(trial(2))
    wait_for(lambda: bool(told))
    kept.put(trial(1, TrialState.PRUNED, (0.1,)))
    time.sleep(0.5)  # several tries
    assert len(told) == 1
    assert "does not answer" in told[0]
    server.start()
    wait_for(lambda: len(told) == 2)
    assert "answers again" in told[1]
    kept.put(trial(2, TrialState.COMPLETE, (0.7,)))
    kept.close()
    truth = [
        trial(0, TrialState.COMPLETE, (0.5,)),
        trial(1, TrialState.PRUNED, (0.1,)),
        trial(2, TrialState.COMPLETE, (0.7,)),
    ]
    assert shown(read(server.url)) == shown(truth)
    assert not any(server.secret in text for text in told)


@pytest.mark.slow
def test_postgresql_that_is_down_at_the_end_is_brought_up_to_date_by_the_next_driver(
    mirror: Callable[..., StudyMirror], server: PostgreSQL
) -> None:
    told: list[str] = []
    kept = mirror(server.url, trial(0), told=told)
    wait_for(lambda: len(read(server.url)) == 1)
    server.stop()
    kept.put(trial(0, TrialState.COMPLETE, (0.5,)))
    kept.close()
    assert "1 trial has not reached the study" in told[-1]
    server.start()
    mirror(server.url, trial(0, TrialState.COMPLETE, (0.5,))).close()
    assert shown(read(server.url)) == shown([trial(0, TrialState.COMPLETE, (0.5,))])
