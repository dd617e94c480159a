"""What the training loop asks of a regulariser that compares a model's outputs.

Around the forward pass of a batch, where there is any regulariser::

    random = RandomState.now(device)
    with autocast():
        logits = model(batch)
        penalties = [one.penalty(model, batch, kind, inventory, logits, random) for one in regularizers]

and one ``after_update`` of each when the optimizer has made its step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from mtsearch.data.batching import Batch
from mtsearch.regularizers.replay import RandomState
from mtsearch.tasks.contract import Inventory, Logits, TaskKind

__all__ = ["MeanPenalty", "RunningRegularizer"]


class RunningRegularizer(Protocol):
    """A regulariser at work on a model."""

    @property
    def name(self) -> str:
        """The field of the config that it is built from; tells its tensors and measurements from others'."""

    def penalty(
        self,
        model: nn.Module,
        batch: Batch,
        kind: TaskKind,
        inventory: Inventory,
        logits: Logits,
        random: RandomState,
    ) -> Tensor:
        """What is added to the loss: a scalar, its weight in it, differentiable in the model's parameters.

        It is a sum over the rows of the batch. The loop divides it by the number of the task's rows in the update
        over all processes, whatever weights the loss gives them, and leaves it out of loss weighting.

        It touches no parameter's ``grad``. It is called under the autocast of the forward pass that gave ``logits``,
        but outside of whatever let that pass start above frozen layers, since it may need what is below them.

        Args:
            model: in the mode of that pass.
            batch: on the model's device.
            kind: of the batch's task; its ``distance`` compares outputs.
            inventory: of the batch's task.
            logits: the model's for this batch, with their graph.
            random: the generators' state before the pass that gave them.
        """

    def after_update(self, model: nn.Module) -> None:
        """The optimizer has changed the parameters; to be called on every process, its rows or not."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold; alike in all processes."""

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`tensors` of a regulariser on the same model."""

    def measured(self) -> dict[str, float]:
        """Named means over this process's rows since the last call; empty where there were none."""


class MeanPenalty:
    """The mean penalty per row since it was last asked for, without waiting for the device in between."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._num_rows = 0

    def add(self, penalty: Tensor, num_rows: int) -> None:
        """Count a sum over so many rows."""
        penalty = penalty.detach().to(torch.float64)
        self._sum = penalty if self._sum is None else self._sum + penalty
        self._num_rows += num_rows

    def take(self) -> float | None:
        """The mean, and begin anew; None where there were no rows."""
        total, num_rows = self._sum, self._num_rows
        self._sum, self._num_rows = None, 0
        return None if total is None else float(total) / num_rows
