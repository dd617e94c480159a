from __future__ import annotations

from mtsearch.search.events import Event
from mtsearch.search.observer import Observers
from mtsearch.search.state import RunState
from tests.search.conftest import Story


def test_several_observers_are_told_in_turn_and_none_is_left_out() -> None:
    told: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_event(self, event: Event, state: RunState) -> None:
            told.append(self.name)

    event = Story().begun().events[0]
    Observers(Named("first"), None, Named("second")).on_event(event, RunState())
    assert told == ["first", "second"]
