"""PCGrad and GradVac on Gramians: held to torchjd, to their defining properties, and to numbers worked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torchjd.aggregation import GradVacWeighting, PCGradWeighting

from mtsearch.surgery import GradVac, NoSurgery, PCGrad, Surgery
from mtsearch.surgery.contract import RunningSurgery
from mtsearch.surgery.gradvac import vaccinated
from mtsearch.surgery.gramians import Matrix, Orders, random_orders
from mtsearch.surgery.pcgrad import projected

TASKS = ("sentiment", "paraphrase", "similarity", "tagging")
METHODS = [PCGrad(), GradVac(beta=0.3)]


def gradients(seed: int, num_tasks: int = 4, num_parameters: int = 6) -> Matrix:
    """Gradients of very different lengths, many pairs of which conflict."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_tasks, num_parameters)) * np.exp(rng.normal(size=(num_tasks, 1)))


def gramian_of(rows: Matrix) -> torch.Tensor:
    return torch.from_numpy(rows @ rows.T)


def running(method: PCGrad | GradVac, tasks: tuple[str, ...] = TASKS, seed: int = 0) -> RunningSurgery:
    built = method.build(tasks, seed)
    assert built is not None
    return built


@pytest.fixture
def torchjd_draws(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[list[int]]], None]:
    """Makes torchjd's weightings draw the given permutations instead of random ones."""

    def use(permutations: Iterator[list[int]]) -> None:
        monkeypatch.setattr(torch, "randperm", lambda _: torch.tensor(next(permutations)))

    return use


@pytest.mark.parametrize("num_tasks", [2, 3, 6])
def test_pcgrad_is_torchjds_in_the_same_order(
    num_tasks: int, torchjd_draws: Callable[[Iterator[list[int]]], None]
) -> None:
    for seed in range(20):
        gramian = gramian_of(gradients(seed, num_tasks))
        orders = random_orders(num_tasks, np.random.default_rng(seed))
        torchjd_draws(iter([*order, i] for i, order in enumerate(orders)))
        expected = PCGradWeighting()(gramian)
        np.testing.assert_allclose(projected(gramian.numpy(), orders), expected, rtol=1e-10)


@pytest.mark.parametrize("num_tasks", [2, 3, 6])
def test_gradvac_is_torchjds_in_the_same_order_over_many_updates(
    num_tasks: int, torchjd_draws: Callable[[Iterator[list[int]]], None]
) -> None:
    # torchjd's own defaults differ: beta 0.5 where the paper has 0.01, and 1e-8 added to denominators, which makes its
    # result depend on the scale of the loss. Both start from targets of 0 and have one for each ordered pair.
    beta, common = 0.3, gradients(99, 1)
    theirs, targets = GradVacWeighting(beta=beta, eps=0.0), np.zeros((num_tasks, num_tasks))
    for seed in range(20):
        gramian = gramian_of(gradients(seed, num_tasks) + common)
        orders = random_orders(num_tasks, np.random.default_rng(seed))
        # torchjd draws positions among the other tasks
        torchjd_draws(iter([j - (j > i) for j in order] for i, order in enumerate(orders)))
        expected = theirs(gramian)
        coefficients, targets = vaccinated(gramian.numpy(), targets, beta, orders)
        np.testing.assert_allclose(coefficients, expected, rtol=1e-8)


def test_two_tasks_of_pcgrad_worked_by_hand() -> None:
    # g1 = (1, 0), g2 = (-1, 1): g1 becomes g1 + g2/2 = (0.5, 0.5), g2 becomes g2 + g1 = (0, 1)
    gramian = torch.tensor([[1.0, -1.0], [-1.0, 2.0]])
    found = running(PCGrad(), ("a", "b")).coefficients(gramian, ("a", "b"))
    assert found.tolist() == [2.0, 1.5]
    assert found.dtype == torch.float32


def test_two_tasks_of_gradvac_worked_by_hand() -> None:
    # At right angles, with a target of 0.6: w = 0.6 / 0.8, so that the cosine becomes 0.75 / 1.25 = 0.6.
    coefficients, targets = vaccinated(np.eye(2), np.full((2, 2), 0.6), 0.1, [[1], [0]])
    np.testing.assert_allclose(coefficients, [1.75, 1.75])
    np.testing.assert_allclose(targets, [[0.6, 0.54], [0.54, 0.6]])


def test_a_target_moves_whether_or_not_the_gradient_is_changed() -> None:
    method = running(GradVac(beta=0.1), ("a", "b"))
    agreeing = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    assert method.coefficients(agreeing, ("a", "b")).tolist() == [1.0, 1.0]
    assert method.state_dict()["targets"]["a"]["b"] == pytest.approx(0.05)
    method.coefficients(-agreeing + 2 * torch.eye(2), ("a", "b"))  # the cosine is -0.5
    assert method.state_dict()["targets"]["b"]["a"] == pytest.approx(0.9 * 0.05 - 0.1 * 0.5)


def test_gradvac_lifts_the_cosine_to_its_target() -> None:
    for seed in range(20):
        rows = gradients(seed, 2)
        target = 0.8
        # What stays of task 0 alone: task 1 has no task to meet.
        coefficients, _ = vaccinated(rows @ rows.T, np.full((2, 2), target), 0.01, [[1], []])
        lifted = coefficients @ rows - rows[1]
        before = rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1])
        after = lifted @ rows[1] / np.linalg.norm(lifted) / np.linalg.norm(rows[1])
        assert after == pytest.approx(max(before, target))


def test_the_first_update_of_gradvac_is_pcgrads() -> None:
    for seed in range(20):
        gramian = gramian_of(gradients(seed))
        expected = running(PCGrad(), seed=seed).coefficients(gramian, TASKS)
        torch.testing.assert_close(running(GradVac(), seed=seed).coefficients(gramian, TASKS), expected)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_gradients_that_agree_are_summed_as_they_are(method: PCGrad | GradVac) -> None:
    rows = np.abs(gradients(0))
    assert running(method).coefficients(gramian_of(rows), TASKS).tolist() == [1.0] * 4


@given(seed=st.integers(0, 10_000), num_tasks=st.integers(2, 6))
def test_a_projected_gradient_does_not_conflict_with_the_last_that_it_met(seed: int, num_tasks: int) -> None:
    rows = gradients(seed, num_tasks)
    for i, order in enumerate(random_orders(num_tasks, np.random.default_rng(seed))):
        alone: Orders = [order if k == i else [] for k in range(num_tasks)]
        own = projected(rows @ rows.T, alone) - 1 + np.eye(num_tasks)[i]
        inner_product = (own @ rows) @ rows[order[-1]]
        assert inner_product >= -1e-9 * np.linalg.norm(rows[order[-1]]) * np.linalg.norm(rows[i])


@given(seed=st.integers(0, 10_000))
def test_of_two_tasks_neither_is_worsened_by_their_sum(seed: int) -> None:
    rows = gradients(seed, 2)
    for coefficients in (
        projected(rows @ rows.T, [[1], [0]]),
        vaccinated(rows @ rows.T, np.zeros((2, 2)), 0.1, [[1], [0]])[0],
    ):
        assert (rows @ (coefficients @ rows) >= -1e-9 * np.linalg.norm(rows) ** 2).all()


@given(seed=st.integers(0, 10_000))
def test_naming_the_tasks_in_another_order_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, targets, orders = gradients(seed), rng.uniform(-0.5, 0.9, (4, 4)), random_orders(4, rng)
    old = rng.permutation(4)  # new task number -> old
    new = np.argsort(old)
    reordered = [[int(new[j]) for j in orders[old[i]]] for i in range(4)]
    gramian, permuted = rows @ rows.T, rows[old] @ rows[old].T
    np.testing.assert_allclose(projected(permuted, reordered), projected(gramian, orders)[old], rtol=1e-8)
    found, found_targets = vaccinated(permuted, targets[np.ix_(old, old)], 0.1, reordered)
    expected, expected_targets = vaccinated(gramian, targets, 0.1, orders)
    np.testing.assert_allclose(found, expected[old], rtol=1e-8)
    np.testing.assert_allclose(found_targets, expected_targets[np.ix_(old, old)], rtol=1e-8)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("scale", [1e-8, 2.0**16])
def test_the_scale_of_the_loss_does_not_matter(method: PCGrad | GradVac, scale: float) -> None:
    ours, scaled = running(method), running(method)
    for seed in range(3):
        gramian = gramian_of(gradients(seed))
        expected = ours.coefficients(gramian, TASKS)
        torch.testing.assert_close(scaled.coefficients(gramian * scale**2, TASKS), expected)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_gradient_of_zero_neither_changes_another_nor_breaks_anything(method: PCGrad | GradVac) -> None:
    rows = gradients(5)
    rows[1] = 0
    three = [0, 2, 3]
    orders = random_orders(4, np.random.default_rng(0))
    without = [[three.index(j) for j in orders[i] if j != 1] for i in three]
    targets = np.full((4, 4), 0.5)
    gramian, small = rows @ rows.T, rows[three] @ rows[three].T
    np.testing.assert_allclose(projected(gramian, orders)[three], projected(small, without))
    found, after = vaccinated(gramian, targets, 0.1, orders)
    np.testing.assert_allclose(found[three], vaccinated(small, targets[:3, :3], 0.1, without)[0])
    assert (after[1] == 0.5).all()
    assert (after[:, 1] == 0.5).all()
    assert running(method).coefficients(torch.zeros(4, 4), TASKS).tolist() == [1.0] * 4


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_passed_on_and_not_remembered(method: PCGrad | GradVac, value: float) -> None:
    surgery = running(method)
    surgery.coefficients(gramian_of(gradients(0)), TASKS)
    targets = surgery.state_dict().get("targets")
    overflown = gramian_of(gradients(1))
    overflown[2] = overflown[:, 2] = value
    assert surgery.coefficients(overflown, TASKS).tolist() == [1.0] * 4
    assert surgery.state_dict().get("targets") == targets


def test_a_target_of_one_gives_finite_coefficients() -> None:
    coefficients, _ = vaccinated(np.eye(2), np.ones((2, 2)), 0.1, [[1], [0]])
    assert np.isfinite(coefficients).all()


def test_an_update_with_fewer_tasks_moves_their_targets_alone() -> None:
    surgery = running(GradVac(beta=0.5))
    surgery.coefficients(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), ("tagging", "paraphrase"))
    targets = surgery.state_dict()["targets"]
    moved = {(a, b): value for a, row in targets.items() for b, value in row.items() if value}
    assert moved == {("tagging", "paraphrase"): 0.25, ("paraphrase", "tagging"): 0.25}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_orders_come_from_the_seed_and_not_from_torch(method: PCGrad | GradVac) -> None:
    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(torch.seed())
        surgery = running(method, seed=seed)
        return torch.stack([surgery.coefficients(gramian_of(gradients(i)), TASKS) for i in range(10)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_resumed_method_goes_on_as_one_that_was_not_interrupted(method: PCGrad | GradVac) -> None:
    grams = [gramian_of(gradients(seed)) for seed in range(10)]
    whole, cut = running(method), running(method)
    for gramian in grams[:5]:
        whole.coefficients(gramian, TASKS)
        cut.coefficients(gramian, TASKS)
    resumed = running(method, seed=99)
    resumed.load_state_dict(json.loads(json.dumps(cut.state_dict())))
    for gramian in grams[5:]:
        assert torch.equal(resumed.coefficients(gramian, TASKS), whole.coefficients(gramian, TASKS))
    assert resumed.state_dict() == whole.state_dict()


def test_none_keeps_no_gradients_apart() -> None:
    assert NoSurgery().build(TASKS, 0) is None


def test_the_table_knows_its_methods_by_name() -> None:
    table = TypeAdapter(Surgery)
    for method in (NoSurgery(), *METHODS):
        assert table.validate_python({"name": method.name}) == type(method)()
