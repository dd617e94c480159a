"""Dependency trees: the maximum spanning arborescence with one child of the root."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["best_trees"]

# Scores are held within this, so that differences of them are numbers. What lies below it forbids as -inf does: people
# write the lowest number of a type for that, which added to a score would leave nothing of it.
_HUGE = 1e30


@torch.no_grad()
def best_trees(scores_BWH: Tensor, mask_BW: Tensor) -> Tensor:
    """The heads of each sentence's best tree: the highest sum of scores, exactly one word below the root.

    Where the best head of every word makes such a tree already, that is it. The others are found by the algorithm of
    Chu, Liu and Edmonds, on all of them at once: every part of the sentence, at first each word, takes the best arc
    from another part; parts that thereby stand on a cycle become one; and so on until there are no cycles, after which
    the parts are opened again, the last one first. That the root has one child costs nothing more: a part takes an arc
    from the root only where none comes from another word. An arc from the root is thus worse than all other scores
    together, so that there are as few of them as can be.

    Args:
        scores_BWH: of word d (from 0) having head h: 0 is the root, h the h-th word counted from 1; H is W + 1. -inf
            forbids the arc; a word is never its own head. NaN counts as a very low score.
        mask_BW: True for the words of a sentence, which come before its padding.

    Returns:
        Heads [B, W], -1 behind the sentence's end. If every tree is forbidden, some are trees of more words below the
        root, or with forbidden arcs from it.

    Source: Edmonds (1967), "Optimum branchings". Stanojević & Cohen (2021), "A root of a problem", get the single root
        by a large constant that they take from the scores of the root's arcs; it costs digits, so here is none.
    """
    num_words = mask_BW.shape[1]
    words = torch.arange(1, num_words + 1, device=mask_BW.device)
    present_BH = torch.nn.functional.pad(mask_BW, (1, 0), value=True)
    itself_WH = words.unsqueeze(-1) == torch.arange(num_words + 1, device=mask_BW.device)
    scores_BWH = scores_BWH.double().nan_to_num(nan=-_HUGE).clamp_max(_HUGE)
    forbidden_BWH = itself_WH | ~present_BH.unsqueeze(1) | (scores_BWH < -_HUGE)
    scores_BWH = scores_BWH.masked_fill(forbidden_BWH, -torch.inf)

    # Words of the padding stay: nothing can hang from them, so that they change no tree.
    heads_BW = scores_BWH.argmax(-1)
    wrong_B = ~_are_trees(heads_BW, mask_BW)
    if wrong_B.any():
        heads_BW[wrong_B] = _edmonds(scores_BWH[wrong_B])
    return heads_BW.masked_fill(~mask_BW, -1)


def _are_trees(heads_BW: Tensor, mask_BW: Tensor) -> Tensor:
    """Whether all words come from the root, by way of one word."""
    parents_BH = torch.nn.functional.pad(heads_BW, (1, 0))
    ends_BH, _ = _follow(parents_BH, parents_BH)
    return ends_BH.eq(0).all(-1) & ((heads_BW.eq(0) & mask_BW).sum(-1) <= 1)


def _follow(next_BH: Tensor, labels_BH: Tensor) -> tuple[Tensor, Tensor]:
    """Where one comes to by so many steps that one is on a cycle, and the smallest label on the way."""
    for _ in range(math.ceil(math.log2(next_BH.shape[1]))):  # each doubles the steps
        labels_BH = labels_BH.minimum(labels_BH.gather(1, next_BH))
        next_BH = next_BH.gather(1, next_BH)
    return next_BH, labels_BH


class _Round(NamedTuple):
    """How the parts were entered in one round of contractions.

    Attributes:
        parts_BH: of each node, the part that it belongs to, named by its smallest node.
        entry_BW: of each word, the word (from 0) at which its part was entered.
        head_BW: of each word, the head by which its part was entered if it was so at this word.
    """

    parts_BH: Tensor
    entry_BW: Tensor
    head_BW: Tensor


def _edmonds(scores_BWH: Tensor) -> Tensor:
    """The heads [B, W] of the best trees."""
    from_root_BW, arcs_BWH = scores_BWH[..., 0], scores_BWH.clone()
    arcs_BWH[..., 0] = -torch.inf
    # What the best arcs into the parts around a word scored: an arc to this word replaces all of them.
    paid_BW = torch.zeros_like(from_root_BW)
    parts_BH = torch.arange(scores_BWH.shape[2], device=scores_BWH.device).repeat(len(scores_BWH), 1)

    rounds: list[_Round] = []
    while True:
        arcs_BWH = torch.where(parts_BH[:, 1:, None] == parts_BH[:, None], -torch.inf, arcs_BWH)
        gains_BW, head_BW = arcs_BWH.max(-1)
        gains_BW, entry_BW = _best_of_parts(gains_BW - paid_BW, parts_BH)
        unreached_BW = gains_BW == -torch.inf
        paid_BW = paid_BW + gains_BW.masked_fill(unreached_BW, 0)

        entering_BW = head_BW.gather(1, entry_BW).masked_fill(unreached_BW, 0)
        before_BH = torch.nn.functional.pad(parts_BH.gather(1, entering_BW), (1, 0))
        ends_BH, smallest_BH = _follow(before_BH, parts_BH)
        on_cycle_BH = torch.zeros_like(before_BH, dtype=torch.bool).scatter_(1, ends_BH, True).gather(1, parts_BH)
        merged_BH = smallest_BH.where(on_cycle_BH, parts_BH)
        rounds.append(_Round(parts_BH, entry_BW, head_BW))
        if merged_BH.equal(parts_BH):
            break
        parts_BH = merged_BH

    _, root_entry_BW = _best_of_parts(from_root_BW - paid_BW, parts_BH)
    rounds[-1] = _Round(parts_BH, root_entry_BW.where(unreached_BW, entry_BW), head_BW.masked_fill(unreached_BW, 0))
    return _opened(rounds)


def _best_of_parts(values_BW: Tensor, parts_BH: Tensor) -> tuple[Tensor, Tensor]:
    """For each word, the highest value in its part, and the first word of the part that has it."""
    parts_BW = parts_BH[:, 1:]
    lowest_BH = torch.full_like(parts_BH, -torch.inf, dtype=values_BW.dtype)
    highest_BW = lowest_BH.scatter_reduce_(1, parts_BW, values_BW, "amax").gather(1, parts_BW)
    num_words = values_BW.shape[1]
    words_BW = torch.arange(num_words, device=parts_BW.device).where(values_BW == highest_BW, num_words)
    last_BH = torch.full_like(parts_BH, num_words)
    return highest_BW, last_BH.scatter_reduce_(1, parts_BW, words_BW, "amin").gather(1, parts_BW)


def _opened(rounds: list[_Round]) -> Tensor:
    """The heads of all words, from the last round's parts to the first round's words.

    A part that was merged into another is entered where that one is, if that is at one of its words; the other parts
    of the cycle keep the arcs that made it.
    """
    heads_BW = torch.zeros_like(rounds[-1].head_BW)
    entered_BW = torch.zeros_like(heads_BW)
    words = torch.arange(heads_BW.shape[1], device=heads_BW.device)
    for parts_BH, entry_BW, head_BW in reversed(rounds):
        num_entered_BH = torch.zeros_like(parts_BH).scatter_add_(1, parts_BH[:, 1:], entered_BW)
        is_entered_BW = num_entered_BH.gather(1, parts_BH[:, 1:]) > 0
        enters_BW = (entry_BW == words) & ~is_entered_BW
        heads_BW = head_BW.where(enters_BW, heads_BW)
        entered_BW = entered_BW | enters_BW
    return heads_BW
