"""What the training loop asks of a loss weighting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["RunningWeighting", "values_of"]


class RunningWeighting(Protocol):
    """A loss weighting at work: gives each task's factor for the coming update, and is told of every update.

    The factor is on top of the static ``tasks.X.weight``, which it does not see: the losses that it hears are
    the tasks' own. Penalties and regularisers are not its business either.
    """

    @property
    def needs_losses(self) -> bool:
        """Whether it reads the losses; if not, :meth:`after_update` may be given none."""

    def weight(self, task: str) -> float:
        """The factor of the task's mean loss in the coming update."""

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        """One update is done.

        Args:
            losses: of each task in the update the mean loss over its rows of all processes, detached, [].
        """

    def after_epoch(self) -> None:
        """One pass of the task sampler's plan is done."""

    def measured(self) -> dict[str, float]:
        """Every task's weight, for the log."""

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`load_state_dict` takes back."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


def values_of(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """The losses as numbers; waits for the device once, not once for each."""
    return dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
