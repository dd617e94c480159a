"""Who watches a search: the command line's live table, a notebook, a test."""

from __future__ import annotations

from typing import Protocol

from mtsearch.search.events import Event
from mtsearch.search.state import RunState

__all__ = ["Observer", "Observers"]


class Observer(Protocol):
    """Told of every event, in the driver's process, after it was written; what it raises ends the search."""

    def on_event(self, event: Event, state: RunState) -> None:
        """Look at what happened.

        Args:
            event: what happened.
            state: what is known of the search now; not to be changed.
        """


class Observers:
    """Several observers as one: each is told, in this order.

    Args:
        observers: without those that are None.
    """

    def __init__(self, *observers: Observer | None) -> None:
        self._observers = [observer for observer in observers if observer is not None]

    def on_event(self, event: Event, state: RunState) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_event(event, state)
