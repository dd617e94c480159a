"""What Ray Tune calls, passed on to the driver: a search algorithm, a callback and a stopper.

The order in which Ray calls on a result (2.60, TuneController._process_trial_result and stop_trial): the stopper,
the trial scheduler unless the trial says it is done, ``Recorder.on_trial_result``; then, if the trial is done or the
trial scheduler stops it, ``Recorder.on_trial_complete``. When the stopper ends the search, trials are stopped
without a word.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import SearchAlgorithm
from ray.tune.stopper import Stopper

from mtsearch.search.driver import Driver
from mtsearch.search.faults import death_of
from mtsearch.search.trial import TOLD

__all__ = ["Algorithm", "Recorder", "StopWhenTold"]


class Algorithm(SearchAlgorithm):  # type: ignore[misc]
    """Gives Ray the driver's trials, under our own ids.

    A ``SearchAlgorithm`` and not a ``Searcher``, which would get new ids from Ray after a resume. Ray limits its
    concurrency no more than its number of trials: the driver does both.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def add_configurations(self, experiments: list[Experiment]) -> None:
        """Take what all trials share."""
        self._spec = experiments[0].spec

    def next_trial(self) -> Trial | None:
        """The next trial as Ray has it."""
        found = self._driver.next_trial()
        if found is None:
            return None
        trial_id, assignment = found
        return Trial(
            self._spec["run"],
            config=assignment.to_ray(),
            trial_id=trial_id,
            storage=self._spec["storage"],
            checkpoint_config=self._spec["checkpoint_config"],
            max_failures=0,  # the driver decides who is tried again, and hands it out anew under the same id
            trial_name_creator=_own_id,
            trial_dirname_creator=_own_id,
        )

    def is_finished(self) -> bool:
        """Whether no trial will follow."""
        return self._driver.is_exhausted

    def set_finished(self) -> None:
        """Ray has been told to stop everything."""
        self._driver.stop("the search was stopped")


def _own_id(trial: Trial) -> str:
    return str(trial.trial_id)


class Recorder(Callback):  # type: ignore[misc]
    """Tells the driver what becomes of trials."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._running: dict[str, Trial] = {}
        self._hung: dict[str, str] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A worker has taken a trial."""
        self._running[trial.trial_id] = trial
        self._driver.hear_of(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Kill the workers that hang; Ray then finds them dead."""
        for trial_id, reason in self._driver.hung().items():
            actor = self._running[trial_id].temporary_state.ray_actor
            if trial_id not in self._hung and actor is not None:
                self._hung[trial_id] = reason
                ray.kill(actor)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A worker has said something."""
        self._driver.result(trial.trial_id, result)
        # Ray keeps a trial's last result for ever, and the driver's memory would grow with it.
        for key in (TOLD, "config"):
            result.pop(key, None)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has stopped in good order."""
        self._running.pop(trial.trial_id, None)
        self._driver.ended(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial's worker has died."""
        self._running.pop(trial.trial_id, None)
        cause, reason = death_of(trial)
        if hung := self._hung.pop(trial.trial_id, None):
            cause, reason = "surroundings", hung
        self._driver.died(trial.trial_id, cause, reason)


class StopWhenTold(Stopper):  # type: ignore[misc]
    """Ends the search when the driver wants it: on Ctrl-C, on SIGTERM, when the time is up."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped for its result."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves its stopper for a restore that we never ask for, and a driver cannot be saved."""
        return {}

    def stop_all(self) -> bool:
        """Whether everything is to stop."""
        return self._driver.must_stop
