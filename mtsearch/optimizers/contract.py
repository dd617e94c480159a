"""What an optimizer asks of the model, and what the training loop asks of an optimizer beyond torch's own interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["LayeredModel", "NeedsCurvature"]


class LayeredModel(Protocol):
    """A model that tells of each of its parameters how deep it lies, and whether it is pretrained."""

    @property
    def depths(self) -> Mapping[str, int]:
        """By a parameter's name: 0 for embeddings, 1..N for encoder layers from bottom to top, N + 1 for task heads.

        Parameters that are not in it are somebody else's to step.
        """

    def is_pretrained(self, name: str) -> bool:
        """Whether a parameter goes on from pretrained weights, and learns at the encoder's rate."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every parameter once, with its name."""


@runtime_checkable
class NeedsCurvature(Protocol):
    """An optimizer that now and then wants a look at the loss itself, before a step.

    The training loop, between the backward pass of an update and its step::

        if isinstance(optimizer, NeedsCurvature) and optimizer.curvature_is_due():
            optimizer.estimate_curvature(loss_on_some_rows, sum_over_processes)
    """

    @property
    def hessian_batch_ratio(self) -> float:
        """The share of an update's rows that the loss is to be taken over, in (0, 1]."""

    def curvature_is_due(self) -> bool:
        """Whether the coming step wants an estimate first."""

    def estimate_curvature(
        self, loss: Callable[[], Tensor], reduce: Callable[[list[Tensor]], None] | None = None
    ) -> None:
        """Take an estimate of the curvature into account. Gradients in ``.grad`` stay as they are.

        Args:
            loss: this process's part of an update's loss, a scalar on the scale of the gradients before clipping and
                without fp16's factor; it may be called twice and must not turn autocast on. Where a process has no
                rows, a scalar without a graph.
            reduce: sums the tensors of a list over all processes, in place; each process calls it as often and with
                the same shapes. None where there is one process.
        """

    def measured(self) -> dict[str, float]:
        """What is worth logging, by name: means over the estimates since the last call; empty if there were none."""
