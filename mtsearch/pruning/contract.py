"""What the training loop asks of pruning: gates on attention heads, which extend the encoder, and their training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mtsearch.model.extension import Extension, Host

__all__ = ["CLOSED_AT_MOST", "HeadGates", "PruningMethod", "RunningPruning", "open_ratio"]

CLOSED_AT_MOST = 1e-3
"""An attention head whose gate is at most this in an evaluation counts as pruned."""


def open_ratio(gates_NH: Tensor) -> float:
    """The share of attention heads that are open."""
    return float((gates_NH > CLOSED_AT_MOST).double().mean())


class RunningPruning(Protocol):
    """Trains the gates beside the trial's optimizer, which knows neither them nor their penalty."""

    @property
    def gates(self) -> HeadGates:
        """Those that it trains."""

    def step(self, tasks: Sequence[str], updates_done: int, scaler: torch.amp.GradScaler | None) -> None:
        """One update of the gates, whose ``grad`` holds the gradient of the task losses over all processes.

        The gates' own penalty is added here, once, and so stays out of loss weighting, surgery and clipping.

        Args:
            tasks: those that the update served.
            updates_done: by the trial before this one.
            scaler: whose factor is in the gradients, which it has not yet seen; None where there is none.
        """

    def measured(self) -> Iterable[tuple[str, str, float]]:
        """How things stand, for the log: task (or ""), name and value."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold beside the gates; alike in all processes."""

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`tensors` of another one on the same gates."""


class HeadGates(Extension, Protocol):
    """A gate on every attention head of the encoder; its parameters are the training's below, not the optimizer's."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Whose gates there are: the tasks' names, or "" alone where all tasks share them."""

    def evaluated(self, task: str) -> Tensor:
        """What an evaluation multiplies each attention head's context vectors with, in [0, 1], in float32.

        Args:
            task: the task that is evaluated; of gates that all share, any.
        """

    def start(self, updates_per_epoch: Sequence[int]) -> RunningPruning:
        """Their training, once they are on their device.

        Args:
            updates_per_epoch: of the trial.
        """


class PruningMethod(Protocol):
    """The frozen config of a method."""

    @property
    def source(self) -> str | None:
        """A run or checkpoint whose weights training starts from, with its task heads frozen; None starts anew."""

    def build(self, host: Host) -> HeadGates | None:
        """The gates, hooked into the encoder; None where there are none."""

    def check(self, updates_per_epoch: Sequence[int], share_of_task: float) -> list[str]:
        """Warnings, one line each, of what is legal but surely not meant.

        Args:
            updates_per_epoch: of the trial.
            share_of_task: of these updates, that serve any one task: about that many.
        """
