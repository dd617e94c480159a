"""What an update does to the parameters, held to ``torch.autograd.grad`` on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtsearch.data.plan import PlannedUpdate
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from mtsearch.training.report import Interference
from mtsearch.training.updates import train_updates
from tests.training.trials import STILL, assert_equal, numbers, snapshot, values

Start = Callable[..., Parts]
Gradients = dict[str, Tensor]

TASKS = ("sentiment", "paraphrase", "similarity")
MIXED = {"name": "uniform", "mixed": True}
UNEVEN = {
    "precision": "fp32",
    "batch_size": 5,  # of 48 examples: one batch of each task has 3 rows
    "accumulation": 2,
    "gradient_clip": None,
    "interference_interval": None,
}


def plan(parts: Parts) -> list[PlannedUpdate]:
    updates, _ = parts.plan.epoch(0, {})
    return updates


def uneven_update(parts: Parts) -> PlannedUpdate:
    """One that holds sentiment's batch of 3 rows and one of 5."""
    return next(u for u in plan(parts) if [len(b.rows) for b in u if b.task == "sentiment"] in ([3, 5], [5, 3]))


def run_update(parts: Parts, update: PlannedUpdate) -> Gradients:
    """Do an update, and give the gradients that the optimizer was shown."""
    seen: Gradients = {}

    def look(*_: Any) -> None:
        seen.update({n: p.grad.clone() for n, p in parts.state.model.named_parameters() if p.grad is not None})

    handle = parts.state.optimizer.optimizer.register_step_pre_hook(look)
    train_updates(parts, [update])
    handle.remove()
    return seen


def logits_and_mean_loss(parts: Parts, name: str, update: PlannedUpdate) -> tuple[Tensor, Tensor]:
    """Of all the task's rows of an update in one pass."""
    task = parts.tasks[name]
    batch = task.splits["train"].batch(np.concatenate([batch.rows for batch in update if batch.task == name]))
    logits = parts.state.model(batch)
    weight = task.kind.loss_weight(batch.targets, task.inventory)
    return logits.values, task.kind.loss(logits, batch.targets, task.inventory) / weight


def mean_loss(parts: Parts, name: str, update: PlannedUpdate) -> Tensor:
    return logits_and_mean_loss(parts, name, update)[1]


def gradient(parts: Parts, loss: Tensor) -> Gradients:
    """By autograd, of all parameters that the loss reaches."""
    names, parameters = zip(*parts.state.model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name: g for name, g in zip(names, found, strict=True) if g is not None}


def shared_vector(found: Gradients, where: tuple[str, ...] = ("encoder.",)) -> Tensor:
    return torch.cat([g.flatten() for name, g in found.items() if name.startswith(where)])


def encoder_vector(parts: Parts, loss: Tensor) -> Tensor:
    return shared_vector(gradient(parts, loss))


def assert_close(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


class FixedWeights:
    """A weighting that is told of losses and goes on as before."""

    needs_losses = True

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.factors = factors
        self.told: list[dict[str, Tensor]] = []

    def weight(self, task: str) -> float:
        return self.factors[task]

    def after_update(self, losses: Mapping[str, Tensor]) -> None:
        self.told.append(dict(losses))

    def after_epoch(self) -> None: ...

    def measured(self) -> dict[str, float]:
        return dict(self.factors)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class SmallLogits:
    """A regulariser: the sum of the rows' squared logits."""

    name = "small"

    def penalty(self, model: nn.Module, batch: Any, kind: Any, inventory: Any, logits: Any, random: Any) -> Tensor:
        return logits.values.square().sum()

    def after_update(self, model: nn.Module) -> None: ...

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None: ...

    def measured(self) -> dict[str, float]:
        return {}


def test_a_mixed_updates_gradient_is_the_sum_of_each_tasks_mean_loss_gradient(start: Start) -> None:
    parts = start(**STILL, sampler=MIXED, training=UNEVEN)
    update = uneven_update(parts)
    expected = gradient(parts, sum((mean_loss(parts, name, update) for name in TASKS), torch.zeros(())))
    assert_close(run_update(parts, update), expected)


def test_weights_multiply_the_loss_but_not_the_penalty(start: Start) -> None:
    sections = {**STILL, "tasks": {name: {**task, "weight": 3.0} for name, task in STILL["tasks"].items()}}
    parts = start(**sections, sampler=MIXED, training=UNEVEN)
    factors = {"sentiment": 0.5, "paraphrase": 2.0, "similarity": 1.0}
    parts.state.weighting, parts.state.regularizers = FixedWeights(factors), [SmallLogits()]
    update = uneven_update(parts)
    total = torch.zeros(())
    for name, factor in factors.items():
        logits, loss = logits_and_mean_loss(parts, name, update)
        total = total + 3.0 * factor * loss + logits.square().sum() / len(logits)
    expected = gradient(parts, total)
    assert_close(run_update(parts, update), expected)


def test_a_weighting_is_told_each_tasks_own_mean_loss(start: Start) -> None:
    sections = {**STILL, "tasks": {name: {**task, "weight": 3.0} for name, task in STILL["tasks"].items()}}
    parts = start(**sections, sampler=MIXED, training=UNEVEN)
    parts.state.weighting = weighting = FixedWeights(dict.fromkeys(TASKS, 2.0))
    parts.state.regularizers = [SmallLogits()]
    update = uneven_update(parts)
    expected = {name: mean_loss(parts, name, update).detach() for name in TASKS}
    train_updates(parts, [update])
    (told,) = weighting.told
    torch.testing.assert_close(told, expected)


EXPERTS = {"experts": {"name": "feed_forward", "gate": "soft", "layers": 1, "balance_weight": 0.0}}
ADAPTERS = {"adapters": {"name": "pal", "rank": 8, "attention_heads": 2, "dropout": 0.0}}


@pytest.mark.parametrize(
    ("extension", "shared"),
    [({}, ("encoder.",)), (EXPERTS, ("encoder.", "extensions.experts.")), (ADAPTERS, ("encoder.",))],
    ids=["plain", "experts", "adapters"],
)
def test_pcgrad_projects_the_gradients_of_what_tasks_share_and_leaves_those_of_each_tasks_own(
    start: Start, extension: dict[str, Any], shared: tuple[str, ...]
) -> None:
    names = ("sentiment", "paraphrase")
    sections = {**STILL, "tasks": {name: STILL["tasks"][name] for name in names}, "sampler": MIXED, **extension}
    parts = start(**sections, surgery={"name": "pcgrad"}, training=UNEVEN)

    def vectors(update: PlannedUpdate) -> list[Tensor]:
        return [shared_vector(gradient(parts, mean_loss(parts, name, update)), shared) for name in names]

    update = next(update for update in plan(parts) if torch.dot(*vectors(update)) < 0)
    plain = gradient(parts, mean_loss(parts, names[0], update) + mean_loss(parts, names[1], update))
    first, second = vectors(update)
    inner = first @ second
    expected = first - inner / (second @ second) * second + second - inner / (first @ first) * first
    found = run_update(parts, update)
    assert found.keys() == plain.keys()
    projected = shared_vector(found, shared)
    torch.testing.assert_close(projected, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(projected, first + second, rtol=1e-2)
    own = {name for name in plain if not name.startswith(shared)}
    assert_close({name: found[name] for name in own}, {name: plain[name] for name in own})


def cosine(first: Tensor, second: Tensor) -> float:
    return float(torch.cosine_similarity(first, second, dim=0))


def first_of_each(updates: list[PlannedUpdate]) -> PlannedUpdate:
    flat = [batch for update in updates for batch in update]
    return tuple(next(batch for batch in flat if batch.task == name) for name in TASKS)


@pytest.mark.parametrize(
    ("sampler", "surgery"), [(MIXED, "pcgrad"), (MIXED, "gradvac"), (MIXED, "none"), ({"name": "uniform"}, "none")]
)
def test_cosines_are_those_of_the_tasks_gradients(start: Start, sampler: dict[str, Any], surgery: str) -> None:
    training = {**UNEVEN, "interference_interval": 100}
    parts = start(**STILL, sampler=sampler, surgery={"name": surgery}, training=training)
    parts.state.progress.step = 99  # so that the first update is measured, and no other
    updates = plan(parts)
    batches = first_of_each(updates)  # of the first update where that has all
    rows = {name: encoder_vector(parts, mean_loss(parts, name, batches)) for name in TASKS}
    expected = [Interference(a, b, pytest.approx(cosine(rows[a], rows[b]), abs=1e-4), 1) for a, b in pairs()]
    assert list(train_updates(parts, updates).interference) == expected


def pairs() -> Iterator[tuple[str, str]]:
    return combinations(TASKS, 2)


@pytest.mark.parametrize("sampler", [MIXED, {"name": "uniform"}])
def test_measuring_interference_changes_no_bit_of_training(start: Start, sampler: dict[str, Any]) -> None:
    def run(interval: int | None) -> tuple[Any, Any, Any]:
        parts = start(
            encoder={"dropout": 0.3},
            sampler=sampler,
            training={"interference_interval": interval},
        )
        reports = list(fit(parts))
        return numbers(reports), snapshot(parts.state.model), [report.interference for report in reports]

    plain, measured = run(None), run(1)
    assert measured[0] == plain[0]
    assert_equal(measured[1], plain[1])
    assert plain[2] == [(), ()]
    for told in measured[2]:
        assert [(pair.task_a, pair.task_b) for pair in told] == list(pairs())
        assert all(pair.num_measurements == 18 // (3 if sampler is MIXED else 1) for pair in told)


def test_one_task_alone_is_compared_with_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtsearch.training.updates._compare_tasks", None)
    parts = start(tasks={"sentiment": STILL["tasks"]["sentiment"]}, training={"interference_interval": 1, "epochs": 1})
    (report,) = fit(parts)
    assert report.interference == ()


@pytest.mark.parametrize("regularizers", [{"smart": {"weight": 0.0}}, {"proximal": {"weight": 0.0}}])
def test_a_regulariser_that_is_switched_off_trains_bit_for_bit_as_none(
    start: Start, regularizers: dict[str, Any]
) -> None:
    plain, off = start(), start(regularizers=regularizers)
    assert numbers(list(fit(off))) == numbers(list(fit(plain)))
    assert_equal(snapshot(off.state.model), snapshot(plain.state.model))


def test_smart_turns_the_gradient_and_is_told_beside_the_loss(start: Start) -> None:
    sections = {**STILL, "sampler": MIXED, "training": UNEVEN}
    plain, smart = start(**sections), start(**sections, regularizers={"smart": {"weight": 10.0}})
    update = uneven_update(plain)
    without, with_penalty = run_update(plain, update), run_update(smart, update)
    assert with_penalty.keys() == without.keys()
    assert all(not torch.allclose(with_penalty[n], without[n], rtol=1e-4, atol=0) for n in without if "word" in n)
    reports = [next(fit(parts)) for parts in (start(**sections), start(**sections, regularizers={"smart": {}}))]
    assert values(reports[1], "smart_penalty")[""] > 0
    assert "smart_penalty" not in {m.metric for m in reports[0].measurements}


def test_the_loss_that_is_told_holds_no_penalty(start: Start) -> None:
    sections = {**STILL, "sampler": MIXED, "training": UNEVEN}
    plain, penalised = start(**sections), start(**sections)
    penalised.state.regularizers = [SmallLogits()]
    told = [train_updates(parts, [uneven_update(parts)]).measurements for parts in (plain, penalised)]
    assert told[0] == told[1]


@pytest.mark.parametrize("surgery", ["none", "pcgrad"])
def test_curvature_is_of_the_loss_that_the_update_descends(start: Start, surgery: str) -> None:
    parts = start(
        **STILL,
        sampler=MIXED,
        surgery={"name": surgery},
        training=UNEVEN,
        optimizer={"name": "sophiah", "hessian_batch_ratio": 1.0},
    )
    parts.state.weighting = FixedWeights({"sentiment": 0.5, "paraphrase": 2.0, "similarity": 1.0})
    parts.state.regularizers = [SmallLogits()]  # which is no part of it
    update = uneven_update(parts)
    weighted = [parts.state.weighting.weight(name) * mean_loss(parts, name, update) for name in TASKS]
    expected = sum(weighted, torch.zeros(()))
    seen: list[tuple[Tensor, Gradients]] = []
    optimizer = parts.state.optimizer.optimizer

    def look(loss: Callable[[], Tensor], reduce: object) -> None:
        value = loss()
        seen.append((value.detach(), gradient(parts, value)))

    optimizer.estimate_curvature = look
    by_hand = gradient(parts, expected)
    run_update(parts, update)
    ((value, found),) = seen
    torch.testing.assert_close(value, expected.detach())
    assert_close(found, by_hand)


@pytest.mark.parametrize(("ratio", "num_rows"), [(0.1, 1), (0.25, 2), (0.4, 3), (0.7, 6), (1.0, 8)])
def test_curvature_is_estimated_on_a_share_of_each_batch(
    start: Start, ratio: float, num_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = start(**STILL, sampler=MIXED, optimizer={"name": "sophiah", "hessian_batch_ratio": ratio})
    update = plan(parts)[0]
    asked: list[list[int]] = []
    batch_of, optimizer = parts.prefix.batch, parts.state.optimizer.optimizer

    def look(split: Any, rows: Any) -> Any:
        asked.append(rows.tolist())
        return batch_of(split, rows)

    monkeypatch.setattr(parts.prefix, "batch", look)
    optimizer.estimate_curvature = lambda loss, reduce: (asked.clear(), loss())
    train_updates(parts, [update])
    assert [len(rows) for rows in asked] == [num_rows] * 3
    for rows, batch in zip(asked, update, strict=True):
        assert len(set(rows)) == len(rows)
        assert set(rows) <= set(batch.rows.tolist())


def test_what_sophiah_measures_is_in_every_report(start: Start) -> None:
    reports = list(fit(start(optimizer={"name": "sophiah", "hessian_interval": 5})))
    for report in reports:
        assert 0 <= values(report, "clipped_fraction")[""] <= 1
        assert np.isfinite(values(report, "mean_hessian")[""])


def test_an_overflow_of_fp16_does_not_count_in_the_gradients_norm(start: Start) -> None:
    parts = start(sampler=MIXED)
    norms = iter([torch.tensor(float("inf")), torch.tensor(2.0), torch.tensor(4.0)])
    parts.accelerator.clip_grad_norm_ = lambda *_: next(norms)
    told = train_updates(parts, plan(parts)[:3]).measurements
    assert [m.value for m in told if m.metric == "gradient_norm"] == [3.0]


def test_mixed_updates_tell_how_many_tasks_they_hold(start: Start) -> None:
    parts = start(**STILL, sampler={"name": "proportional", "mixed": True, "examples_per_epoch": 24}, training=UNEVEN)
    updates = plan(parts)
    (told,) = (m.value for m in train_updates(parts, updates).measurements if m.metric == "tasks_per_update")
    assert told == sum(len({batch.task for batch in update}) for update in updates) / len(updates)
    alone = start(**STILL, training=UNEVEN)
    assert not [m for m in train_updates(alone, plan(alone)[:1]).measurements if m.metric == "tasks_per_update"]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"sampler": MIXED, "surgery": {"name": "pcgrad"}},
        {"optimizer": {"name": "sophiah", "lr": 1e-3, "hessian_interval": 2}},
        {"regularizers": {"proximal": {"weight": 1.0}}},
        {"training": {**UNEVEN, "individual_pretraining": {"epochs": 2}}},
    ],
    ids=["plain", "pcgrad", "sophiah", "proximal", "pretraining"],
)
def test_micro_batches_come_to_the_numbers_of_whole_batches(start: Start, sections: dict[str, Any]) -> None:
    training = {**UNEVEN, "gradient_clip": 1.0, "interference_interval": 3, "batch_size": 8}
    whole = start(**{**STILL, "training": training, **sections})
    split = start(**{**STILL, "training": training, **sections})
    split = replace(split, place=replace(split.place, micro_batch_size=3))
    sizes = []
    forward = split.state.model.forward

    def look(batch: Any) -> Any:
        sizes.append(len(batch.rows))
        return forward(batch)

    split.state.model.forward = look  # type: ignore[method-assign]
    expected, found = list(fit(whole)), list(fit(split))
    assert max(sizes) == 3
    for one, other in zip(numbers(expected), numbers(found), strict=True):
        assert other == pytest.approx(one, rel=2e-3, abs=2e-4)
    assert [pair.num_measurements for pair in found[-1].interference] == [
        pair.num_measurements for pair in expected[-1].interference
    ]
