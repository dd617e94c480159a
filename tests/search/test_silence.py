from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from mtsearch.search import silence
from mtsearch.search.silence import Silence

Begin = Callable[[float | Literal["auto"] | None], Silence[str]]


class Clock:
    """What stands for the time since the machine was started."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(silence.time, "monotonic", lambda: clock.now)
    return clock


def test_who_has_said_nothing_for_longer_than_the_limit_hangs(clock: Clock) -> None:
    watch = Silence[str](60.0)
    for key in ("silent", "busy", "ended"):
        watch.begin(key)
    clock.now = 50.0
    assert watch.hear("busy") == 50.0
    watch.end("ended")
    assert watch.hung() == {}
    clock.now = 61.0
    assert watch.hung() == {"silent": "its worker said nothing for 61 s and was killed (search.hang_limit: 60 s)"}


def test_an_allowance_holds_until_the_first_word(clock: Clock) -> None:
    watch = Silence[str](60.0)
    watch.begin("waits", allowance=30.0)
    clock.now = 89.0
    assert watch.hung() == {}
    watch.hear("waits")
    clock.now = 89.0 + 61.0
    assert list(watch.hung()) == ["waits"]


def test_a_limit_of_auto_is_an_hour_at_least_and_otherwise_twenty_times_the_longest_wait(clock: Clock) -> None:
    watch = Silence[str]("auto")
    watch.begin("silent")
    clock.now = 1e9
    assert watch.hung() == {}  # nobody knows yet how long an evaluation takes
    watch.begin("silent")
    watch.learn(1.0)
    clock.now += 3599.0
    assert watch.hung() == {}
    clock.now += 2.0
    assert list(watch.hung()) == ["silent"]
    watch.learn(200.0)
    watch.learn(100.0)
    assert watch.hung() == {}
    clock.now += 400.0
    assert list(watch.hung()) == ["silent"]


def test_without_a_limit_nobody_hangs(clock: Clock) -> None:
    watch = Silence[str](None)
    watch.begin("silent")
    clock.now = 1e9
    assert watch.hung() == {}
