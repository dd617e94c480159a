"""The plan of a training, as properties over samplers, sizes and accumulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.data.batching import EncodedSplit
from mtsearch.data.plan import Plan, PlannedUpdate, Position
from mtsearch.data.tokens import Ragged, TokenTable
from mtsearch.samplers import Annealed, Proportional, RoundRobin, SquareRoot, Temperature, Uniform
from mtsearch.samplers.contract import TaskSampler

BATCH_SIZE, SEED, EPOCHS = 8, 3, 4
METHODS: list[Any] = [Uniform, RoundRobin, Proportional, SquareRoot, Temperature, Annealed]


def split(task: str, size: int, *, windows: bool) -> EncodedSplit:
    """A split of examples with one row each, or with one to three."""
    rng = np.random.default_rng(size)
    rows_each = rng.integers(1, 4, size) if windows else np.ones(size, dtype=np.int64)
    examples = np.repeat(np.arange(size, dtype=np.int32), rows_each)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 30, len(examples)))]).astype(np.int64)
    table = TokenTable({"ids": Ragged(np.zeros(offsets[-1], np.int32), offsets)}, examples, 0)
    return EncodedSplit(task, table, {}, 0)


SIZES = {"a": 103, "b": 40, "c": 7}
SPLITS = {task: split(task, size, windows=task == "b") for task, size in SIZES.items()}


@st.composite
def samplers(draw: st.DrawFn, mixed: st.SearchStrategy[bool] = st.booleans()) -> TaskSampler:
    method = draw(st.sampled_from(METHODS))
    examples = draw(st.integers(1, 150))
    limit = "examples_per_task" if "examples_per_task" in method.model_fields else "examples_per_epoch"
    sampler: TaskSampler = method(mixed=draw(mixed), **{limit: examples})
    return sampler


def plan(
    sampler: TaskSampler,
    splits: dict[str, EncodedSplit] = SPLITS,
    epoch: int = 0,
    positions: dict[str, Position] | None = None,
    accumulation: int = 1,
) -> tuple[list[PlannedUpdate], dict[str, Position]]:
    return Plan(sampler, splits, BATCH_SIZE, accumulation, SEED, EPOCHS).epoch(epoch, positions or {})


def drawn_rows(updates: Sequence[PlannedUpdate], task: str) -> list[int]:
    return [int(row) for update in updates for batch in update if batch.task == task for row in batch.rows]


def listed(updates: Sequence[PlannedUpdate]) -> list[list[tuple[str, list[int]]]]:
    return [[(batch.task, batch.rows.tolist()) for batch in update] for update in updates]


@settings(max_examples=20)
@given(samplers(), st.integers(1, 4))
def test_every_epoch_draws_its_quotas_in_as_many_updates_as_foretold(sampler: TaskSampler, accumulation: int) -> None:
    foretold = Plan(sampler, SPLITS, BATCH_SIZE, accumulation, SEED, EPOCHS).updates_per_epoch
    positions: dict[str, Position] = {}
    for epoch in range(EPOCHS):
        updates, positions = plan(sampler, SPLITS, epoch, positions, accumulation)
        assert len(updates) == foretold[epoch]
        assert all(1 <= len(batch.rows) <= BATCH_SIZE for update in updates for batch in update)
        for task, quota in sampler.quotas(SIZES, epoch, EPOCHS).items():
            examples = SPLITS[task].tokens.example
            times_drawn = np.bincount(drawn_rows(updates, task), minlength=len(examples))
            first_rows = np.flatnonzero(np.diff(examples, prepend=-1))
            assert times_drawn[first_rows].sum() == quota
            assert (times_drawn == times_drawn[first_rows][examples]).all()  # all rows of an example, or none


@settings(max_examples=15)
@given(samplers(), st.integers(1, 4))
def test_the_same_seed_and_epoch_give_the_same_plan(sampler: TaskSampler, accumulation: int) -> None:
    first = listed(plan(sampler, accumulation=accumulation)[0])
    assert listed(plan(sampler, accumulation=accumulation)[0]) == first


@pytest.mark.parametrize("method", METHODS)
def test_another_epoch_has_another_plan(method: Any) -> None:
    first, positions = plan(method())
    assert listed(plan(method(), epoch=1, positions=positions)[0]) != listed(first)


@settings(max_examples=15)
@given(samplers())
def test_no_example_repeats_before_its_task_is_used_up(sampler: TaskSampler) -> None:
    positions: dict[str, Position] = {}
    seen: dict[str, Counter[int]] = {task: Counter() for task in SIZES}
    for epoch in range(EPOCHS):
        updates, positions = plan(sampler, SPLITS, epoch, positions)
        for task in SIZES:
            seen[task].update(drawn_rows(updates, task))
    for task, counts in seen.items():
        assert max(counts.values()) - min(counts[row] for row in range(len(SPLITS[task].lengths))) <= 1


@settings(max_examples=15)
@given(samplers(), st.integers(1, 4), st.data())
def test_resuming_at_any_update_goes_on_as_if_uninterrupted(
    sampler: TaskSampler, accumulation: int, data: st.DataObject
) -> None:
    starts: list[dict[str, Any]] = []
    uninterrupted: list[list[list[tuple[str, list[int]]]]] = []
    positions: dict[str, Position] = {}
    for epoch in range(EPOCHS):
        starts.append({task: asdict(position) for task, position in positions.items()})
        updates, positions = plan(sampler, SPLITS, epoch, positions, accumulation)
        uninterrupted.append(listed(updates))

    epoch = data.draw(st.integers(0, EPOCHS - 1))
    done = data.draw(st.integers(0, len(uninterrupted[epoch]) - 1))
    positions = {task: Position(**saved) for task, saved in starts[epoch].items()}
    resumed = []
    for later in range(epoch, EPOCHS):
        updates, positions = plan(sampler, SPLITS, later, positions, accumulation)
        resumed += listed(updates[done if later == epoch else 0 :])
    assert resumed == [
        *uninterrupted[epoch][done:],
        *(update for updates in uninterrupted[epoch + 1 :] for update in updates),
    ]


@settings(max_examples=20)
@given(samplers(st.just(False)), st.integers(1, 4))
def test_homogeneous_updates_take_the_batches_as_they_come(sampler: TaskSampler, accumulation: int) -> None:
    one_by_one, _ = plan(sampler)
    accumulated, _ = plan(sampler, accumulation=accumulation)
    assert [batch for update in listed(accumulated) for batch in update] == [
        batch for update in listed(one_by_one) for batch in update
    ]
    assert all(len(update) == 1 for update in one_by_one)
    assert all(len(update) == accumulation for update in accumulated[:-1])


@settings(max_examples=20)
@given(samplers(st.just(True)), st.integers(1, 4))
def test_mixed_updates_hold_each_task_evenly_and_lose_no_batch(sampler: TaskSampler, accumulation: int) -> None:
    mixed, _ = plan(sampler, accumulation=accumulation)
    num_batches = {task: -(-len(drawn_rows(mixed, task)) // BATCH_SIZE) for task in SIZES}
    assert len(mixed) == -(-max(num_batches.values()) // accumulation)
    for task, count in num_batches.items():
        held = [sum(batch.task == task for batch in update) for update in mixed]
        assert sum(held) == count
        assert max(held) <= accumulation
        # Evenly: any stretch of updates has the batches of its length, but for one at either end.
        cumulative = np.concatenate([[0], np.cumsum(held)])
        expected = np.arange(len(mixed) + 1) * count / len(mixed)
        assert np.abs(cumulative - expected).max() < 1


def test_mixed_updates_spread_a_small_task_over_the_epoch() -> None:
    splits = {"a": split("a", 8 * 6, windows=False), "b": split("b", 8 * 2, windows=False)}
    updates, _ = plan(Proportional(mixed=True), splits)
    assert [[batch.task for batch in update] for update in updates] == [
        ["a"],
        ["a", "b"],
        ["a"],
        ["a"],
        ["a", "b"],
        ["a"],
    ]


def test_mixed_accumulation_takes_so_many_batches_of_each_task() -> None:
    splits = {"a": SPLITS["a"], "c": SPLITS["c"]}
    updates, _ = plan(RoundRobin(examples_per_task=8 * 4, mixed=True), splits, accumulation=2)
    assert [[batch.task for batch in update] for update in updates] == [["a", "a", "c", "c"]] * 2


def test_an_annealed_training_has_epochs_of_different_length() -> None:
    # Shares shift, and with them how many last batches are not full and how many rows the windows make.
    foretold = Plan(Annealed(mixed=True), SPLITS, BATCH_SIZE, 1, SEED, EPOCHS).updates_per_epoch
    assert len(set(foretold)) > 1


def test_the_rows_of_a_batch_are_of_similar_length() -> None:
    updates, _ = plan(Proportional())
    lengths = SPLITS["a"].lengths
    spread = [np.ptp(lengths[batch.rows]) for update in updates for batch in update if batch.task == "a"]
    assert np.mean(spread) < 0.2 * np.ptp(lengths)


def test_adding_a_task_leaves_the_draws_of_the_others() -> None:
    alone, _ = plan(Uniform(examples_per_task=20), {"a": SPLITS["a"]})
    joint, _ = plan(Uniform(examples_per_task=20))
    assert sorted(drawn_rows(alone, "a")) == sorted(drawn_rows(joint, "a"))
