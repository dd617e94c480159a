"""Learning-rate schedules, held to their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from mtsearch.schedules import Constant, Cosine, Linear, Plateau

N = 20


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(schedule: Constant | Linear | Cosine) -> list[float]:
    opt = optimizer()
    running = schedule.build(opt, N)
    found = []
    for _ in range(N):
        found.append(opt.param_groups[0]["lr"])
        opt.step()
        running.after_update()
    return [*found, opt.param_groups[0]["lr"]]


def test_linear_rises_over_the_warmup_and_falls_to_zero() -> None:
    expected = [k / 4 if k < 4 else (N - k) / (N - 4) for k in range(N + 1)]
    assert rates(Linear(warmup_ratio=0.2)) == pytest.approx(expected)


def test_cosine_is_one_half_wave_over_the_whole_trial() -> None:
    expected = [k / 4 if k < 4 else 0.5 * (1 + math.cos(math.pi * (k - 4) / (N - 4))) for k in range(N + 1)]
    assert rates(Cosine(warmup_ratio=0.2)) == pytest.approx(expected)


def test_none_stays_after_its_warmup() -> None:
    assert rates(Constant()) == [1.0] * (N + 1)
    assert rates(Constant(warmup_ratio=0.1))[:4] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_plateau_cuts_after_its_patience_and_only_then() -> None:
    opt = optimizer()
    running = Plateau(factor=0.1, patience=2).build(opt, N)
    found = []
    for score in (0.5, 0.6, 0.6, 0.55, 0.6, 0.7, 0.6):
        running.after_update()
        running.after_evaluation(score)
        found.append(opt.param_groups[0]["lr"])
    # best at the second; three evaluations without a better one are one more than patience
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("schedule", [Constant(warmup_ratio=0.3), Linear(), Cosine(), Plateau(patience=0)])
def test_a_saved_schedule_goes_on_where_it_was(schedule: Constant | Linear | Cosine | Plateau) -> None:
    def run(opt: torch.optim.Optimizer, running: object, steps: range) -> list[float]:
        found = []
        for step in steps:
            opt.step()
            running.after_update()  # type: ignore[attr-defined]
            running.after_evaluation(-step)  # type: ignore[attr-defined]
            found.append(opt.param_groups[0]["lr"])
        return found

    whole = optimizer()
    expected = run(whole, schedule.build(whole, N), range(N))
    first = optimizer()
    running = schedule.build(first, N)
    head = run(first, running, range(7))
    second = optimizer()
    going_on = schedule.build(second, N)
    second.load_state_dict(first.state_dict())
    going_on.load_state_dict(running.state_dict())
    assert head + run(second, going_on, range(7, N)) == pytest.approx(expected)


def test_plateau_is_patient_again_after_a_thaw_but_wants_better_than_its_best() -> None:
    opt = optimizer()
    running = Plateau(factor=0.1, patience=2).build(opt, N)
    found = []
    for number, score in enumerate((0.6, 0.5, 0.5, 0.55, 0.55, 0.55)):
        if number == 3:
            running.after_thaw()
        running.after_evaluation(score)
        found.append(opt.param_groups[0]["lr"])
    # without the thaw the fourth evaluation would have cut it; scores under 0.6 are still no improvement
    assert found == pytest.approx([1, 1, 1, 1, 1, 0.1])


@pytest.mark.parametrize("schedule", [Constant(warmup_ratio=0.3), Linear(), Cosine()])
def test_a_schedule_of_updates_does_not_mind_a_thaw(schedule: Constant | Linear | Cosine) -> None:
    opt = optimizer()
    running = schedule.build(opt, N)
    before = running.state_dict()
    running.after_thaw()
    assert running.state_dict() == before
