"""The expert gate: who goes where, what it learns from, and what it tells."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mtsearch.experts.routing import ExpertGate, GateKind, HardRouting, SoftRouting


def gate(kind: GateKind = "hard", balance_weight: float = 0.01, num_experts: int = 2) -> ExpertGate:
    return ExpertGate(4, num_experts, kind, balance_weight, seed=7)


def chosen_by_sign(kind: GateKind = "hard", balance_weight: float = 0.01) -> ExpertGate:
    """Scores are 5 · x and -5 · x for the first of four normalised components x."""
    made = gate(kind, balance_weight)
    made.weight = torch.nn.Parameter(torch.tensor([[5.0, 0, 0, 0], [-5.0, 0, 0, 0]]))
    return made


FIRST, SECOND = [1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]  # normalised already
ONE = torch.ones(2, 1, dtype=torch.long)


def states(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).unsqueeze(1)


def test_soft_routing_mixes_by_probability() -> None:
    probabilities_BE = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    routing = SoftRouting(probabilities_BE)
    rows = torch.arange(6.0).view(2, 3)
    both = routing.dispatch(rows)
    assert [part.tolist() for part in both] == [rows.tolist()] * 2
    assert routing.sizes == [2, 2]
    mixed = routing.combine([rows, rows + 4])
    assert torch.allclose(mixed, torch.stack([rows[0] + 3, rows[1]]))


def test_hard_routing_gives_each_row_to_the_most_probable_expert_and_back_in_order() -> None:
    probabilities_BE = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.3, 0.1, 0.6], [0.5, 0.2, 0.3]])
    routing = HardRouting(probabilities_BE)
    rows = torch.arange(8.0).view(4, 2)
    parts = routing.dispatch(rows)
    assert [part.tolist() for part in parts] == [[[2, 3], [6, 7]], [], [[0, 1], [4, 5]]]
    assert routing.sizes == [2, 0, 2]
    back = routing.combine([part + 100 * number for number, part in enumerate(parts)])
    assert back.tolist() == [[200, 201], [2, 3], [204, 205], [6, 7]]


def test_the_straight_through_gradient_is_that_of_a_multiplication_by_the_probability() -> None:
    scores = torch.tensor([[0.3, -0.2, 0.9], [1.0, 0.5, -1.0]], dtype=torch.float64, requires_grad=True)
    probabilities_BE = scores.softmax(1)
    routing = HardRouting(probabilities_BE)
    outputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    weights = torch.tensor([[0.5, -1.0], [2.0, 0.25]], dtype=torch.float64)
    combined = routing.combine(routing.dispatch(outputs))
    assert torch.equal(combined, outputs)
    (combined * weights).sum().backward()
    # For the chosen expert c: dL/dp_c = <dL/dy, y>, and dp_c/ds_e = p_c (1[e = c] - p_e).
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for row, chosen in enumerate((2, 0)):
        slope = float((weights[row] * outputs[row]).sum())
        for expert in range(3):
            p = probabilities_BE[row].detach()
            expected[row, expert] = slope * p[chosen] * (float(expert == chosen) - p[expert])
    assert scores.grad is not None
    assert torch.allclose(scores.grad, expected, atol=1e-12)


def test_padding_does_not_count() -> None:
    routed = gate("soft")
    states_BLD = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    mask_BL = (torch.arange(5) < torch.tensor([[5], [2], [3]])).long()
    other = torch.where(mask_BL.unsqueeze(-1).bool(), states_BLD, 1e3)
    first, second = routed(states_BLD, mask_BL, "one"), routed(other, mask_BL, "one")
    alone = routed(states_BLD[1:2, :2], mask_BL[1:2, :2], "one")
    assert isinstance(first, SoftRouting)
    assert torch.allclose(first.probabilities_BE, second.probabilities_BE)
    assert torch.allclose(first.probabilities_BE[1:2], alone.probabilities_BE, atol=1e-6)


def test_states_of_any_scale_are_routed_alike() -> None:
    routed = gate("soft")
    states_BLD = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    mask_BL = torch.ones(3, 5)
    small, large = routed(states_BLD, mask_BL, "one"), routed(100 * states_BLD + 7, mask_BL, "one")
    assert torch.allclose(small.probabilities_BE, large.probabilities_BE, atol=1e-4)


def test_the_balance_loss_is_its_weight_where_use_is_even() -> None:
    routed = chosen_by_sign(balance_weight=0.3)
    routed(states(FIRST, SECOND), ONE, "one")
    penalty = routed.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.3)
    assert routed.penalty() is None  # forgotten


def test_the_balance_loss_by_hand_where_use_is_uneven() -> None:
    routed = chosen_by_sign(balance_weight=1.0)
    routed(states(FIRST, FIRST), ONE, "one")
    p = math.exp(5) / (math.exp(5) + math.exp(-5))  # f = (1, 0), P = (p, 1 - p): 2 · (1 · p + 0 · (1 - p))
    penalty = routed.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(2 * p, abs=1e-4)


def test_the_balance_loss_moves_the_gate_towards_even_use() -> None:
    routed = gate("hard", 1.0, num_experts=3)
    states_BLD = torch.randn(64, 1, 4, generator=torch.Generator().manual_seed(1))
    states_BLD = states_BLD + 3 * routed.weight[0].detach()  # what the first expert likes
    mask_BL = torch.ones(64, 1)
    optimizer = torch.optim.Adam(routed.parameters(), lr=0.02)
    uneven = routed(states_BLD, mask_BL, "one").sizes
    for _ in range(100):
        routed(states_BLD, mask_BL, "one")
        penalty = routed.penalty()
        assert penalty is not None
        penalty.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert max(uneven) > 40
    assert max(routed(states_BLD, mask_BL, "one").sizes) < 32


def test_no_weight_has_no_penalty() -> None:
    routed = gate("hard", 0.0)
    routed(torch.randn(2, 1, 4), ONE, "one")
    assert routed.penalty() is None


def test_shares_balance_and_entropy_are_means_over_the_rows_of_each_task() -> None:
    routed = chosen_by_sign()
    routed(states(FIRST, FIRST), ONE, "one")
    routed(states(FIRST, SECOND), ONE, "one")
    routed(states(SECOND, SECOND, SECOND, SECOND), torch.ones(4, 1), "two")
    told = {(task, name): value for task, name, value in routed.measured()}
    even, alone = 1.0, 2.0
    assert told == {
        ("one", "expert_1_share"): pytest.approx(0.75),
        ("one", "expert_2_share"): pytest.approx(0.25),
        ("one", "expert_balance_loss"): pytest.approx((alone + even) / 2, abs=1e-3),
        ("two", "expert_1_share"): 0.0,
        ("two", "expert_2_share"): 1.0,
        ("two", "expert_balance_loss"): pytest.approx(alone, abs=1e-3),
        # 3 of 8 rows go to the first expert
        ("", "expert_usage_entropy"): pytest.approx(-(3 / 8 * math.log(3 / 8) + 5 / 8 * math.log(5 / 8)) / math.log(2)),
    }
    assert list(routed.measured()) == []


def test_shares_of_a_soft_gate_are_mean_probabilities() -> None:
    routed = gate("soft")
    routing = routed(torch.randn(3, 1, 4), torch.ones(3, 1), "one")
    told = {name: value for _, name, value in routed.measured()}
    assert told["expert_2_share"] == pytest.approx(routing.probabilities_BE[:, 1].mean().item())


def test_only_passes_of_training_are_counted() -> None:
    routed = gate()
    with torch.no_grad():
        routed(states(FIRST, SECOND), ONE, "one")
    routed.eval()
    routed(states(FIRST, SECOND), ONE, "one")
    assert routed.penalty() is None
    assert list(routed.measured()) == []


def test_the_gate_is_drawn_from_its_own_seed_alone() -> None:
    before = torch.get_rng_state()
    first, second = gate(), gate()
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_gate_computes_in_single_precision_under_autocast() -> None:
    routed = gate("soft")
    with torch.autocast("cpu", torch.bfloat16):
        routing = routed(torch.randn(2, 3, 4).bfloat16(), torch.ones(2, 3), "one")
        mixed = routing.combine([torch.ones(2, 3, 4, dtype=torch.bfloat16)] * 2)
    assert routing.probabilities_BE.dtype == torch.float32
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, torch.ones_like(mixed))
