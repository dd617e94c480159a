"""What a task sampler decides, and what the training loop asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

__all__ = ["TaskSampler", "shuffled"]


class TaskSampler(Protocol):
    """How many examples of each task an epoch draws, and in which order the tasks' batches come.

    Which examples those are is not its business: each task's are drawn without repeats until the task
    is used up, then from the beginning in a new order (:mod:`mtsearch.data.plan`).
    """

    @property
    def mixed(self) -> bool:
        """Whether an update holds batches of several tasks, each task's spread evenly over the epoch's updates.

        There are as many updates as the task with the most batches fills; where quotas differ much, a small task is in
        few of them.
        """

    def quotas(self, sizes: Mapping[str, int], epoch: int, epochs: int) -> dict[str, int]:
        """Examples to draw of each task in one epoch, at least one each.

        Args:
            sizes: the tasks' sizes in examples.
            epoch: 0-based.
            epochs: of the whole training.
        """

    def order(self, num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
        """The task of each batch of the epoch, given how many batches each task has; not asked when mixed."""


def shuffled(num_batches: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    """Every task's batches in one random order."""
    tasks: Sequence[str] = [task for task, count in num_batches.items() for _ in range(count)]
    return [tasks[i] for i in rng.permutation(len(tasks))]
