"""Spans that do not overlap: the best set of them, and the greedy one.

Arguments of both functions:
    scores_BWW: [b, i, j] of the span from word i to word j, both counted in; what is below the diagonal does not count.
        Only spans with scores above 0 are taken, so that a score is what the span gains over leaving it out.
    mask_BW: True for the words of a sentence, which come before its padding.

Both give, for each sentence, the spans as (start, end) with the end left out, in order.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["best_spans", "greedy_spans"]


@torch.no_grad()
def best_spans(scores_BWW: Tensor, mask_BW: Tensor) -> list[list[tuple[int, int]]]:
    """The spans with the highest sum of scores, none of which overlap: weighted interval scheduling, exact."""
    by_end_BWW = _candidates(scores_BWW, mask_BW).transpose(1, 2).contiguous()
    num_sentences, num_words = mask_BW.shape
    best_BN = by_end_BWW.new_zeros(num_sentences, num_words + 1)  # of the first n words
    starts_BW = torch.full_like(mask_BW, -1, dtype=torch.long)  # of the span that ends there; -1 for none
    for last in range(num_words):
        taking_B, start_B = (best_BN[:, : last + 1] + by_end_BWW[:, last, : last + 1]).max(-1)
        leaving_B = best_BN[:, last]
        takes_B = taking_B > leaving_B
        best_BN[:, last + 1] = taking_B.where(takes_B, leaving_B)
        starts_BW[:, last] = start_B.where(takes_B, -1)
    return [_from_the_end(starts) for starts in starts_BW.tolist()]


@torch.no_grad()
def greedy_spans(scores_BWW: Tensor, mask_BW: Tensor) -> list[list[tuple[int, int]]]:
    """The spans with the highest scores, each unless it overlaps one before; of equal ones, the first and shortest."""
    scores_BWW = _candidates(scores_BWW, mask_BW)
    places = (scores_BWW > 0).nonzero(as_tuple=True)
    order = scores_BWW[places].argsort(descending=True, stable=True)
    taken: list[list[tuple[int, int]]] = [[] for _ in range(len(mask_BW))]
    covered = [0] * len(taken)  # words of each sentence, as bits
    for row, start, last in torch.stack(places, -1)[order].tolist():
        words = (1 << (last + 1)) - (1 << start)
        if not covered[row] & words:
            covered[row] |= words
            taken[row].append((start, last + 1))
    return [sorted(spans) for spans in taken]


def _candidates(scores_BWW: Tensor, mask_BW: Tensor) -> Tensor:
    """The scores, at least in single precision; -inf for what is no span of the sentence, or not a number."""
    scores_BWW = scores_BWW.to(torch.promote_types(scores_BWW.dtype, torch.float32))
    is_span_BWW = (mask_BW.unsqueeze(2) & mask_BW.unsqueeze(1)).triu()
    return scores_BWW.where(is_span_BWW & ~scores_BWW.isnan(), -torch.inf)


def _from_the_end(starts: list[int]) -> list[tuple[int, int]]:
    """The spans of one sentence, from the start of the best one that ends at each word; -1 for none."""
    found, end = [], len(starts)
    while end:
        start = starts[end - 1]
        if start >= 0:
            found.append((start, end))
        end = start if start >= 0 else end - 1
    return found[::-1]
