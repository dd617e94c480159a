"""Spans that do not overlap: against all sets of them, and the greedy rule as it is said."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.tasks.decoding.spans import best_spans, greedy_spans
from tests.tasks.decoding.batches import SCORES, mask_of, random_scores

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=4)
DECODERS = [best_spans, greedy_spans]
Spans = list[tuple[int, int]]
Decoder = Callable[[Tensor, Tensor], list[Spans]]


@functools.cache
def all_sets(start: int, end: int) -> list[Spans]:
    """Every set of spans of these words that do not overlap."""
    if start == end:
        return [[]]
    with_first = [
        [(start, middle), *others] for middle in range(start + 1, end + 1) for others in all_sets(middle, end)
    ]
    return all_sets(start + 1, end) + with_first


def total(scores_WW: Tensor, spans: Spans) -> float:
    return float(sum(scores_WW[start, end - 1].double() for start, end in spans))


def random_spans(kind: str, seed: int, lengths: list[int]) -> Tensor:
    return random_scores(kind, seed, len(lengths), max(lengths), max(lengths))


@settings(max_examples=50)
@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_best_spans_are_the_best_of_all_sets(kind: str, seed: int, lengths: list[int]) -> None:
    scores = random_spans(kind, seed, lengths)
    for row, spans in enumerate(best_spans(scores, mask_of(lengths))):
        assert spans in all_sets(0, lengths[row])
        highest = max(total(scores[row], others) for others in all_sets(0, lengths[row]))
        assert total(scores[row], spans) == pytest.approx(highest, abs=1e-4)
        assert all(scores[row, start, end - 1] > 0 for start, end in spans)


@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_greedy_spans_are_taken_one_after_the_other(kind: str, seed: int, lengths: list[int]) -> None:
    scores = random_spans(kind, seed, lengths)
    for row, spans in enumerate(greedy_spans(scores, mask_of(lengths))):
        places = [(start, end) for start in range(lengths[row]) for end in range(start + 1, lengths[row] + 1)]
        taken: Spans = []
        for start, end in sorted(places, key=lambda place: -float(scores[row, place[0], place[1] - 1])):
            apart = all(end <= other_start or other_end <= start for other_start, other_end in taken)
            if apart and scores[row, start, end - 1] > 0:
                taken.append((start, end))
        assert spans == sorted(taken)


def test_two_spans_against_one_that_scores_more_than_either() -> None:
    scores = torch.full((1, 4, 4), -1.0)
    scores[0, 0, 1], scores[0, 1, 2], scores[0, 2, 3] = 2.0, 3.0, 2.0
    assert best_spans(scores, mask_of([4])) == [[(0, 2), (2, 4)]]
    assert greedy_spans(scores, mask_of([4])) == [[(1, 3)]]


@pytest.mark.parametrize("decode", DECODERS)
def test_spans_that_gain_nothing_are_left_out(decode: Decoder) -> None:
    scores = torch.zeros(2, 5, 5)
    scores[1, 2, 2] = torch.nan
    assert decode(scores, mask_of([5, 5])) == [[], []]


@pytest.mark.parametrize("decode", DECODERS)
def test_what_is_not_a_number_hides_no_other_span(decode: Decoder) -> None:
    scores = torch.full((1, 3, 3), torch.nan)
    scores[0, 1, 2] = 1.0
    assert decode(scores, mask_of([3])) == [[(1, 3)]]


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("filler", [9.0, torch.nan, torch.inf])
def test_a_sentence_comes_out_as_it_does_alone_whatever_the_padding_holds(decode: Decoder, filler: float) -> None:
    lengths = [7, 0, 4, 1]
    mask = mask_of(lengths)
    is_span = (mask.unsqueeze(1) & mask.unsqueeze(2)).triu()
    scores = random_spans("plain", 2, lengths).masked_fill(~is_span, filler)
    together = decode(scores, mask)
    assert any(together)
    for row, length in enumerate(lengths):
        alone = decode(scores[row : row + 1, :length, :length], mask[row : row + 1, :length])
        assert [together[row]] == alone


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_in_half_precision_are_summed_in_single(decode: Decoder, dtype: torch.dtype) -> None:
    scores = torch.full((1, 2, 2), -1.0, dtype=dtype)
    scores[0, 0, 0], scores[0, 1, 1] = 4096.0, 1.0  # their sum in half precision is 4096
    assert decode(scores, mask_of([2])) == [[(0, 1), (1, 2)]]


@pytest.mark.parametrize("decode", DECODERS)
def test_a_batch_without_words_has_no_spans(decode: Decoder) -> None:
    assert decode(torch.zeros(2, 0, 0), mask_of([0, 0])) == [[], []]
