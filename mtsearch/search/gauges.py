"""The search as Prometheus sees it: gauges on the metrics port of the driver's node, by ``ray.util.metrics``.

Ray calls them ``ray_mtsearch_..``; each has the label ``run``:

====================================  ================================================================================
``mtsearch_best_score``               of the first objective; none before the first evaluation
``mtsearch_trials``                   how many, by the label ``status``: running, completed, pruned, failed, ..
``mtsearch_examples_per_second``      of the running trials together, as each last reported
``mtsearch_peak_memory_bytes``        the most that a trial has held so far: of its GPU, else of its process
``mtsearch_trials_past_rung``         how many have passed it, by the label ``rung``, as the trial scheduler counts
``mtsearch_trial_score``              last one of each running trial, by the label ``trial``
``mtsearch_trial_epoch``              of each running trial, by the label ``trial``
====================================  ================================================================================

Ray forgets a gauge that is not set for 20 s or so, and has no other way to take one back. So all are set every few
seconds, and those of a trial that has stopped no more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import get_args

from ray.util.metrics import Gauge

from mtsearch.search.events import Event
from mtsearch.search.state import RunState
from mtsearch_analysis.tables import Status

__all__ = ["Gauges", "readings"]

_SECONDS_BETWEEN = 5.0

_LABELS = {
    "mtsearch_best_score": ("run",),
    "mtsearch_trials": ("run", "status"),
    "mtsearch_examples_per_second": ("run",),
    "mtsearch_peak_memory_bytes": ("run",),
    "mtsearch_trials_past_rung": ("run", "rung"),
    "mtsearch_trial_score": ("run", "trial"),
    "mtsearch_trial_epoch": ("run", "trial"),
}
_DESCRIPTIONS = {
    "mtsearch_best_score": "Best score of the search",
    "mtsearch_trials": "Trials of the search by status",
    "mtsearch_examples_per_second": "Examples a second that the running trials are trained on",
    "mtsearch_peak_memory_bytes": "The most memory that a trial has held",
    "mtsearch_trials_past_rung": "Trials that have passed a rung of the trial scheduler",
    "mtsearch_trial_score": "Last score of a running trial",
    "mtsearch_trial_epoch": "Epochs that a running trial has done",
}


def readings(state: RunState) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each gauge's name, its labels but ``run``, and its value.

    Args:
        state: what is known of the search; another thread may take in an event meanwhile.
    """
    trials = list(state.trials.values())
    counts = Counter(trial.status for trial in trials)
    for status in get_args(Status):
        yield "mtsearch_trials", {"status": status}, counts[status]
    if (leader := state.leader) is not None:
        yield "mtsearch_best_score", {}, leader.score
    running = [trial for trial in trials if trial.status == "running"]
    yield "mtsearch_examples_per_second", {}, sum(t.facts.get("examples_per_second") or 0.0 for t in running)
    if peak_bytes := max((t.facts.get("peak_memory_bytes") or 0.0 for t in trials), default=0.0):
        yield "mtsearch_peak_memory_bytes", {}, peak_bytes
    passed = Counter(rung for trial in trials for rung in range(trial.bracket, trial.bracket + (trial.rung or 0)))
    for number, rung in enumerate(state.rungs or ()):
        yield "mtsearch_trials_past_rung", {"rung": str(rung)}, passed[number]
    for trial in running:
        labels = {"trial": trial.trial_id}
        if (score := trial.scores.get(trial.evaluation)) is not None:
            yield "mtsearch_trial_score", labels, score
        if trial.epoch is not None:
            yield "mtsearch_trial_epoch", labels, trial.epoch


class Gauges:
    """An observer that sets the gauges as long as it is entered; Ray must be connected.

    Args:
        run: the run's name.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._gauges = {name: Gauge(name, _DESCRIPTIONS[name], labels) for name, labels in _LABELS.items()}
        self._state: RunState | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep_setting, name="gauges", daemon=True)

    def on_event(self, event: Event, state: RunState) -> None:
        """Take the state as what is to be shown from now on."""
        self._state = state

    def _keep_setting(self) -> None:
        while not self._is_over.wait(_SECONDS_BETWEEN):
            if self._state is not None:
                for name, labels, value in readings(self._state):
                    self._gauges[name].set(value, {"run": self._run, **labels})

    def __enter__(self) -> Gauges:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
