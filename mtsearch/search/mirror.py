"""A copy of the study in a database (``search.storage``), which optuna-dashboard can watch.

The search neither reads it nor waits for it: proposals come from the study in the run folder.
"""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from mtsearch.config.urls import without_passwords
from mtsearch.errors import RunError
from mtsearch_analysis.tables import Direction

__all__ = ["StudyMirror"]

_RUN = "mtsearch run"  # attribute of the study: whose it is
_CONNECT_SECONDS = 10
_SECONDS_BETWEEN_TRIES = 5.0
_LAST_SECONDS = 30.0

# A connection whose server is gone without a word is given up, rather than waited on for a quarter of an hour.
_LIBPQ = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": 30_000}


class StudyMirror:
    """Keeps a database's study in step with ours, in a thread of its own.

    A database that goes down in the middle is told of once, and the study is brought up to date when it is back. A
    trial that ended meanwhile then has that moment as its end there.

    Args:
        url: of the database, as Optuna takes it.
        name: of the study.
        directions: of its objectives.
        run_id: of the run folder; the study of another is not touched.
        warn: told, in words and by any thread, that the database went down, or is back.
        seconds_between_tries: while it is down.

    Raises:
        RunError: the database does not answer, or holds another's study of that name.
    """

    def __init__(
        self,
        url: str,
        name: str,
        directions: Iterable[Direction],
        run_id: str,
        warn: Callable[[str], None],
        seconds_between_tries: float = _SECONDS_BETWEEN_TRIES,
    ) -> None:
        self._shown = without_passwords(url)
        self._name = name
        self._directions = [StudyDirection[direction.upper()] for direction in directions]
        self._run_id = run_id
        self._warn = warn
        self._seconds_between_tries = seconds_between_tries
        self._trials: dict[int, FrozenTrial] = {}
        self._behind: set[int] = set()
        self._there: dict[int, FrozenTrial] | None = None  # what the database holds; None where that is to be asked
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="study-mirror", daemon=True)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._storage = _storage(url)
            self._study_id = self._take_up()
        except RunError:
            self._disconnect()
            raise
        except ImportError as error:
            remedy = "pip install 'mtsearch[postgresql]'" if url.startswith("postgresql") else "install its driver"
            raise RunError(
                f"search.storage: the database at {self._shown} needs a driver, but got {_told(error)}; {remedy}"
            ) from error
        except Exception as error:  # whatever a database's driver raises
            raise RunError(
                f"search.storage: the database at {self._shown} must answer, but got {_told(error)}; start it, put "
                "the URL right, or go on without it by --set search.storage=null"
            ) from error
        finally:
            optuna.logging.set_verbosity(verbosity)

    def begin(self) -> None:
        """Start, once all trials so far are put."""
        self._thread.start()

    def put(self, trial: FrozenTrial) -> None:
        """Have the database's trial of this number become like this one; returns at once. It must not change more."""
        with self._changed:
            self._trials[trial.number] = _without_notes(trial)
            self._behind.add(trial.number)
            self._changed.notify()

    def close(self) -> None:
        """Wait for the last trials, but not for long."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_LAST_SECONDS)
        with self._changed:
            behind = len(self._behind)
        if behind:
            self._warn(
                f"{behind} trial{'s have' if behind > 1 else ' has'} not reached the study at {self._shown}; the next "
                "driver of this run folder brings it up to date"
            )
        if not self._thread.is_alive():
            self._disconnect()

    def _disconnect(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _run(self) -> None:
        try:
            self._keep_in_step()
        finally:
            self._storage.remove_session()  # each thread has one

    def _keep_in_step(self) -> None:
        is_down = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._behind or self._is_closing)
                if not self._behind:
                    return
            try:
                self._catch_up()
            except RunError as error:
                self._warn(f"{error}; the study there is left alone from now on")
                with self._changed:
                    self._behind.clear()
                return
            except Exception as error:  # whatever a database's driver raises
                if not is_down:
                    self._warn(
                        f"the database at {self._shown} does not answer: {_told(error)}; the search goes on, and the "
                        "study there is brought up to date when it does"
                    )
                is_down, self._there = True, None
                with self._changed:
                    if self._is_closing:
                        return
                    self._changed.wait_for(lambda: self._is_closing, self._seconds_between_tries)
                continue
            if is_down:
                is_down = False
                self._warn(f"the database at {self._shown} answers again, and its study is up to date")

    def _catch_up(self) -> None:
        """Write what is behind.

        Raises:
            RunError: the study there is another's by now.
        """
        if self._there is None:
            self._study_id = self._take_up()
            there = {trial.number: trial for trial in self._storage.get_all_trials(self._study_id, deepcopy=False)}
            with self._changed:
                trials = dict(self._trials)
                self._behind = set(trials)
            if not all(number in trials and _leads_to(trial, trials[number]) for number, trial in there.items()):
                self._storage.delete_study(self._study_id)
                self._study_id, there = self._take_up(), {}
            self._there = there
        while True:
            with self._changed:
                if not self._behind:
                    return
                number = min(self._behind)
                trial = self._trials[number]
            self._there[number] = self._written(trial, self._there.get(number))
            with self._changed:
                if self._trials[number] is trial:
                    self._behind.discard(number)

    def _take_up(self) -> int:
        """The study's id in the database; it is made if it is not there.

        Raises:
            RunError: it is another's.
        """
        try:
            study_id = self._storage.get_study_id_from_name(self._name)
        except KeyError:
            study_id = self._storage.create_new_study(self._directions, self._name)
            self._storage.set_study_user_attr(study_id, _RUN, self._run_id)
            return study_id
        if self._storage.get_study_user_attrs(study_id).get(_RUN) != self._run_id:
            raise RunError(
                f"search.storage: the database at {self._shown} holds a study {self._name!r} that this run did not "
                "make; choose another --name, or delete that study (optuna delete-study)"
            )
        return study_id

    def _written(self, trial: FrozenTrial, there: FrozenTrial | None) -> FrozenTrial:
        """The trial as the database has it now, which had it as ``there``."""
        written = copy.copy(trial)
        if there is None:
            written._trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
            return written
        written._trial_id = key = there._trial_id
        if there.state.is_finished():
            return written
        for step, value in trial.intermediate_values.items():
            if step not in there.intermediate_values:
                self._storage.set_trial_intermediate_value(key, step, value)
        for name, attribute in trial.user_attrs.items():
            self._storage.set_trial_user_attr(key, name, attribute)
        for name, note in trial.system_attrs.items():
            self._storage.set_trial_system_attr(key, name, note)
        if trial.state.is_finished():
            self._storage.set_trial_state_values(key, trial.state, trial.values)
        return written


def _storage(url: str) -> RDBStorage:
    scheme = url.split("://")[0]
    if scheme == "postgresql":  # psycopg 3, whatever this SQLAlchemy would take
        url = url.replace(scheme, "postgresql+psycopg", 1)
    arguments: dict[str, Any] = {}
    if re.fullmatch(r"postgresql(\+psycopg2?)?", scheme):
        arguments = dict(_LIBPQ)
    elif scheme.startswith(("mysql", "mariadb")):
        arguments = {"connect_timeout": _CONNECT_SECONDS}
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True, "connect_args": arguments})


def _without_notes(trial: FrozenTrial) -> FrozenTrial:
    """The trial without what the search algorithm has noted down beside it for itself."""
    plain = copy.copy(trial)
    plain.system_attrs = {
        name: value for name, value in trial.system_attrs.items() if name.split(":")[0] == "constraints"
    }
    return plain


def _leads_to(there: FrozenTrial, trial: FrozenTrial) -> bool:
    """Whether what the database has of a trial is what it was at some time, and can become what it is."""
    if there.params != trial.params or not there.intermediate_values.items() <= trial.intermediate_values.items():
        return False
    is_the_end = there.state == trial.state and there.values == trial.values
    return (is_the_end and there.intermediate_values == trial.intermediate_values) or not there.state.is_finished()


def _told(error: BaseException) -> str:
    """A driver's error in one line: SQLAlchemy adds the statement and a link to it."""
    lines = str(error.__cause__ or error).split("\n[SQL:")[0].split("(Background on this error")[0]
    return f"{type(error).__name__}: {without_passwords(' '.join(lines.split()))[:300]}"
