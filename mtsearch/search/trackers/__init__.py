"""Experiment trackers: told of every trial from the run's events, each in a thread of its own.

A tracker follows ``events.jsonl`` as ``mtsearch watch`` does, from the first event on: what it has been told before,
it knows. So it may fail, or be out of reach for a while, and is then told all once more; the search never waits for it.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from mtsearch.config.trackers import Mlflow, Wandb
from mtsearch.config.urls import without_passwords
from mtsearch.search.events import EventReader, Reported, Started, Stopped, Suggested, read_events
from mtsearch.search.results import config_leaves
from mtsearch.search.trackers.contract import TrackedRun, Tracker

__all__ = ["Tracking"]

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_TRIES = 60.0
_LONGEST_WAIT_SECONDS = 60.0  # for what is still to be told when the driver leaves


class Tracking:
    """Tells trackers of a run as long as it is entered, and what is left when that ends.

    Args:
        folder: the run folder.
        trackers: the space's.
        warn: told, once for each tracker, what went wrong; from another thread.
    """

    def __init__(self, folder: Path, trackers: Sequence[Mlflow | Wandb], warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._is_over = threading.Event()
        self._threads = {
            settings.name: threading.Thread(
                target=self._keep_telling, args=(settings,), name=settings.name, daemon=True
            )
            for settings in trackers
        }

    def __enter__(self) -> Tracking:
        for thread in self._threads.values():
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for name, thread in self._threads.items():
            thread.join(_LONGEST_WAIT_SECONDS)
            if thread.is_alive():
                self._warn(f"{name} was not told everything yet; whoever goes on with this run tells it the rest")

    def _keep_telling(self, settings: Mlflow | Wandb) -> None:
        has_warned = False
        while True:
            try:
                _tell(settings, self._folder, self._is_over)
                return
            except Exception as error:
                if not has_warned:
                    reason = without_passwords(" ".join(str(error).split()))[:300]
                    self._warn(
                        f"{settings.name} cannot be told of the trials: {reason}; the search goes on, and tries again "
                        "every minute"
                    )
                has_warned = True
            if self._is_over.wait(_SECONDS_BETWEEN_TRIES):
                return


def _tell(settings: Mlflow | Wandb, folder: Path, is_over: threading.Event) -> None:
    """Tell a tracker of all that has happened, and of what happens until it is over."""
    reader = EventReader(folder)
    configs: dict[str, Mapping[str, Any]] = {}
    begun: set[str] = set()
    with closing(_open(settings, folder)) as tracker:
        while True:
            is_last = is_over.is_set()
            for event in reader.new():
                match event:
                    case Suggested():
                        configs[event.trial_id] = dict(config_leaves(event.config))
                    case Started():
                        tracker.begin(event.trial_id, configs[event.trial_id], event.time)
                        begun.add(event.trial_id)
                    case Reported():
                        tracker.log(event.trial_id, dict(_metrics(event)), event.report["step"], event.time)
                    case Stopped():
                        if event.trial_id not in begun:
                            tracker.begin(event.trial_id, configs[event.trial_id], event.time)
                        tracker.end(event.trial_id, event.status, event.reason, event.time)
                        begun.discard(event.trial_id)
                        if event.status != "interrupted":
                            del configs[event.trial_id]
            if is_last:
                return
            is_over.wait(_SECONDS_BETWEEN_LOOKS)


def _open(settings: Mlflow | Wandb, folder: Path) -> Tracker:
    begun = next(read_events(folder)).time
    digest = hashlib.sha256(f"{folder.name} {begun!r}".encode()).hexdigest()[:8]
    run = TrackedRun(folder, f"{re.sub(r'[^A-Za-z0-9_.-]', '-', folder.name)}-{digest}")
    match settings:
        case Mlflow():
            from mtsearch.search.trackers.mlflow import MlflowTracker

            return MlflowTracker(settings, run)
        case Wandb():
            from mtsearch.search.trackers.wandb import WandbTracker

            return WandbTracker(settings, run)


def _metrics(event: Reported) -> Iterator[tuple[str, float]]:
    """All dev metrics by their names in the tables, and how far the trial has come."""
    report = event.report
    names = ("score", "best_score", "epoch", "evaluation", "examples_seen", "seconds")
    for name, value in {**report["scores"], **{name: report[name] for name in names}}.items():
        if value is not None and math.isfinite(value):
            yield name, value
