"""The plan of an epoch: which rows make which batch, in which order, as a function of seed and epoch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtsearch.data.batching import EncodedSplit
from mtsearch.samplers.contract import TaskSampler

__all__ = ["PlannedBatch", "Position", "batches_per_epoch", "plan_epoch"]

_POOL_BATCHES = 64  # batches whose rows are sorted by length together; more pads less and mixes less


@dataclass(frozen=True)
class PlannedBatch:
    """Rows of one task that go through the model together."""

    task: str
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Position:
    """How far a task's examples are used up: the pass over them, and how many of it were drawn."""

    turn: int = 0
    drawn: int = 0


def batches_per_epoch(sampler: TaskSampler, splits: Mapping[str, EncodedSplit], batch_size: int) -> int:
    """How many batches an epoch has, where every example is one row."""
    quotas = sampler.quotas({task: split.num_examples for task, split in splits.items()})
    return sum(-(-quota // batch_size) for quota in quotas.values())


def plan_epoch(
    sampler: TaskSampler,
    splits: Mapping[str, EncodedSplit],
    batch_size: int,
    seed: int,
    epoch: int,
    positions: Mapping[str, Position],
) -> tuple[list[PlannedBatch], dict[str, Position]]:
    """The batches of one epoch, and where each task's examples stand after it.

    A task's examples are drawn without repeats until it is used up, then in a new order from the start.
    Its rows are cut into batches of similar length: pools of 64 batches are sorted by length, and
    the batches shuffled.

    Args:
        sampler: decides how many examples of each task, and the order of the tasks' batches.
        splits: the training split of each task.
        batch_size: rows of a batch; the last one of a task may have fewer.
        seed: with the epoch and the task, decides every random choice.
        epoch: 0-based.
        positions: where each task stands.
    """
    quotas = sampler.quotas({task: split.num_examples for task, split in splits.items()})
    batches: dict[str, list[npt.NDArray[np.int64]]] = {}
    after = dict(positions)
    for task, split in splits.items():
        examples, after[task] = _draw(split.num_examples, quotas[task], seed, task, positions.get(task, Position()))
        rng = _rng(seed, f"batches of {task}", epoch)
        batches[task] = _by_length(split.rows_of(examples), split.lengths, batch_size, rng)
    order = sampler.order({task: len(rows) for task, rows in batches.items()}, _rng(seed, "order of tasks", epoch))
    queues = {task: iter(rows) for task, rows in batches.items()}
    return [PlannedBatch(task, next(queues[task])) for task in order], after


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
