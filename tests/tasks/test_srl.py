"""Semantic roles: losses by plain loops, what is read for which predicates, windows, propositions of files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.data.windows import windows_of
from mtsearch.errors import DataError
from mtsearch.tasks.bio import tags_of
from mtsearch.tasks.contract import Encoded, Inventory, Logits
from mtsearch.tasks.srl import BioArguments, Srl
from tests.tasks.decoding.batches import mask_of
from tests.tasks.structures import CASES, build_head, encoded, plain, sentence, targets_of

CASE = CASES["srl"]
TASK, AB = CASE.task, CASE.inventory
AGAIN = replace(CASE, task=Srl(data=TASK.data, head=BioArguments(reread_layers=1)))
TAGS = ["O", "B-A", "I-A", "B-B", "I-B"]
GOLD = [((1, ((0, 1, "A"), (2, 4, "B"))), (2, ())), ((0, ((1, 2, "A"),)),), ()]
LENGTHS = [4, 2, 1]


def rows() -> list[Any]:
    return [sentence(n, label) for n, label in zip(LENGTHS, GOLD, strict=True)]


def logits_of(values_BPWT: torch.Tensor, predicates_BW: torch.Tensor) -> Logits:
    """Of sentences that were read for every word as predicate."""
    mask_BW = mask_of(LENGTHS)
    pairs_BPW = mask_BW.unsqueeze(2) & mask_BW.unsqueeze(1)
    return Logits(values_BPWT, pairs_BPW, {"predicates": predicates_BW.masked_fill(~mask_BW, -1e4)})


def test_undecided_scores_cost_each_word_as_a_predicate_and_as_a_part_of_each_ones_arguments() -> None:
    targets = targets_of(TASK, rows(), AB)
    loss = TASK.loss(logits_of(torch.zeros(3, 4, 4, 5), torch.zeros(3, 4)), targets, AB)
    assert float(loss) == pytest.approx(7 * math.log(2) + (2 * 4 + 1 * 2) * math.log(5), rel=1e-5)
    assert float(TASK.loss_weight(targets, AB)) == 7


def test_the_loss_is_that_of_a_plain_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    values, predicates = torch.randn(3, 4, 4, 5, generator=rng), torch.randn(3, 4, generator=rng)
    expected = 0.0
    for row, (length, gold) in enumerate(zip(LENGTHS, GOLD, strict=True)):
        arguments = dict(gold)
        for word in range(length):
            share = predicates[row, word].sigmoid().item()
            expected -= math.log(share if word in arguments else 1 - share)
        for predicate, own in arguments.items():
            for word, tag in enumerate(tags_of(own, length)):
                expected -= math.log(values[row, predicate, word].softmax(-1)[TAGS.index(tag)].item())
    loss = TASK.loss(logits_of(values, predicates), targets_of(TASK, rows(), AB), AB)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_arguments_whose_label_train_lacks_are_no_targets() -> None:
    known = Inventory(("A",), (1,))
    assert TASK.unknown_labels(rows(), known) == {"B": 1}
    loss = TASK.loss(logits_of(torch.zeros(3, 4, 4, 3), torch.zeros(3, 4)), targets_of(TASK, rows(), known), known)
    assert float(loss) == pytest.approx(7 * math.log(2) + (2 * 4 + 1 * 2 - 2) * math.log(3), rel=1e-5)


def test_sentences_without_predicates_have_a_loss_and_a_prediction() -> None:
    bare = [sentence(2, ()), sentence(3, ())]
    head, targets = build_head(CASE).train(), targets_of(TASK, bare, AB)
    logits = head(encoded([2, 3], targets))
    loss = TASK.loss(logits, targets, AB)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = torch.nn.functional.softplus(logits.others["predicates"][mask_of([2, 3])]).sum()
    torch.testing.assert_close(loss, expected)
    nothing = replace(logits, others={"predicates": logits.others["predicates"].detach() - 1e3})
    expected_one = {"prediction": [], "with_gold_predicates": []}
    assert TASK.decode(nothing, AB, targets) == [expected_one, expected_one]


def test_predicates_are_the_words_that_are_more_likely_one_than_not() -> None:
    predicates = torch.tensor([[0.1, -0.1, 3.0, -3.0], [-1.0, 1.0, 5.0, 5.0], [-1.0, 5.0, 5.0, 5.0]])
    decoded = TASK.decode(logits_of(torch.zeros(3, 4, 4, 5), predicates), AB)
    assert [[word for word, _ in one["prediction"]] for one in decoded] == [[0, 2], [1], []]
    assert all(set(one) == {"prediction"} for one in decoded)


def test_gold_predicates_have_an_entry_of_their_own() -> None:
    sure = CASE.logits(rows())
    wrong = logits_of(sure.values, -sure.others["predicates"])
    decoded = TASK.decode(wrong, AB, targets_of(TASK, rows(), AB))
    assert [plain(one["with_gold_predicates"]) for one in decoded] == plain(GOLD)
    assert [[word for word, _ in one["prediction"]] for one in decoded] == [[0, 3], [1], [0]]


@settings(max_examples=40)
@given(st.integers(0, 1000))
def test_arguments_are_decoded_to_spans_that_do_not_overlap(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = logits_of(torch.randn(3, 4, 4, 5, generator=rng), torch.randn(3, 4, generator=rng))
    for one, length in zip(TASK.decode(logits, AB), LENGTHS, strict=True):
        read = TASK.wanted.read_label(one["prediction"], ("a",) * length)  # type: ignore[call-arg]
        assert plain(read) == plain(one["prediction"])


def head_that_finds_some() -> Any:
    """A random head for which some words, not all, are predicates."""
    head = build_head(CASE)
    torch.nn.init.constant_(head.predicate[1].bias, 1.0)
    return head


def test_arguments_are_learned_from_gold_predicates_and_read_for_predicted_ones_besides() -> None:
    targets, head = targets_of(TASK, rows(), AB), head_that_finds_some()
    batch = encoded(LENGTHS, targets)
    gold = torch.zeros(3, 4, dtype=torch.bool)
    for row, label in enumerate(GOLD):
        for predicate, _ in label:
            gold[row, predicate] = True
    training, evaluated = head.train()(batch), head.eval()(batch)
    assert torch.equal(training.mask.any(-1), gold)
    predicted = evaluated.others["predicates"] > 0
    assert 0 < predicted.sum() < sum(LENGTHS)
    assert torch.equal(evaluated.mask.any(-1), gold | predicted)


def test_what_is_predicted_does_not_depend_on_the_truth() -> None:
    head = head_that_finds_some()
    batch = encoded(LENGTHS, targets_of(TASK, rows(), AB))
    without = Encoded(batch.tokens_BLD, batch.mask_BL, batch.word_ids_BL)
    told, untold = TASK.decode(head(batch), AB, batch.targets), TASK.decode(head(without), AB)
    assert [one["prediction"] for one in told] == [one["prediction"] for one in untold]
    assert any(one["prediction"] for one in told)


def test_in_the_distance_every_word_counts_as_a_predicate_or_none() -> None:
    bare = [sentence(2, ())]
    head, batch = build_head(CASE).train(), encoded([2], targets_of(TASK, bare, AB))
    first = head(batch)
    other = first.with_rows([first.values, first.others["predicates"] + 1.0])
    log_p, log_q = (
        torch.stack([-one.others["predicates"], one.others["predicates"]]).sigmoid().log() for one in (first, other)
    )
    expected = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum()
    torch.testing.assert_close(TASK.distance(first, other, AB), expected)


def test_the_tokens_of_each_gold_predicate_are_marked_for_a_reading_of_its_own() -> None:
    head: Any = build_head(AGAIN).train()
    batch = encoded(LENGTHS, targets_of(TASK, rows(), AB))
    reading = head.reading(batch)
    assert reading.rows_N.tolist() == [0, 0, 1]
    assert batch.word_ids_BL is not None
    for added_LD, row, predicate in zip(reading.added_NLD, [0, 0, 1], [1, 2, 0], strict=True):
        is_marked_L = batch.word_ids_BL[row] == predicate
        assert torch.equal(added_LD[is_marked_L], head.mark.expand(int(is_marked_L.sum()), -1))
        assert not added_LD[~is_marked_L].any()


def test_tags_come_from_what_was_read_again() -> None:
    head: Any = build_head(AGAIN)
    batch = encoded(LENGTHS, targets_of(TASK, rows(), AB))
    row_N = head.reading(batch).rows_N
    assert batch.word_ids_BL is not None
    same = Encoded(batch.tokens_BLD[row_N], batch.mask_BL[row_N], batch.word_ids_BL[row_N])
    torch.testing.assert_close(head(batch, same).values, head(batch).values)
    other = head(batch, replace(same, tokens_BLD=same.tokens_BLD + 1.0))
    assert not torch.allclose(other.values, head(batch).values)
    assert torch.equal(other.others["predicates"], head(batch).others["predicates"])


def test_a_window_shows_its_predicates_and_of_their_arguments_what_lies_within() -> None:
    row = sentence(6, ((1, ((0, 1, "A"), (2, 4, "B"))), (3, ((2, 3, "A"), (4, 6, "B"))), (5, ())))
    shown = TASK.window(row, 1, 5)
    assert shown.words == ("b", "c", "d", "e")
    assert shown.label == ((0, ((1, 3, "B"),)), (2, ((1, 2, "A"),)))


def test_a_predicate_has_the_arguments_of_its_own_window() -> None:
    windows = windows_of([(0, 4), (2, 6)])  # the first three words, and the last three
    first = {"prediction": [(0, ((1, 2, "A"),)), (3, ())], "with_gold_predicates": [(1, ())]}
    second = {"prediction": [(0, ()), (1, ((0, 1, "B"), (3, 4, "A")))], "with_gold_predicates": []}
    merged = TASK.merge([first, second], windows, sentence(6, None))
    assert plain(merged) == {
        "prediction": [[0, [[1, 2, "A"]]], [3, [[2, 3, "B"], [5, 6, "A"]]]],
        "with_gold_predicates": [[1, []]],
    }


def test_propositions_are_sorted() -> None:
    raw = [[2, [[1, 2, "B"], [0, 1, "A"]]], [0, []]]
    assert TASK.wanted.read_label(raw, ("a", "b", "c")) == ((0, ()), (2, ((0, 1, "A"), (1, 2, "B"))))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ([(3, ())], "a predicate must be one of the 3 words, but is 3"),
        ([(-1, ())], "a predicate must be one of the 3 words, but is -1"),
        ([(0, ((0, 4, "A"),))], r"within the 3 words that do not overlap, but A is \[0, 4\)"),
        ([(0, ((0, 2, "A"), (1, 3, "B")))], r"that do not overlap, but B is \[1, 3\)"),
        ([(1, ()), (1, ())], "word 1 must be one predicate, but is two"),
    ],
)
def test_what_are_no_propositions_is_refused(raw: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TASK.wanted.read_label(raw, ("a", "b", "c"))  # type: ignore[call-arg]


def test_data_without_arguments_is_an_error() -> None:
    with pytest.raises(DataError, match="the training split must have arguments, but has none"):
        TASK.inventory([sentence(2, ((0, ()),))])


def test_a_prediction_is_written_as_json() -> None:
    line = TASK.render(sentence(2, None), {"prediction": [(1, ((0, 1, "A"),))]})
    assert json.loads(line) == {"tokens": ["a", "b"], "propositions": [{"predicate": 1, "arguments": [[0, 1, "A"]]}]}


def test_what_is_read_once_for_all_predicates_has_no_weight_that_marks_them() -> None:
    targets = targets_of(TASK, rows(), AB)
    head = build_head(CASE).train()
    TASK.loss(head(encoded(LENGTHS, targets)), targets, AB).backward()
    assert [name for name, weight in head.named_parameters() if weight.grad is None] == []
