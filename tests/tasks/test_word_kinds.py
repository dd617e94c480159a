"""What holds of every kind of task on words, whichever its task head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.data.examples import Example
from mtsearch.tasks.contract import Inventory, Logits
from tests.tasks.structures import CASES, Case, build_head, encoded, plain, row_of, sentence, sentences, targets_of

of_each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
some = settings(max_examples=30)

LABELS = {
    "tagging": [("A", "B", "C", "A"), ("C",), ("B", "B")],
    "ner": [((0, 2, "A"), (3, 4, "B")), (), ((1, 2, "B"),)],
    "dependency": [((2, "A"), (0, "B"), (4, "C"), (2, "A")), ((0, "A"),), ((0, "B"), (1, "C"))],
    "constituency": [
        (("NN",) * 4, ((0, 4, "A"), (0, 4, "B"), (0, 2, "A"), (3, 4, "B"))),
        (("NN",), ()),
        (("NN",) * 2, ((0, 2, "B"),)),
    ],
    "srl": [((1, ((0, 1, "A"), (2, 4, "B"))), (2, ())), (), ((0, ((1, 2, "A"),)),)],
}
LENGTHS = (4, 1, 2)


def rows_of(case: Case) -> list[Example]:
    return [sentence(n, label) for n, label in zip(LENGTHS, LABELS[case.task.kind], strict=True)]


def structure(case: Case, label: object) -> object:
    """What of a label is predicted."""
    return plain(label)[1] if case.task.kind == "constituency" else plain(label)  # type: ignore[index]


def total_loss(case: Case, logits: Logits, rows: Sequence[Example], inventory: Inventory | None = None) -> Tensor:
    inventory = inventory or case.inventory
    return case.task.loss(logits, targets_of(case.task, rows, inventory), inventory)


@of_each_case
@some
@given(data=st.data())
def test_scores_that_leave_no_doubt_cost_nothing_and_decode_to_gold(case: Case, data: st.DataObject) -> None:
    rows = data.draw(sentences(case))
    logits = case.logits(rows)
    assert float(total_loss(case, logits, rows)) == pytest.approx(0, abs=1e-3)
    decoded = case.task.decode(logits, case.inventory)
    assert [structure(case, one["prediction"]) for one in decoded] == [structure(case, row.label) for row in rows]


@of_each_case
@some
@given(data=st.data())
def test_any_other_label_costs_as_much_as_the_scores_are_sure(case: Case, data: st.DataObject) -> None:
    (row,) = data.draw(sentences(case).filter(lambda rows: len(rows) == 1))
    other = data.draw(case.labels(len(row.words or ())).map(lambda label: sentence(len(row.words or ()), label)))
    if structure(case, row.label) != structure(case, other.label):
        assert float(total_loss(case, case.logits([row]), [other])) > 30


@of_each_case
@pytest.mark.parametrize("seed", range(2))
def test_a_batch_is_its_rows_whatever_stands_in_the_padding(case: Case, seed: int) -> None:
    rows, head = rows_of(case), build_head(case, seed)
    targets = targets_of(case.task, rows, case.inventory)
    batch = encoded(LENGTHS, targets, seed)
    batch.tokens_BLD[~batch.mask_BL] = 1e3
    logits = head(batch)
    loss, weight = case.task.loss(logits, targets, case.inventory), case.task.loss_weight(targets, case.inventory)
    decoded = case.task.decode(logits, case.inventory, targets)
    assert float(weight) == sum(LENGTHS)
    alone = []
    for number, row in enumerate(rows):
        own = targets_of(case.task, [row], case.inventory)
        logits = head(row_of(batch, number, own))
        alone.append(case.task.loss(logits, own, case.inventory))
        assert plain(case.task.decode(logits, case.inventory, own)) == plain(decoded[number : number + 1])
    torch.testing.assert_close(loss, torch.stack(alone).sum())


@of_each_case
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_are_finite_and_none_goes_into_the_padding(case: Case, autocast: bool) -> None:
    rows, head = rows_of(case), build_head(case).train()
    targets = targets_of(case.task, rows, case.inventory)
    batch = encoded(LENGTHS, targets)
    batch.tokens_BLD.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        logits = head(batch)
        loss = case.task.loss(logits, targets, case.inventory)
        case.task.decode(logits, case.inventory, targets)
    assert loss.dtype == torch.float32
    assert loss.item() > 0
    loss.backward()
    assert batch.tokens_BLD.grad is not None
    assert batch.tokens_BLD.grad.isfinite().all()
    assert not batch.tokens_BLD.grad[~batch.mask_BL].any()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert any(p.grad.any() for p in head.parameters() if p.grad is not None)


@of_each_case
def test_an_untrained_head_learns_from_its_first_step(case: Case) -> None:
    # The matrices of biaffine scores start at zero.
    rows = rows_of(case)
    targets = targets_of(case.task, rows, case.inventory)
    torch.manual_seed(0)
    head = case.task.build_head(8, "mean", case.inventory)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        loss = case.task.loss(head(encoded(LENGTHS, targets)), targets, case.inventory)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@of_each_case
def test_predictions_are_json(case: Case) -> None:
    rows = rows_of(case)
    targets = targets_of(case.task, rows, case.inventory)
    for logits in (case.logits(rows), build_head(case)(encoded(LENGTHS, targets))):
        for one in case.task.decode(logits, case.inventory, targets):
            assert json.loads(json.dumps(one)) == plain(one)


@of_each_case
def test_labels_that_train_lacks_are_counted_and_are_no_targets(case: Case) -> None:
    rows = rows_of(case)
    known = Inventory(case.inventory.labels[:1], case.inventory.counts[:1])
    unknown = case.task.unknown_labels(rows, known)
    assert unknown
    assert not set(unknown) & set(known.labels)
    assert not case.task.unknown_labels(rows, case.inventory)
    head = case.task.build_head(8, "mean", known)
    targets = targets_of(case.task, rows, known)
    loss = case.task.loss(head(encoded(LENGTHS, targets)), targets, known)
    assert 0 <= loss.item() < float("inf")
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


@of_each_case
def test_the_distance_is_nothing_between_equals_and_something_between_others(case: Case) -> None:
    head, targets = build_head(case), targets_of(case.task, rows_of(case), case.inventory)
    batch = encoded(LENGTHS, targets)
    first, second = head(batch), head(encoded(LENGTHS, targets, seed=1))
    assert case.task.distance(first, first.detached(), case.inventory).item() == 0
    there, back = (case.task.distance(*pair, case.inventory) for pair in ((first, second), (second, first)))
    assert there.item() > 0
    torch.testing.assert_close(there, back)
    nearly = first.with_rows([scores + 1e-3 * torch.randn_like(scores) for scores in first.of_rows])
    assert 0 < case.task.distance(first, nearly, case.inventory).item() < 0.1 * there.item()


@of_each_case
def test_the_distance_has_finite_gradients_and_passes_over_the_padding(case: Case) -> None:
    head, targets = build_head(case), targets_of(case.task, rows_of(case), case.inventory)
    batches = [encoded(LENGTHS, targets, seed) for seed in (0, 1)]
    distances = []
    for stuff in (0.0, 1e3):
        for batch in batches:
            batch.tokens_BLD.requires_grad_(False)[~batch.mask_BL] = stuff
            batch.tokens_BLD.requires_grad_()
        distance = case.task.distance(*(head(batch) for batch in batches), case.inventory)
        distance.backward()
        distances.append(distance.item())
        for batch in batches:
            assert batch.tokens_BLD.grad is not None
            assert batch.tokens_BLD.grad.isfinite().all()
            assert not batch.tokens_BLD.grad[~batch.mask_BL].any()
    assert distances[0] == pytest.approx(distances[1])
