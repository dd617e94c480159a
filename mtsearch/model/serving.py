"""What the forward pass under way serves: extensions of the encoder look here, since hooks are told nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mtsearch.data.batching import Inputs

__all__ = ["Serving"]


class Serving:
    """The task and the sequences of the model's forward pass under way; there is none outside the model's own passes.

    Whoever runs the bare encoder thus has the plain one: an extension does nothing where no pass is under way.
    """

    def __init__(self) -> None:
        self._task = ""
        self._inputs: Inputs | None = None
        self._calls: Counter[tuple[nn.Module, ...]] = Counter()

    @contextmanager
    def serve(self, task: str, inputs: Inputs) -> Iterator[None]:
        """Inside, a pass for this task is under way."""
        self._task, self._inputs = task, inputs
        self._calls.clear()
        try:
            yield
        finally:
            self._task, self._inputs = "", None

    @property
    def is_under_way(self) -> bool:
        """Whether a pass of the model is under way."""
        return self._inputs is not None

    @property
    def task(self) -> str:
        """The task that the pass is for."""
        return self._task

    @property
    def inputs(self) -> Inputs:
        """The sequences in the encoder; of a row of two sequences each is a row of its own here.

        Raises:
            AssertionError: no pass is under way.
        """
        assert self._inputs is not None
        return self._inputs

    def nth_call(self, *modules: nn.Module) -> int:
        """How often this was asked of the same modules before in the pass: which layer it is, of those that share one.

        An extension names itself beside the module that is called, so that no other one counts along.
        """
        self._calls[modules] += 1
        return self._calls[modules] - 1
