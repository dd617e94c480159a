"""Numbers, durations and lists as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["count", "duration", "large", "listing", "score", "setting", "shortened", "time_unit", "yes_or_no"]


def score(value: float) -> str:
    """A score or a difference of scores to four places, 0.7193; what is counted in thousands as a whole, 22,713,216."""
    if pd.isna(value):
        return "–"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def setting(value: Any) -> str:
    """A config value, floats to four digits: 3.2e-05, 0.1, true; a dash where there is none."""
    if pd.isna(value):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def yes_or_no(value: Any) -> str:
    """yes, no, or a dash where it is not known."""
    return "–" if pd.isna(value) else "yes" if value else "no"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, its middle left out if need be: sentence-t…iniLM-L6-v2."""
    if len(text) <= most:
        return text
    tail = most // 2
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def count(number: int, noun: str) -> str:
    """1 trial, 1,200 trials."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def large(number: float) -> str:
    """A large count to three digits: 950, 12.3 thousand, 1.2 million."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e4, "thousand")):
        if number >= size:
            return f"{number / (1e3 if size == 1e4 else size):.3g} {word}"
    return f"{number:,.0f}"


def duration(seconds: float) -> str:
    """Two units at most: 8.5 s, 3 min 20 s, 5 h 12 min, 2 d 3 h; a dash where there is none."""
    if pd.isna(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for (unit, size), (smaller, smaller_size) in pairwise(units):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def time_unit(most_seconds: float) -> tuple[int, str]:
    """(seconds in it, its name) of the unit for an axis that goes so far: seconds, minutes or hours."""
    if most_seconds < 180:
        return 1, "seconds"
    return (60, "minutes") if most_seconds < 3 * 3600 else (3600, "hours")


def listing(items: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))
