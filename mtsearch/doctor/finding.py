"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Verdict"]

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """A line of ``mtsearch doctor``.

    Attributes:
        subject: what was looked at, in a word or two.
        verdict: a failure keeps a search from running; a warning may not.
        found: what there is.
        remedy: what to do about it; empty if nothing.
    """

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""
