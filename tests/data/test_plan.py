"""The plan of an epoch, as properties over samplers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mtsearch.data.batching import EncodedSplit
from mtsearch.data.plan import PlannedBatch, Position, batches_per_epoch, plan_epoch
from mtsearch.data.tokens import Ragged, TokenTable
from mtsearch.samplers import Proportional, RoundRobin, Uniform
from mtsearch.samplers.contract import TaskSampler

SIZES = {"a": 103, "b": 40, "c": 7}
SAMPLERS = [Uniform(examples_per_task=30), Uniform(), Proportional(), Proportional(examples_per_epoch=50), RoundRobin()]


@pytest.fixture(scope="module")
def splits() -> dict[str, EncodedSplit]:
    rng = np.random.default_rng(0)

    def one(task: str, size: int) -> EncodedSplit:
        offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 30, size))]).astype(np.int64)
        ids = Ragged(np.zeros(offsets[-1], np.int32), offsets)
        table = TokenTable({"ids": ids}, np.arange(size, dtype=np.int32), 0)
        return EncodedSplit(task, table, {}, 0)

    return {task: one(task, size) for task, size in SIZES.items()}


def plan(
    sampler: TaskSampler, splits: dict[str, EncodedSplit], epoch: int = 0, positions: dict[str, Position] | None = None
) -> tuple[list[PlannedBatch], dict[str, Position]]:
    return plan_epoch(sampler, splits, 8, seed=3, epoch=epoch, positions=positions or {})


def drawn(batches: list[PlannedBatch], task: str) -> list[int]:
    return [int(row) for batch in batches if batch.task == task for row in batch.rows]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_epoch_holds_the_quota_of_each_task(sampler: TaskSampler, splits: dict[str, EncodedSplit]) -> None:
    batches, _ = plan(sampler, splits)
    assert {task: len(drawn(batches, task)) for task in SIZES} == sampler.quotas(SIZES)
    assert len(batches) == batches_per_epoch(sampler, splits, 8)
    assert all(1 <= len(batch.rows) <= 8 for batch in batches)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_and_epoch_give_the_same_plan(sampler: TaskSampler, splits: dict[str, EncodedSplit]) -> None:
    def listed(batches: list[PlannedBatch]) -> list[tuple[str, list[int]]]:
        return [(batch.task, batch.rows.tolist()) for batch in batches]

    assert listed(plan(sampler, splits)[0]) == listed(plan(sampler, splits)[0])
    assert listed(plan(sampler, splits)[0]) != listed(plan(sampler, splits, epoch=1)[0])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_example_repeats_before_its_task_is_used_up(sampler: TaskSampler, splits: dict[str, EncodedSplit]) -> None:
    positions: dict[str, Position] = {}
    seen: dict[str, list[int]] = {task: [] for task in SIZES}
    for epoch in range(5):
        batches, positions = plan(sampler, splits, epoch, positions)
        for task in SIZES:
            seen[task] += drawn(batches, task)
    for task, size in SIZES.items():
        counts = Counter(seen[task])
        assert max(counts.values()) - min(counts.get(row, 0) for row in range(size)) <= 1


def test_uniform_takes_as_many_as_a_small_task_has() -> None:
    assert Uniform(examples_per_task=50).quotas(SIZES) == {"a": 50, "b": 40, "c": 7}


def test_proportional_shares_are_exact_to_one_example() -> None:
    quotas = Proportional(examples_per_epoch=60).quotas(SIZES)
    assert sum(quotas.values()) == 60
    for task, size in SIZES.items():
        assert abs(quotas[task] - 60 * size / sum(SIZES.values())) < 1


def test_proportional_without_a_number_takes_every_example_once() -> None:
    assert Proportional().quotas(SIZES) == SIZES


def test_round_robin_takes_the_tasks_in_turn(splits: dict[str, EncodedSplit]) -> None:
    batches, _ = plan(RoundRobin(examples_per_task=24), splits)
    assert [batch.task for batch in batches] == ["a", "b", "c"] * 3


def test_the_rows_of_a_batch_are_of_similar_length(splits: dict[str, EncodedSplit]) -> None:
    batches, _ = plan(Proportional(), splits)
    lengths = splits["a"].lengths
    spread = [np.ptp(lengths[batch.rows]) for batch in batches if batch.task == "a"]
    assert np.mean(spread) < 0.2 * np.ptp(lengths)


def test_adding_a_task_leaves_the_draws_of_the_others(splits: dict[str, EncodedSplit]) -> None:
    alone, _ = plan(Uniform(examples_per_task=20), {"a": splits["a"]})
    joint, _ = plan(Uniform(examples_per_task=20), splits)
    assert sorted(drawn(alone, "a")) == sorted(drawn(joint, "a"))
