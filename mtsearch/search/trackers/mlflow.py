"""MLflow: an experiment for the search, a run for each trial."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from mtsearch.config.trackers import Mlflow
from mtsearch.search.events import StopStatus
from mtsearch.search.trackers.contract import TrackedRun

__all__ = ["MlflowTracker"]

_STATUSES: dict[StopStatus, str] = {
    "completed": "FINISHED",
    "pruned": "KILLED",
    "interrupted": "KILLED",
    "diverged": "FAILED",
    "infeasible": "FAILED",
    "failed": "FAILED",
}
_RUN_TAG, _TRIAL_TAG, _STATUS_TAG, _REASON_TAG = (f"mtsearch.{name}" for name in ("run", "trial", "status", "reason"))
_MOST_PARAMS = 100  # in one request
_LONGEST_VALUE = 500  # of a parameter or a tag; newer servers take more


class MlflowTracker:
    """Finds the runs of a search by their tags; which points a run has is asked of MLflow itself.

    Args:
        settings: where to.
        run: the search.
    """

    def __init__(self, settings: Mlflow, run: TrackedRun) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of its tables, above our own
        self._client = MlflowClient(settings.uri)
        name = settings.experiment or run.name
        found = self._client.get_experiment_by_name(name)
        self._experiment: str = self._client.create_experiment(name) if found is None else found.experiment_id
        self._run = run
        self._runs: dict[str, Run] = {one.data.tags[_TRIAL_TAG]: one for one in self._found()}
        self._over = {trial_id for trial_id, one in self._runs.items() if _is_over(one)}
        self._steps: dict[tuple[str, str], set[int]] = {}

    def _found(self) -> Iterator[Run]:
        page = None
        while page is None or page.token:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{_RUN_TAG}` = '{self._run.key}'", page_token=page and page.token
            )
            yield from page

    def begin(self, trial_id: str, config: Mapping[str, Any], time: float) -> None:
        """Make the run, or open it again."""
        if trial_id in self._over:
            return
        if trial_id not in self._runs:
            tags = {_RUN_TAG: self._run.key, _TRIAL_TAG: trial_id}
            self._runs[trial_id] = self._client.create_run(
                self._experiment, start_time=_milliseconds(time), tags=tags, run_name=f"{self._run.name} {trial_id}"
            )
        else:
            self._client.update_run(self._id(trial_id), status="RUNNING")
        params = [Param(_key(name), _text(value)) for name, value in config.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._id(trial_id), params=params[first : first + _MOST_PARAMS])

    def log(self, trial_id: str, metrics: Mapping[str, float], step: int, time: float) -> None:
        """Add the points that the run has not."""
        if trial_id in self._over:
            return
        fresh = [name for name in metrics if step not in self._steps_of(trial_id, _key(name))]
        points = [Metric(_key(name), metrics[name], _milliseconds(time), step) for name in fresh]
        self._client.log_batch(self._id(trial_id), metrics=points)
        for name in fresh:
            self._steps[trial_id, _key(name)].add(step)

    def _steps_of(self, trial_id: str, key: str) -> set[int]:
        if (trial_id, key) not in self._steps:
            history = []
            if key in self._runs[trial_id].data.metrics:  # as it was found; of a new run nothing is there
                history = self._client.get_metric_history(self._id(trial_id), key)
            self._steps[trial_id, key] = {point.step for point in history}
        return self._steps[trial_id, key]

    def end(self, trial_id: str, status: StopStatus, reason: str, time: float) -> None:
        """End the run: pruned and interrupted ones are KILLED there, diverged and infeasible ones FAILED."""
        if trial_id in self._over:
            return
        tags = [RunTag(_STATUS_TAG, status), RunTag(_REASON_TAG, reason[:_LONGEST_VALUE])]
        self._client.log_batch(self._id(trial_id), tags=tags)
        self._client.set_terminated(self._id(trial_id), _STATUSES[status], _milliseconds(time))
        if status != "interrupted":
            self._over.add(trial_id)

    def close(self) -> None:
        """Nothing is held open."""

    def _id(self, trial_id: str) -> str:
        return str(self._runs[trial_id].info.run_id)


def _is_over(run: Run) -> bool:
    # The tag is written first: a run that has it and still runs was cut off in between.
    has_ended = run.data.tags.get(_STATUS_TAG, "interrupted") != "interrupted"
    return bool(has_ended and run.info.status != "RUNNING")


def _key(name: str) -> str:
    return re.sub(r"[^\w\-. /]", "_", name)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_LONGEST_VALUE]


def _milliseconds(time: float) -> int:
    return round(time * 1000)
