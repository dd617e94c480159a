"""The task samplers: one contract for all, and each one's shares against its formula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mtsearch.samplers import Annealed, Proportional, RoundRobin, Sampler, SquareRoot, Temperature, Uniform
from mtsearch.samplers.contract import TaskSampler

SIZES = {"a": 103, "b": 40, "c": 7}
ENTRIES: list[dict[str, Any]] = [
    {"name": "uniform", "examples_per_task": 30},
    {"name": "round_robin"},
    {"name": "proportional"},
    {"name": "sqrt"},
    {"name": "temperature", "tau": 0.3},
    {"name": "annealed", "examples_per_epoch": 50},
]

sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 400_000), min_size=1)
budgets = st.none() | st.integers(1, 100_000)
epochs = st.integers(1, 30).flatmap(lambda total: st.tuples(st.integers(0, total - 1), st.just(total)))


def built(entry: dict[str, Any]) -> Any:
    return TypeAdapter(Sampler).validate_python(entry)


def test_the_contract_below_covers_every_entry_of_the_table() -> None:
    names = TypeAdapter(Sampler).json_schema()["discriminator"]["mapping"]
    assert sorted(names) == sorted(entry["name"] for entry in ENTRIES)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_entry_keeps_the_contract(entry: dict[str, Any], mixed: bool) -> None:
    sampler = built({**entry, "mixed": mixed})
    assert TypeAdapter(Sampler).validate_json(sampler.model_dump_json()) == sampler
    assert sampler.mixed is mixed
    for epoch in range(3):
        quotas = sampler.quotas(SIZES, epoch, 3)
        assert list(quotas) == list(SIZES)
        assert all(isinstance(quota, int) and quota >= 1 for quota in quotas.values())
        assert sampler.quotas(SIZES, epoch, 3) == quotas
    num_batches = {"a": 5, "b": 2, "c": 1}
    orders = [sampler.order(num_batches, np.random.default_rng(seed)) for seed in (1, 1)]
    assert orders[0] == orders[1]
    assert Counter(orders[0]) == num_batches


def assert_shares(
    sampler: TaskSampler, sizes: Mapping[str, int], exponent: float, budget: int | None, epoch: int, epochs: int
) -> None:
    quotas = sampler.quotas(sizes, epoch, epochs)
    wanted = budget or sum(sizes.values())
    total = sum(size**exponent for size in sizes.values())
    for task, size in sizes.items():
        share = wanted * size**exponent / total
        assert abs(quotas[task] - share) < 1 + 1e-6 or (share < 1 and quotas[task] == 1)
    assert sum(quotas.values()) - wanted in range(len(sizes) + 1)
    if all(wanted * size**exponent >= total for size in sizes.values()):
        assert sum(quotas.values()) == wanted


@given(sizes, budgets, epochs)
def test_proportional_shares_are_those_of_the_sizes(
    sizes: dict[str, int], budget: int | None, at: tuple[int, int]
) -> None:
    assert_shares(Proportional(examples_per_epoch=budget), sizes, 1.0, budget, *at)


@given(sizes, budgets, epochs)
def test_sqrt_shares_are_those_of_the_roots(sizes: dict[str, int], budget: int | None, at: tuple[int, int]) -> None:
    assert_shares(SquareRoot(examples_per_epoch=budget), sizes, 0.5, budget, *at)


@given(sizes, budgets, epochs, st.floats(0, 1))
def test_temperature_shares_are_those_of_the_powers(
    sizes: dict[str, int], budget: int | None, at: tuple[int, int], tau: float
) -> None:
    assert_shares(Temperature(tau=tau, examples_per_epoch=budget), sizes, tau, budget, *at)


@given(sizes, budgets, epochs)
def test_annealed_shares_go_from_the_sizes_to_nearly_equal_ones(
    sizes: dict[str, int], budget: int | None, at: tuple[int, int]
) -> None:
    e, total = at[0] + 1, at[1]
    exponent = 1 - 0.8 * (e - 1) / (total - 1) if total > 1 else 0.2
    assert_shares(Annealed(examples_per_epoch=budget), sizes, exponent, budget, *at)


def test_annealed_draws_by_worked_numbers() -> None:
    sizes = {"a": 243_000, "b": 1000, "c": 1000}  # 243 = 3^5
    assert Annealed().quotas(sizes, 0, 5) == sizes
    # halfway α = 0.6: 243^0.6 = 27 to 1; at the end α = 0.2: 243^0.2 = 3 to 1
    assert Annealed(examples_per_epoch=2900).quotas(sizes, 2, 5) == {"a": 2700, "b": 100, "c": 100}
    assert Annealed(examples_per_epoch=1000).quotas(sizes, 4, 5) == {"a": 600, "b": 200, "c": 200}
    assert Annealed(examples_per_epoch=1000).quotas(sizes, 0, 1) == {"a": 600, "b": 200, "c": 200}


def test_proportional_without_a_number_takes_every_example_once() -> None:
    assert Proportional().quotas(SIZES, 0, 1) == SIZES


def test_uniform_takes_as_many_as_a_small_task_has() -> None:
    assert Uniform(examples_per_task=50).quotas(SIZES, 0, 1) == {"a": 50, "b": 40, "c": 7}


@given(sizes)
def test_round_robin_repeats_small_tasks_up_to_the_largest(sizes: dict[str, int]) -> None:
    assert set(RoundRobin().quotas(sizes, 0, 1).values()) == {max(sizes.values())}
    assert set(RoundRobin(examples_per_task=24).quotas(sizes, 0, 1).values()) == {24}


def test_round_robin_takes_the_tasks_in_turn() -> None:
    order = RoundRobin().order({"a": 3, "b": 1, "c": 2}, np.random.default_rng(0))
    assert order == ["a", "b", "c", "a", "c", "a"]


def test_other_orders_are_random() -> None:
    num_batches = {"a": 50, "b": 50}
    orders = [Uniform().order(num_batches, np.random.default_rng(seed)) for seed in (0, 1)]
    assert orders[0] != orders[1]
