"""A schedule that is a function of the number of updates done."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["PerUpdate"]


class PerUpdate:
    """One of transformers' schedules, stepped once an update.

    Args:
        name: transformers' name of it (``constant_with_warmup``, ``linear``, ``cosine``).
        optimizer: the optimizer whose groups' learning rates it scales.
        warmup_ratio: share of all updates over which the rate rises linearly from 0.
        num_updates: updates in the whole trial.
    """

    def __init__(self, name: str, optimizer: Optimizer, warmup_ratio: float, num_updates: int) -> None:
        from transformers import get_scheduler  # here, because it takes seconds that reading a config need not wait

        self._schedule: LRScheduler = get_scheduler(
            name,
            optimizer,
            num_warmup_steps=round(warmup_ratio * num_updates),
            num_training_steps=num_updates,
        )

    def after_update(self) -> None:
        self._schedule.step()

    def after_evaluation(self, score: float) -> None:
        """Scores do not move it."""

    def after_thaw(self) -> None:
        """Nor do thaws: a thawed layer has a warm-up of its own."""

    def state_dict(self) -> dict[str, Any]:
        state = self._schedule.state_dict()
        return {key: state[key] for key in ("last_epoch", "_last_lr", "_step_count")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # The rates that it scales are those of the optimizer as it was built; older checkpoints have them too.
        kept = {key: value for key, value in state.items() if key != "base_lrs"}
        self._schedule.load_state_dict({**self._schedule.state_dict(), **kept})
