"""The loss weightings: one contract for all, and each one's numbers worked by hand or held to a reference."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor

from mtsearch.weighting import DynamicWeightAverage, MovingAverage, RandomWeights, Static, Uncertainty, Weighting
from mtsearch.weighting.contract import RunningWeighting

TASKS = ("a", "b", "c")
METHODS: list[Any] = [
    Static(),
    Uncertainty(lr=0.05),
    MovingAverage(window_updates=2),
    DynamicWeightAverage(),
    RandomWeights(),
]
SUM_TO_K = [method for method in METHODS if not isinstance(method, Uncertainty)]
named = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)

losses_of_an_update = st.dictionaries(st.sampled_from(TASKS), st.floats(0, 100, width=32), min_size=1)
epochs_of_updates = st.lists(st.lists(losses_of_an_update, min_size=1, max_size=6), min_size=1, max_size=4)


def tensors(**losses: float) -> dict[str, Tensor]:
    return {task: torch.tensor(loss) for task, loss in losses.items()}


def go_through(running: RunningWeighting, epochs: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The weights before every update, and those after the last."""
    found = []
    for updates in epochs:
        for losses in updates:
            found.append(running.measured())
            running.after_update(tensors(**losses))
        running.after_epoch()
    return [*found, running.measured()]


def test_the_tests_below_cover_every_entry_of_the_table() -> None:
    names = TypeAdapter(Weighting).json_schema()["discriminator"]["mapping"]
    assert sorted(names) == sorted(method.name for method in METHODS)


@named
def test_a_config_round_trips(method: Any) -> None:
    assert TypeAdapter(Weighting).validate_json(method.model_dump_json()) == method


@named
def test_what_is_measured_is_every_task_s_weight(method: Any) -> None:
    running = method.build(TASKS, seed=3)
    for losses in ({"a": 1.0, "b": 2.0}, {"c": 0.5}):
        running.after_update(tensors(**losses))
        running.after_epoch()
        assert running.measured() == {task: running.weight(task) for task in TASKS}


@named
@given(epochs_of_updates)
def test_no_weight_is_negative_or_infinite_whatever_the_losses(
    method: Any, epochs: list[list[dict[str, float]]]
) -> None:
    for weights in go_through(method.build(TASKS, seed=3), epochs):
        assert list(weights) == list(TASKS)
        assert all(math.isfinite(weight) and weight >= 0 for weight in weights.values())


@pytest.mark.parametrize("method", SUM_TO_K, ids=lambda method: method.name)
@given(epochs_of_updates)
def test_weights_of_k_tasks_sum_to_k(method: Any, epochs: list[list[dict[str, float]]]) -> None:
    for weights in go_through(method.build(TASKS, seed=3), epochs):
        assert sum(weights.values()) == pytest.approx(len(TASKS))


@named
@given(epochs_of_updates, st.data())
def test_a_resumed_weighting_equals_an_uninterrupted_one(
    method: Any, epochs: list[list[dict[str, float]]], data: st.DataObject
) -> None:
    whole = go_through(method.build(TASKS, seed=3), epochs)

    epoch = data.draw(st.integers(0, len(epochs) - 1))
    done = data.draw(st.integers(0, len(epochs[epoch])))
    first = method.build(TASKS, seed=3)
    before = go_through(first, epochs[:epoch])[:-1]
    for losses in epochs[epoch][:done]:
        before.append(first.measured())
        first.after_update(tensors(**losses))
    resumed = method.build(TASKS, seed=3)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + go_through(resumed, [epochs[epoch][done:], *epochs[epoch + 1 :]]) == whole


@named
def test_a_loss_that_is_no_number_breaks_nothing(method: Any) -> None:
    # The training loop looks at losses only now and then, and then says which one it was.
    running = method.build(TASKS, seed=3)
    for loss in (math.inf, math.nan, 1.0):
        running.after_update(tensors(a=loss, b=loss, c=loss))
        running.after_epoch()
        running.measured()


@pytest.mark.parametrize("method", [m for m in METHODS if not m.build(TASKS, 3).needs_losses], ids=lambda m: m.name)
def test_a_weighting_that_needs_no_losses_takes_none(method: Any) -> None:
    running, told = method.build(TASKS, seed=3), method.build(TASKS, seed=3)
    running.after_update({})
    told.after_update(tensors(a=1.0, b=2.0, c=3.0))
    assert running.measured() == told.measured()


def test_static_is_the_plain_sum() -> None:
    assert go_through(Static().build(TASKS, seed=3), [[{"a": 4.0}, {"b": 1.0}]]) == [dict.fromkeys(TASKS, 1.0)] * 3


def test_uncertainty_is_adam_on_the_papers_loss() -> None:
    running = Uncertainty(lr=0.02).build(("a", "b"), seed=3)
    log_variances = {task: torch.zeros((), dtype=torch.float64, requires_grad=True) for task in ("a", "b")}
    adam = torch.optim.Adam(log_variances.values(), lr=0.02)
    for step in range(40):
        losses = {"a": 2.0 - 0.03 * step} | ({"b": 0.1 + 0.01 * step} if step % 3 else {})
        for task, s in log_variances.items():
            assert running.weight(task) == pytest.approx(math.exp(-s.item()), rel=1e-6)
        adam.zero_grad()
        sum(
            torch.exp(-log_variances[task]) * loss + log_variances[task] / 2 for task, loss in losses.items()
        ).backward()  # type: ignore[union-attr]
        adam.step()
        running.after_update(tensors(**losses))


def test_uncertainty_tends_to_half_the_inverse_of_the_loss() -> None:
    running = Uncertainty(lr=0.02).build(TASKS, seed=3)
    for _ in range(600):
        running.after_update(tensors(a=2.0, b=0.25, c=0.5))
    assert running.measured() == pytest.approx({"a": 0.25, "b": 2.0, "c": 1.0}, rel=1e-2)


def test_moving_average_by_worked_numbers() -> None:
    running = MovingAverage().build(TASKS, seed=3)
    assert running.measured() == {"a": 1, "b": 1, "c": 1}
    running.after_update(tensors(a=1.0, b=2.0))
    # (1 + 2) / 1 = 3 and (1 + 2) / 2 = 1.5, of mean 2.25; c was in no update
    assert running.measured() == pytest.approx({"a": 3 / 2.25, "b": 1.5 / 2.25, "c": 1.0})
    running.after_update(tensors(a=3.0, c=4.0))
    # means 2, 2, 4: ratios 4, 4, 2, of mean 10/3
    assert running.measured() == pytest.approx({"a": 1.2, "b": 1.2, "c": 0.6})


def test_moving_average_forgets_beyond_its_window() -> None:
    running = MovingAverage(window_updates=2).build(("a", "b"), seed=3)
    for a in (100.0, 1.0, 2.0):
        running.after_update(tensors(a=a, b=1.5))
    assert running.measured() == pytest.approx({"a": 1.0, "b": 1.0})


def test_dwa_by_worked_numbers() -> None:
    running = DynamicWeightAverage(temperature=2.0).build(("a", "b"), seed=3)
    for epoch in ([(2.0, 1.0), (4.0, 3.0)], [(1.0, 2.0), (2.0, 4.0)]):
        assert running.measured() == {"a": 1, "b": 1}
        for a, b in epoch:
            running.after_update(tensors(a=a, b=b))
        running.after_epoch()
    # mean losses a 3 -> 1.5, b 2 -> 3: ratios 0.5 and 1.5
    a, b = math.exp(0.25), math.exp(0.75)
    assert running.measured() == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)})
    running.after_update(tensors(a=3.0, b=3.0))
    running.after_epoch()
    # 1.5 -> 3 and 3 -> 3: the epoch before last is forgotten
    a, b = math.exp(1.0), math.exp(0.5)
    assert running.measured() == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)})


def test_random_weights_change_with_every_update_and_seed_and_with_nothing_else() -> None:
    torch.manual_seed(0)
    first = go_through(RandomWeights().build(TASKS, seed=3), [[{"a": 1.0}] * 3])
    torch.manual_seed(1)
    assert go_through(RandomWeights().build(TASKS, seed=3), [[{"b": 9.0}] * 3]) == first
    assert len({tuple(weights.values()) for weights in first}) == 4
    assert go_through(RandomWeights().build(TASKS, seed=4), [[{"a": 1.0}] * 3]) != first


def test_random_weights_favour_no_task() -> None:
    running = RandomWeights().build(TASKS, seed=3)
    totals = dict.fromkeys(TASKS, 0.0)
    for _ in range(2000):
        running.after_update({})
        for task in TASKS:
            totals[task] += running.weight(task) / 2000
    assert totals == pytest.approx(dict.fromkeys(TASKS, 1.0), abs=0.06)
