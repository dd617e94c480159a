"""Each task's gradient of one update, kept apart over the parameters that the tasks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["TaskGradients", "cosines"]

_CHUNK = 2**18  # columns whose products are summed at a time: they stay in a core's cache, and in float32 err less


class TaskGradients:
    """A buffer [K, P] with a row for each task, into which autograd itself writes.

    ::

        for task, batch in update:
            gradients.receive(task)      # p.grad of each shared parameter is now a piece of the task's row
            loss(batch).backward()       # and is added to in place, without a copy
        gradients.combine(surgery.coefficients(gradients.gramian(), tasks))
        optimizer.step()                 # p.grad is now a piece of the combined gradient

    Whoever differentiates in between must not replace ``p.grad``: no ``zero_grad``, no ``create_graph=True``. The
    buffer is allocated once, and stands in place of the shared parameters' gradients: K times their memory.

    Args:
        parameters: the shared ones, of one number format and on one device; frozen ones may thaw later.
        num_tasks: rows.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], num_tasks: int) -> None:
        self._parameters = list(parameters)
        sizes = [parameter.numel() for parameter in self._parameters]
        some = self._parameters[0]
        self._buffer_KP = torch.zeros(num_tasks, sum(sizes), dtype=some.dtype, device=some.device)
        self._views = [
            [
                piece.view_as(parameter)
                for piece, parameter in zip(torch.split(row, sizes), self._parameters, strict=True)
            ]
            for row in self._buffer_KP
        ]
        self._rows: set[int] = set()
        self._reached: set[int] = set()  # parameters that some task's gradient of this update reached
        for number, parameter in enumerate(self._parameters):
            _when_reached(parameter, partial(self._reached.add, number))

    @property
    def rows(self) -> tuple[int, ...]:
        """The tasks that have a gradient in the update under way, in ascending order."""
        return tuple(sorted(self._rows))

    def receive(self, row: int) -> None:
        """From now on gradients are added to this row, which starts at zero in each update."""
        if not self._rows:
            self._reached.clear()
        if row not in self._rows:
            self._rows.add(row)
            self._buffer_KP[row].zero_()
        for parameter, view in zip(self._parameters, self._views[row], strict=True):
            parameter.grad = view

    def reduce(self, sum_over_processes: Callable[[Tensor], object]) -> None:
        """Sum over all processes, each of which has received the same rows.

        Args:
            sum_over_processes: sums a tensor in place, such as ``torch.distributed.all_reduce``.
        """
        for row in self.rows:
            sum_over_processes(self._buffer_KP[row])
        reached = torch.zeros(len(self._parameters), device=self._buffer_KP.device)
        reached[list(self._reached)] = 1
        sum_over_processes(reached)
        self._reached.update(reached.nonzero().flatten().tolist())

    def gramian(self) -> Tensor:
        """Inner products of the gradients of :attr:`rows`, [R, R], in float32."""
        rows = list(self.rows)
        gramian_RR = torch.zeros(len(rows), len(rows), device=self._buffer_KP.device)
        for chunk in torch.split(self._buffer_KP, _CHUNK, dim=1):
            chosen = chunk.float() if len(rows) == len(chunk) else chunk[rows].float()
            gramian_RR.addmm_(chosen, chosen.T)
        return gramian_RR

    def combine(self, coefficients: Tensor) -> None:
        """Put the sum of all rows, each times its coefficient, into ``p.grad``; this ends the update.

        A parameter that no task's gradient reached has no gradient then, so that no optimizer decays or moves it.

        Args:
            coefficients: [R], in the order of :attr:`rows`.
        """
        first, *others = self.rows
        factor, *factors = coefficients.tolist()
        total = self._buffer_KP[first].mul_(factor)
        for row, factor in zip(others, factors, strict=True):
            total.add_(self._buffer_KP[row], alpha=factor)
        for number, (parameter, view) in enumerate(zip(self._parameters, self._views[first], strict=True)):
            parameter.grad = view if number in self._reached else None
        self._rows.clear()


def cosines(gramian_KK: Tensor) -> Tensor:
    """Cosines between all pairs of gradients, [K, K], in [-1, 1]; NaN where one is zero or not finite."""
    norms_K = gramian_KK.diagonal().sqrt()
    return (gramian_KK / norms_K / norms_K[:, None]).clamp(-1, 1)


def _when_reached(parameter: nn.Parameter, call: Callable[[], None]) -> None:
    """Call whenever a gradient was added to the parameter, also if it is frozen now and thaws later."""
    trains = parameter.requires_grad
    parameter.requires_grad_(True)  # torch takes a hook for no other; it stays when this is taken back
    parameter.register_post_accumulate_grad_hook(lambda _: call())  # type: ignore[no-untyped-call]
    parameter.requires_grad_(trains)
