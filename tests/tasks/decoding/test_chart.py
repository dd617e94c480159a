"""CKY and the inside algorithm, against all binary trees of short sentences."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.tasks.decoding.chart import best_brackets, log_partition
from tests.tasks.decoding.batches import SCORES, mask_of, random_scores

LENGTHS = st.lists(st.integers(0, 7), min_size=1, max_size=3)
Brackets = list[tuple[int, int]]


@functools.cache
def all_trees(start: int, end: int) -> list[Brackets]:
    """Every binary tree over these words, its spans in pre-order; of no words, the one without spans."""
    if end - start <= 1:
        return [[(start, end)] if end > start else []]
    return [
        [(start, end), *left, *right]
        for middle in range(start + 1, end)
        for left in all_trees(start, middle)
        for right in all_trees(middle, end)
    ]


def scores_of_trees(scores_WW: Tensor, length: int) -> Tensor:
    """Of all trees of a sentence, in double precision."""
    wide = scores_WW.tolist()
    sums = [sum(wide[start][end - 1] for start, end in tree) for tree in all_trees(0, length)]
    return torch.tensor(sums, dtype=torch.float64)


def random_spans(kind: str, seed: int, lengths: list[int]) -> Tensor:
    return random_scores(kind, seed, len(lengths), max(lengths), max(lengths))


def log_catalan(n: int) -> float:
    return math.lgamma(2 * n + 1) - math.lgamma(n + 1) - math.lgamma(n + 2)


@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_best_brackets_are_the_best_of_all_binary_trees(kind: str, seed: int, lengths: list[int]) -> None:
    scores = random_spans(kind, seed, lengths)
    for row, brackets in enumerate(best_brackets(scores, mask_of(lengths))):
        trees, of_trees = all_trees(0, lengths[row]), scores_of_trees(scores[row], lengths[row])
        assert brackets in trees
        assert float(of_trees[trees.index(brackets)]) == pytest.approx(float(of_trees.max()), abs=1e-4)


@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_partition_is_the_sum_over_all_binary_trees(kind: str, seed: int, lengths: list[int]) -> None:
    scores = random_spans(kind, seed, lengths)
    expected = [scores_of_trees(own, length).logsumexp(0) for own, length in zip(scores, lengths, strict=True)]
    torch.testing.assert_close(log_partition(scores, mask_of(lengths)), torch.stack(expected).float())


@settings(max_examples=50)
@given(SCORES, st.integers(0, 10_000), LENGTHS.filter(any))
def test_gradients_are_the_marginals_of_spans(kind: str, seed: int, lengths: list[int]) -> None:
    scores = random_spans(kind, seed, lengths).requires_grad_()
    total = log_partition(scores, mask_of(lengths))
    total.where(total.isfinite(), 0).sum().backward()
    expected = torch.zeros_like(scores)
    for row, length in enumerate(lengths):
        if total[row].isfinite():
            shares = scores_of_trees(scores[row], length).softmax(0).tolist()
            for tree, share in zip(all_trees(0, length), shares, strict=True):
                for start, end in tree:
                    expected[row, start, end - 1] += share
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, expected, rtol=1e-3, atol=1e-5)


def test_the_marginals_of_a_long_sentence_sum_to_its_number_of_spans() -> None:
    lengths = [130, 47]
    scores = random_spans("plain", 0, lengths).requires_grad_()
    log_partition(scores, mask_of(lengths)).sum().backward()
    assert scores.grad is not None
    assert scores.grad.sum((1, 2)).tolist() == pytest.approx([2 * length - 1 for length in lengths], rel=1e-4)


def test_without_scores_it_counts_the_trees() -> None:
    lengths = [1, 2, 12, 60]
    found = log_partition(torch.zeros(4, 60, 60), mask_of(lengths))
    assert found.tolist() == pytest.approx([log_catalan(length - 1) for length in lengths], rel=1e-5)


def test_second_derivatives_are_right_where_spans_are_forbidden() -> None:
    scores = random_spans("plain", 0, [5, 2]).double().requires_grad_()
    never = torch.zeros(5, 5, dtype=torch.bool)
    never[0, 1] = never[1, 2] = True  # so that no tree has a span of words 0 to 2 either

    def total(free: Tensor) -> Tensor:
        return log_partition(free.masked_fill(never, -torch.inf), mask_of([5, 2]))[0]

    assert torch.autograd.gradcheck(total, scores)
    assert torch.autograd.gradgradcheck(total, scores)


def test_a_sentence_without_any_tree_has_a_finite_gradient() -> None:
    scores = torch.full((2, 3, 3), -torch.inf, requires_grad=True)
    total = log_partition(scores, mask_of([3, 2]))
    total.sum().backward()
    assert total.tolist() == [-torch.inf, -torch.inf]
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("filler", [0.0, 1e9, torch.nan, torch.inf, -torch.inf])
def test_a_sentence_comes_out_as_it_does_alone_whatever_the_padding_holds(filler: float) -> None:
    lengths = [6, 0, 4, 1]
    mask = mask_of(lengths)
    is_span = (mask.unsqueeze(1) & mask.unsqueeze(2)).triu()
    scores = random_spans("plain", 1, lengths).masked_fill(~is_span, filler).requires_grad_()
    brackets, totals = best_brackets(scores, mask), log_partition(scores, mask)
    totals.sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad[~is_span].eq(0).all()
    for row, length in enumerate(lengths):
        alone, own_mask = scores[row : row + 1, :length, :length], mask[row : row + 1, :length]
        assert [brackets[row]] == best_brackets(alone, own_mask)
        torch.testing.assert_close(totals[row], log_partition(alone, own_mask)[0])


def test_a_sentence_without_words_has_one_tree_which_has_no_spans() -> None:
    scores, mask = torch.zeros(2, 0, 0), mask_of([0, 0])
    assert best_brackets(scores, mask) == [[], []]
    assert log_partition(scores, mask).tolist() == [0, 0]


def test_what_is_not_a_number_is_not_hidden_and_leaves_the_brackets_a_tree() -> None:
    scores = random_spans("plain", 0, [5, 5])
    scores[0, 1, 3] = torch.nan
    mask = mask_of([5, 5])
    assert log_partition(scores, mask).isnan().tolist() == [True, False]
    assert best_brackets(scores, mask)[0] in all_trees(0, 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_in_half_precision_are_summed_in_single(dtype: torch.dtype) -> None:
    scores, mask = random_spans("plain", 0, [30, 12]).to(dtype), mask_of([30, 12])
    assert best_brackets(scores, mask) == best_brackets(scores.float(), mask)
    torch.testing.assert_close(log_partition(scores, mask), log_partition(scores.float(), mask), rtol=0, atol=0)
