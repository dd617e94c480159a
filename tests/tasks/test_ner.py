"""Entities: losses by plain loops, decoding without overlaps, labels as files have them, windows."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.data.windows import windows_of
from mtsearch.errors import DataError
from mtsearch.tasks.contract import Inventory, Logits
from tests.tasks.decoding.batches import mask_of
from tests.tasks.structures import sentence, targets_of, task_of

AB = Inventory(("A", "B"), (1, 1))
SPANS, BEST = task_of("ner"), task_of("ner", head={"name": "biaffine", "decoding": "best"})
BIO = task_of("ner", head={"name": "bio", "crf": False})
CRF = task_of("ner", head={"name": "bio"})
GOLD = [((0, 2, "A"), (2, 3, "B")), ((1, 2, "A"),)]
LENGTHS = [4, 2]


def spans_mask(lengths: list[int]) -> torch.Tensor:
    mask_BW = mask_of(lengths)
    return (mask_BW.unsqueeze(1) & mask_BW.unsqueeze(2)).triu()


def rows() -> list[Any]:
    return [sentence(n, label) for n, label in zip(LENGTHS, GOLD, strict=True)]


def test_undecided_scores_cost_each_span_or_each_word_the_logarithm_of_the_number_of_classes() -> None:
    targets = targets_of(SPANS, rows(), AB)
    spans = SPANS.loss(Logits(torch.zeros(2, 4, 4, 3), spans_mask(LENGTHS)), targets, AB)
    assert float(spans) == pytest.approx((10 + 3) * math.log(3))
    words = BIO.loss(Logits(torch.zeros(2, 4, 5), mask_of(LENGTHS)), targets, AB)
    assert float(words) == pytest.approx(6 * math.log(5))
    assert float(SPANS.loss_weight(targets, AB)) == 6


def test_the_loss_of_spans_is_that_of_a_plain_loop() -> None:
    values = torch.randn(2, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for row, (length, gold) in enumerate(zip(LENGTHS, GOLD, strict=True)):
        numbers = {(start, end): "AB".index(label) + 1 for start, end, label in gold}
        for start in range(length):
            for end in range(start + 1, length + 1):
                shares = values[row, start, end - 1].softmax(-1)
                expected -= math.log(float(shares[numbers.get((start, end), 0)]))
    loss = SPANS.loss(Logits(values, spans_mask(LENGTHS)), targets_of(SPANS, rows(), AB), AB)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_span_whose_label_train_lacks_has_no_target() -> None:
    known = Inventory(("A",), (1,))
    targets = targets_of(SPANS, rows(), known)
    assert SPANS.unknown_labels(rows(), known) == {"B": 1}
    spans = SPANS.loss(Logits(torch.zeros(2, 4, 4, 2), spans_mask(LENGTHS)), targets, known)
    assert float(spans) == pytest.approx((10 + 3 - 1) * math.log(2))
    words = BIO.loss(Logits(torch.zeros(2, 4, 3), mask_of(LENGTHS)), targets, known)
    assert float(words) == pytest.approx((6 - 1) * math.log(3))


@pytest.mark.parametrize("task", [SPANS, BEST, BIO], ids=["greedy", "best", "bio"])
@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(1, 6), min_size=1, max_size=2))
def test_what_is_decoded_lies_within_the_words_and_does_not_overlap(task: Any, seed: int, lengths: list[int]) -> None:
    rng, longest = torch.Generator().manual_seed(seed), max(lengths)
    if task is BIO:
        logits = Logits(torch.randn(len(lengths), longest, 5, generator=rng), mask_of(lengths))
    else:
        logits = Logits(torch.randn(len(lengths), longest, longest, 3, generator=rng), spans_mask(lengths))
    for one, length in zip(task.decode(logits, AB), lengths, strict=True):
        spans = one["prediction"]
        assert all(0 <= start < end <= length and label in AB.labels for start, end, label in spans)
        assert all(end <= start for (_, end, _), (start, _, _) in pairwise(spans))


def entity_logits(*scores: tuple[int, int, float]) -> Logits:
    """Of four words: the first label of these spans [start, end) scores so much more than none."""
    values = torch.zeros(1, 4, 4, 3)
    values[..., 0] = 1.0
    for start, end, score in scores:
        values[0, start, end - 1, 1] = 1.0 + score
    return Logits(values, spans_mask([4]))


def test_greedy_takes_the_highest_score_first_and_best_the_highest_sum() -> None:
    logits = entity_logits((0, 2, 2.0), (1, 3, 3.0), (2, 4, 2.0))
    assert SPANS.decode(logits, AB)[0]["prediction"] == [(1, 3, "A")]
    assert BEST.decode(logits, AB)[0]["prediction"] == [(0, 2, "A"), (2, 4, "A")]


def test_a_span_less_likely_than_none_is_no_entity() -> None:
    assert SPANS.decode(entity_logits((0, 1, 0.1), (2, 3, -0.1)), AB)[0]["prediction"] == [(0, 1, "A")]


def test_tags_are_decoded_to_well_formed_sequences() -> None:
    # Word by word O I-A I-B is best; an entity must begin, and go on with its own label.
    values = torch.zeros(1, 3, 5)  # O B-A I-A B-B I-B
    values[0, 0, 0] = 5.0
    values[0, 1, 2], values[0, 1, 1] = 5.0, 4.0
    values[0, 2, 4], values[0, 2, 2] = 5.0, 4.5
    assert BIO.decode(Logits(values, mask_of([3])), AB)[0]["prediction"] == ((1, 3, "A"),)


def test_transitions_of_a_crf_decide_where_scores_do_not() -> None:
    shared = {"transitions": torch.zeros(5, 5), "starts": torch.zeros(5), "ends": torch.zeros(5)}
    shared["transitions"][3, 4] = 2.0  # B-B I-B
    shared["starts"][3] = 1.0
    (one,) = CRF.decode(Logits(torch.zeros(1, 2, 5), mask_of([2]), shared=shared), AB)
    assert one["prediction"] == ((0, 2, "B"),)


@pytest.mark.parametrize(
    ("raw", "spans"),
    [
        (["B-PER", "I-PER", "O"], ((0, 2, "PER"),)),
        (["I-PER", "O", "S-LOC"], ((0, 1, "PER"), (2, 3, "LOC"))),
        ([[2, 3, "LOC"], [0, 2, "PER"]], ((0, 2, "PER"), (2, 3, "LOC"))),
        ([], ()),
    ],
)
def test_entities_are_read_from_tags_of_any_scheme_and_from_spans(raw: Any, spans: Any) -> None:
    assert SPANS.wanted.read_label(raw, ("a", "b", "c")) == spans  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (["O"], r"as many as the words \(3\), but are 1"),
        (["O", "X-PER", "O"], "a tag must be O, or one of"),
        ([[0, 4, "PER"]], "within the 3 words"),
        ([[1, 1, "PER"]], "within the 3 words"),
        ([[0, 2, "PER"], [1, 3, "LOC"]], r"entities must not overlap, but \[0, 2\) and \[1, 3\) do"),
    ],
)
def test_what_is_no_set_of_entities_is_refused(raw: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SPANS.wanted.read_label(raw, ("a", "b", "c"))  # type: ignore[call-arg]


def test_data_without_entities_is_an_error() -> None:
    with pytest.raises(DataError, match="the training split must have entities, but all its tags are O"):
        SPANS.inventory([sentence(2, ())])


def test_an_entity_belongs_to_the_window_of_its_middle() -> None:
    windows = windows_of([(0, 6), (3, 9)])  # the words from the fifth on are the second's
    first = {"prediction": [(0, 1, "A"), (2, 6, "B")]}  # in the middle of the second one stands word 3
    second = {"prediction": [(0, 1, "A"), (0, 4, "B"), (5, 6, "B")]}
    merged = SPANS.merge([first, second], windows, sentence(9, None))
    assert merged["prediction"] == [(0, 1, "A"), (2, 6, "B"), (8, 9, "B")]
    only_second = SPANS.merge([{"prediction": []}, second], windows, sentence(9, None))
    assert only_second["prediction"] == [(3, 7, "B"), (8, 9, "B")]


def test_a_window_shows_the_entities_within_it() -> None:
    shown = SPANS.window(sentence(6, ((0, 2, "A"), (2, 4, "B"), (4, 6, "A"))), 1, 5)
    assert shown.words == ("b", "c", "d", "e")
    assert shown.label == ((1, 3, "B"),)


def test_a_prediction_is_written_as_columns() -> None:
    lines = SPANS.render(sentence(3, None), {"prediction": [[1, 3, "PER"]]}).split("\n")
    assert lines == ["a\tO", "b\tB-PER", "c\tI-PER", ""]
