"""What an experiment tracker of the search does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mtsearch.search.events import StopStatus

__all__ = ["TrackedRun", "Tracker"]


@dataclass(frozen=True)
class TrackedRun:
    """The search that a tracker is told of.

    Attributes:
        folder: the run folder.
        key: the run's name and when it was begun: a search begun anew under the same name is another one.
    """

    folder: Path
    key: str

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name


class Tracker(Protocol):
    """Told of trials, from the first event of the run on each time: what it knows already it leaves as it is.

    Every method may raise whatever the tracker's package raises; all is told once more then, a minute later.
    """

    def begin(self, trial_id: str, config: Mapping[str, Any], time: float) -> None:
        """A trial has begun, or goes on.

        Args:
            trial_id: its id.
            config: its values by dotted paths, as the tables' columns have them.
            time: when, in seconds since 1970.
        """

    def log(self, trial_id: str, metrics: Mapping[str, float], step: int, time: float) -> None:
        """An evaluation of a trial that has begun.

        Args:
            trial_id: its id.
            metrics: finite ones.
            step: updates done.
            time: when.
        """

    def end(self, trial_id: str, status: StopStatus, reason: str, time: float) -> None:
        """A trial that has begun has stopped; one that was interrupted may go on."""

    def close(self) -> None:
        """Let go of everything; nothing more is told."""
