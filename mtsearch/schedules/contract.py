"""What the training loop asks of a learning-rate schedule."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["RunningSchedule"]


class RunningSchedule(Protocol):
    """A schedule at work on an optimizer: told of every update and of every evaluation."""

    def after_update(self) -> None:
        """One optimizer step is done."""

    def after_evaluation(self, score: float) -> None:
        """An evaluation gave this mean score (higher is better)."""

    def after_thaw(self) -> None:
        """Layers thawed: what came before says little of what the model can still learn."""

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`load_state_dict` takes back."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
