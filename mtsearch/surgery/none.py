"""No surgery: the gradients are summed as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mtsearch.config.base import Frozen
from mtsearch.surgery.contract import RunningSurgery

__all__ = ["NoSurgery"]


class NoSurgery(Frozen):
    """The gradient of the summed losses; nothing is kept per task."""

    name: Literal["none"] = "none"

    def build(self, tasks: Sequence[str], seed: int) -> RunningSurgery | None:
        """Nothing: the loop then needs no task's gradient by itself."""
        return None
