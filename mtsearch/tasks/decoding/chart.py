"""Binary bracketings of a sentence: the best one, and the sum over all of them, as a tree CRF wants it.

A binary tree over n words has 2n - 1 spans, the single words and the whole among them; its score is the sum of theirs.

Arguments of both functions:
    scores_BWW: [b, i, j] of the span from word i to word j, both counted in; what is below the diagonal does not count.
    mask_BW: True for the words of a sentence, which come before its padding.

Source: the stripes of Rush (2020), "Torch-Struct" (arXiv 2002.00876), after CKY.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["best_brackets", "log_partition"]


@torch.no_grad()
def best_brackets(scores_BWW: Tensor, mask_BW: Tensor) -> list[list[tuple[int, int]]]:
    """The spans of each sentence's best binary tree, (start, end) with the end left out, in pre-order.

    Where a span is forbidden (-inf), no tree has it unless all trees have such spans.
    """
    splits: list[list[list[int]]] = []  # by width, from 2; sentence; start: words of the left part, less one

    def highest(sums_BSP: Tensor) -> Tensor:
        values_BS, split_BS = sums_BSP.max(-1)
        splits.append(split_BS.tolist())
        return values_BS

    _chart(scores_BWW, mask_BW, highest)
    return [
        _brackets([widths[row] for widths in splits], length) for row, length in enumerate(mask_BW.sum(-1).tolist())
    ]


def log_partition(scores_BWW: Tensor, mask_BW: Tensor) -> Tensor:
    """log Σ exp(score) over all binary trees of each sentence [B], by the inside algorithm; twice differentiable.

    The gradients are the marginals of the spans. A sentence without words has 0.
    """
    chart_BSN = _chart(scores_BWW, mask_BW, _log_sum)
    going_on_BW = torch.nn.functional.pad(mask_BW[:, 1:], (0, 1))
    is_whole_BN = mask_BW & ~going_on_BW  # as many words as the sentence has
    return chart_BSN[:, :1].where(is_whole_BN.unsqueeze(1), 0).sum((1, 2))


def _chart(scores_BWW: Tensor, mask_BW: Tensor, over_splits: Callable[[Tensor], Tensor]) -> Tensor:
    """What each span's subtrees come to: [b, i, n - 1] of the span of n words from word i.

    Args:
        scores_BWW: as above.
        mask_BW: as above.
        over_splits: from the sums of both parts, [B, spans, splits], to one value for each span, [B, spans].
    """
    within_BWW = mask_BW.unsqueeze(2) & mask_BW.unsqueeze(1)
    scores_BWW = scores_BWW.to(torch.promote_types(scores_BWW.dtype, torch.float32)).where(within_BWW, 0)
    num_words = scores_BWW.shape[-1]
    # Every value is written twice, such that the left parts of a span, and its right parts in the same order, lie side
    # by side: in a row by start and number of words, and in one by the last word and the number of words from above.
    from_start_BSN, to_end_BEN = torch.zeros_like(scores_BWW), torch.zeros_like(scores_BWW)
    for width in range(1, num_words + 1):
        num_spans = num_words - width + 1
        values_BS = scores_BWW.diagonal(width - 1, 1, 2)
        if width > 1:
            left_BSP = from_start_BSN[:, :num_spans, : width - 1]
            right_BSP = to_end_BEN[:, width - 1 :, num_spans:]
            values_BS = values_BS + over_splits(left_BSP + right_BSP)
        from_start_BSN[:, :num_spans, width - 1] = values_BS
        to_end_BEN[:, width - 1 :, num_spans - 1] = values_BS
    return from_start_BSN


def _log_sum(sums_BSP: Tensor) -> Tensor:
    """log Σ exp over the splits; -inf, with a gradient of 0, where all are."""
    none_BS = (sums_BSP == -torch.inf).all(-1)
    # The inner replacement is for the gradient, which would not be a number.
    return sums_BSP.masked_fill(none_BS.unsqueeze(-1), 0).logsumexp(-1).masked_fill(none_BS, -torch.inf)


def _brackets(splits: list[list[int]], length: int) -> list[tuple[int, int]]:
    """The spans below the best splits of one sentence: by number of words, from 2, and start."""
    found, open_spans = [], [(0, length)] if length else []
    while open_spans:
        start, end = open_spans.pop()
        found.append((start, end))
        if end - start > 1:
            middle = start + splits[end - start - 2][start] + 1
            open_spans += [(middle, end), (start, middle)]
    return found
