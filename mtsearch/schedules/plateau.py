"""Cut the learning rate when the score stops rising."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mtsearch.config.base import Frozen
from mtsearch.schedules.contract import RunningSchedule

__all__ = ["Plateau"]


class Plateau(Frozen):
    """Multiply the rate by ``factor`` after more than ``patience`` evaluations without a better mean score."""

    name: Literal["plateau"] = "plateau"
    factor: float = Field(default=0.1, gt=0, lt=1)
    """What the rate is multiplied by."""
    patience: int = Field(default=2, ge=0)
    """Evaluations without improvement that are tolerated."""

    def build(self, optimizer: Optimizer, num_updates: int) -> RunningSchedule:
        """The schedule at work on ``optimizer``; the number of updates does not matter to it."""
        return _RunningPlateau(ReduceLROnPlateau(optimizer, "max", factor=self.factor, patience=self.patience))


class _RunningPlateau:
    def __init__(self, plateau: ReduceLROnPlateau) -> None:
        self._plateau = plateau

    def after_update(self) -> None:
        """Only evaluations count."""

    def after_evaluation(self, score: float) -> None:
        self._plateau.step(score)

    def after_thaw(self) -> None:
        """Patience starts again, so that the rate is not cut before the thawed layers have learned.

        The best score stays: what thawed has to improve on what was reached without it.
        """
        self._plateau.num_bad_epochs = 0

    def state_dict(self) -> dict[str, Any]:
        state = self._plateau.state_dict()
        return {key: state[key] for key in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._plateau.load_state_dict({**self._plateau.state_dict(), **state})
