"""The plan of an epoch: which rows make which batch and which batches an update, as a function of seed and epoch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mtsearch.data.batching import EncodedSplit
from mtsearch.samplers.contract import TaskSampler

__all__ = ["Plan", "PlannedBatch", "PlannedUpdate", "Position"]

_POOL_BATCHES = 64  # batches whose rows are sorted by length together; more pads less and mixes less


@dataclass(frozen=True)
class PlannedBatch:
    """Rows of one task that go through the model together."""

    task: str
    rows: npt.NDArray[np.int64]


PlannedUpdate: TypeAlias = tuple[PlannedBatch, ...]
"""The batches whose gradients make one optimizer step."""


@dataclass(frozen=True)
class Position:
    """How far a task's examples are used up: the pass over them, and how many of it were drawn."""

    turn: int = 0
    drawn: int = 0


@dataclass(frozen=True)
class Plan:
    """The updates of a training.

    A task's examples are drawn without repeats until it is used up, then in a new order from the start.
    Its rows are cut into batches of similar length: pools of 64 batches are sorted by length, and
    the batches shuffled.

    Updates take ``accumulation`` batches each in the sampler's order; the last one may have fewer. A mixed
    sampler's take up to ``accumulation`` batches of each task: as many updates as the task with the most
    batches fills, over which every other task's batches are spread evenly.

    Attributes:
        sampler: decides how many examples of each task, and which batches make an update.
        splits: the training split of each task.
        batch_size: rows of a batch; the last one of a task may have fewer.
        accumulation: batches of an update, or of each task in it if the sampler mixes.
        seed: with the epoch and the task, decides every random choice.
        epochs: of the whole training.
    """

    sampler: TaskSampler
    splits: Mapping[str, EncodedSplit]
    batch_size: int
    accumulation: int
    seed: int
    epochs: int

    @cached_property
    def updates_per_epoch(self) -> tuple[int, ...]:
        """How many updates each epoch has."""
        counts = []
        positions: dict[str, Position] = {}
        for epoch in range(self.epochs):
            quotas = self._quotas(epoch)
            num_batches = {}
            for task, split in self.splits.items():
                num_rows = quotas[task]
                if len(split.lengths) != split.num_examples:  # how many rows depends on which examples
                    position = positions.get(task, Position())
                    examples, positions[task] = _draw(split.num_examples, quotas[task], self.seed, task, position)
                    num_rows = len(split.rows_of(examples))
                num_batches[task] = -(-num_rows // self.batch_size)
            total = max(num_batches.values()) if self.sampler.mixed else sum(num_batches.values())
            counts.append(-(-total // self.accumulation))
        return tuple(counts)

    def epoch(self, epoch: int, positions: Mapping[str, Position]) -> tuple[list[PlannedUpdate], dict[str, Position]]:
        """The updates of one epoch, and where each task's examples stand after it.

        Args:
            epoch: 0-based.
            positions: where each task stands; a task that is not in it has not begun.
        """
        quotas = self._quotas(epoch)
        batches: dict[str, list[PlannedBatch]] = {}
        after = dict(positions)
        for task, split in self.splits.items():
            position = positions.get(task, Position())
            examples, after[task] = _draw(split.num_examples, quotas[task], self.seed, task, position)
            rng = _rng(self.seed, f"batches of {task}", epoch)
            rows = _by_length(split.rows_of(examples), split.lengths, self.batch_size, rng)
            batches[task] = [PlannedBatch(task, rows_of_batch) for rows_of_batch in rows]
        if self.sampler.mixed:
            return _mixed(batches, self.accumulation), after
        num_batches = {task: len(own) for task, own in batches.items()}
        order = self.sampler.order(num_batches, _rng(self.seed, "order of tasks", epoch))
        queues = {task: iter(own) for task, own in batches.items()}
        flat = [next(queues[task]) for task in order]
        starts = range(0, len(flat), self.accumulation)
        return [tuple(flat[start : start + self.accumulation]) for start in starts], after

    def _quotas(self, epoch: int) -> dict[str, int]:
        sizes = {task: split.num_examples for task, split in self.splits.items()}
        return self.sampler.quotas(sizes, epoch, self.epochs)


def _mixed(batches: Mapping[str, list[PlannedBatch]], accumulation: int) -> list[PlannedUpdate]:
    num_updates = -(-max(len(own) for own in batches.values()) // accumulation)
    updates: list[list[PlannedBatch]] = [[] for _ in range(num_updates)]
    for own in batches.values():
        for number, batch in enumerate(own):
            # The middle of the batch's share of the epoch. A share is at least 1 / accumulation of an update,
            # so that no update gets more than accumulation batches of a task.
            updates[(2 * number + 1) * num_updates // (2 * len(own))].append(batch)
    return [tuple(update) for update in updates]


def _rng(seed: int, purpose: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), number])


def _draw(size: int, quota: int, seed: int, task: str, position: Position) -> tuple[npt.NDArray[np.int64], Position]:
    drawn: list[npt.NDArray[np.int64]] = []
    while quota > 0:
        order = _rng(seed, f"examples of {task}", position.turn).permutation(size)
        taken = order[position.drawn : position.drawn + quota]
        drawn.append(taken)
        quota -= len(taken)
        end = position.drawn + len(taken)
        position = Position(position.turn, end) if end < size else Position(position.turn + 1, 0)
    return np.concatenate(drawn), position


def _by_length(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    rows = rng.permutation(rows)
    pool_size = batch_size * _POOL_BATCHES
    batches = []
    for start in range(0, len(rows), pool_size):
        pool = rows[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[cut : cut + batch_size] for cut in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]
