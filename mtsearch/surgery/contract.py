"""What the training loop asks of gradient surgery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

__all__ = ["RunningSurgery"]


class RunningSurgery(Protocol):
    """Turns the tasks' gradients of one update into one, over the parameters that the tasks share.

    The methods look at no gradient, only at the inner products of all pairs: what they give is a linear
    combination of the gradients, and which one depends on nothing else.
    """

    def coefficients(self, gramian_KK: Tensor, tasks: Sequence[str]) -> Tensor:
        """What each task's gradient is multiplied by in the update's gradient, which is their sum.

        Args:
            gramian_KK: inner products of the gradients of the tasks in this update.
            tasks: their names, in the same order; not every update need have every task.

        Returns:
            [K], on the Gramian's device and in its number format. All ones where the Gramian is not finite, so that
            whoever looks for overflow and divergence finds them in the sum.
        """

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`load_state_dict` takes back."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
