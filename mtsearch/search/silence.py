"""How long workers have said nothing, and which of them hang by that."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

__all__ = ["Silence"]

_LEAST_AUTO_SECONDS = 3600.0
_AUTO_FACTOR = 20.0

Key = TypeVar("Key", bound=Hashable)


class Silence(Generic[Key]):
    """Since when each worker has said nothing, and for how long is too long.

    Args:
        limit: ``search.hang_limit``, in seconds.
    """

    def __init__(self, limit: float | Literal["auto"] | None) -> None:
        self._limit = limit
        self._heard: dict[Key, float] = {}
        self._allowances: dict[Key, float] = {}
        self._longest_wait: float | None = None

    def begin(self, key: Key, allowance: float = 0.0) -> None:
        """A worker has begun; it may say nothing for so many seconds longer than others, until it says something."""
        self._heard[key] = time.monotonic()
        self._allowances[key] = allowance

    def hear(self, key: Key) -> float:
        """A worker has said something; gives the seconds since it did before."""
        now = time.monotonic()
        before = self._heard.get(key, now)
        self._heard[key] = now
        self._allowances.pop(key, None)
        return now - before

    def learn(self, seconds: float) -> None:
        """An evaluation was waited for so long: what a limit of ``auto`` goes by."""
        self._longest_wait = max(seconds, self._longest_wait or 0.0)

    def end(self, key: Key) -> None:
        """A worker has nothing more to say."""
        self._heard.pop(key, None)
        self._allowances.pop(key, None)

    def hung(self) -> dict[Key, str]:
        """The workers that have said nothing for too long, and for how long, in words."""
        limit = self._limit
        if limit == "auto":
            if self._longest_wait is None:
                return {}
            limit = max(_LEAST_AUTO_SECONDS, _AUTO_FACTOR * self._longest_wait)
        if limit is None:
            return {}
        now = time.monotonic()
        return {
            key: f"its worker said nothing for {now - heard:.0f} s and was killed (search.hang_limit: {limit:g} s)"
            for key, heard in self._heard.items()
            if now - heard > limit + self._allowances.get(key, 0.0)
        }
