"""Paths through a linear chain: the best sequence of tags, and the sum over all of them, as a CRF wants it.

A path's score is the sum of its tags' emissions, of the transitions between neighbours, and of how it starts and ends.
The empty path of a sentence without words scores 0.

Arguments of all functions:
    emissions_BWC: the score of each tag at each word.
    transitions_CC: [before, after]; -inf where the second tag may not follow the first.
    starts_C: the score of each tag at the first word; -inf where no path may start with it.
    ends_C: the score of each tag at the last word, likewise.
    mask_BW: True for the words of a sentence, which come before its padding.

Source: Lafferty et al. (2001), "Conditional random fields".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["best_paths", "bio_transitions", "log_partition", "path_scores"]

# Weights below this share of the largest are as good as none. Inverted and squared, which is what second derivatives
# do to it, it is still a finite number in double precision.
_NEGLIGIBLE = 1e-140


@torch.no_grad()
def best_paths(
    emissions_BWC: Tensor, transitions_CC: Tensor, starts_C: Tensor, ends_C: Tensor, mask_BW: Tensor
) -> tuple[Tensor, Tensor]:
    """The path of each sentence with the highest score, and that score, by Viterbi's algorithm.

    Returns:
        Tags [B, W], -1 behind the sentence's end; scores [B], -inf where every path is forbidden.
    """
    emissions_WBC = _at_least_single(emissions_BWC).transpose(0, 1)
    into_CC = transitions_CC.to(emissions_WBC).T.contiguous()  # [after, before]: the maximum runs over neighbours
    starts_C, ends_C = starts_C.to(emissions_WBC), ends_C.to(emissions_WBC)

    scores_BC = starts_C.expand(len(mask_BW), -1)
    history: list[Tensor] = []  # at each word, the score of the best path up to it, by its last tag
    for word, (emissions_BC, present_B1) in enumerate(zip(emissions_WBC, mask_BW.T.unsqueeze(-1), strict=True)):
        reached_BC = (scores_BC.unsqueeze(1) + into_CC).amax(-1) if word else scores_BC
        scores_BC = torch.where(present_B1, reached_BC + emissions_BC, scores_BC)
        history.append(scores_BC)
    best_B, tags_B = (scores_BC + ends_C).max(-1)

    # Which tag a maximum came from is asked again for the tags of the best path alone: that is C sums a step, not C².
    paths_BW = torch.full_like(mask_BW, -1, dtype=torch.long)
    for word in reversed(range(len(history))):
        paths_BW[:, word] = tags_B
        if word:
            before_B = (history[word - 1] + into_CC[tags_B]).argmax(-1)
            tags_B = torch.where(mask_BW[:, word], before_B, tags_B)
    return paths_BW.masked_fill_(~mask_BW, -1), best_B.where(mask_BW.any(-1), 0)


def log_partition(
    emissions_BWC: Tensor, transitions_CC: Tensor, starts_C: Tensor, ends_C: Tensor, mask_BW: Tensor
) -> Tensor:
    """log Σ exp(score) over all paths of each sentence [B], by the forward algorithm; twice differentiable.

    The gradients are the marginals of tags and of pairs of tags. They are finite also where scores are -inf. Each step
    is a product of matrices in double precision, which autocast leaves alone and which keeps no [B, C, C] for the way
    back; tags whose paths have less than 1e-140 of the weight of the best tag's at the same word count as impossible.
    """
    transitions_CC, starts_C, ends_C = transitions_CC.double(), starts_C.double(), ends_C.double()
    steps = zip(emissions_BWC.double().unbind(1), mask_BW.unsqueeze(-1).unbind(1), strict=True)

    scores_BC = starts_C.expand(len(mask_BW), -1)
    for word, (emissions_BC, present_B1) in enumerate(steps):
        reached_BC = _log_sum_over_tags(scores_BC, transitions_CC) if word else scores_BC
        scores_BC = torch.where(present_B1, reached_BC + emissions_BC, scores_BC)
    total_B = _log_sum_over_tags(scores_BC, ends_C.unsqueeze(-1)).squeeze(-1)  # the end is one more tag
    return total_B.where(mask_BW.any(-1), 0).to(_dtype_of_sums(emissions_BWC))


def path_scores(
    emissions_BWC: Tensor, transitions_CC: Tensor, starts_C: Tensor, ends_C: Tensor, mask_BW: Tensor, tags_BW: Tensor
) -> Tensor:
    """The score of one given path of each sentence: [B], differentiable; -inf where it is forbidden.

    Args:
        emissions_BWC: and the others, as above.
        tags_BW: the path; anything behind the sentence's end.
    """
    emissions_BWC = _at_least_single(emissions_BWC)
    tags_BW = tags_BW.where(mask_BW, 0)
    going_on_BW = mask_BW[:, 1:]
    last_BW = mask_BW & ~torch.nn.functional.pad(going_on_BW, (0, 1))
    terms = (
        (emissions_BWC.gather(-1, tags_BW.unsqueeze(-1)).squeeze(-1), mask_BW),
        (transitions_CC[tags_BW[:, :-1], tags_BW[:, 1:]], going_on_BW),
        (starts_C[tags_BW[:, :1]], mask_BW[:, :1]),
        (ends_C[tags_BW], last_BW),
    )
    # Where a score does not count, it is replaced, not multiplied by 0: it may be -inf.
    sums = [scores.to(emissions_BWC).where(counts, 0).sum(-1) for scores, counts in terms]
    return torch.stack(sums).sum(0)


def bio_transitions(labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Which BIO tags may follow which, and which may start: ``I-X`` follows ``B-X`` or ``I-X`` only.

    Args:
        labels: the tags in class order: ``B-X``, ``I-X``, and what is neither, such as ``O``, which is always allowed.

    Returns:
        allowed_CC, [before, after], and allowed_start_C: boolean tensors on the CPU.
    """
    allowed = [[_may_follow(before, label) for label in labels] for before in labels]
    return torch.tensor(allowed), torch.tensor([_may_follow("", label) for label in labels])


def _may_follow(before: str, label: str) -> bool:
    return not label.startswith("I-") or before in (label, f"B-{label[2:]}")


def _log_sum_over_tags(scores_BC: Tensor, transitions_CT: Tensor) -> Tensor:
    """log Σ exp(scores[b, c] + transitions[c, t]) over c, [B, T]; -inf, with a gradient of 0, where all are."""
    # Both maxima cancel; without them exp would overflow. That of what is all -inf must not be -inf itself.
    lowest = torch.finfo(scores_BC.dtype).min
    highest_B1 = scores_BC.detach().amax(-1, keepdim=True).clamp_min(lowest)
    highest_T = transitions_CT.detach().amax(0).clamp_min(lowest)
    weights_BT = (scores_BC - highest_B1).exp() @ (transitions_CT - highest_T).exp()
    counts_BT = weights_BT > _NEGLIGIBLE
    # The inner replacement is for the gradient: that of log(0) would be infinite, and 0 times it not a number.
    return weights_BT.where(counts_BT, 1).log().where(counts_BT, -torch.inf) + highest_B1 + highest_T


def _at_least_single(scores: Tensor) -> Tensor:
    return scores.to(_dtype_of_sums(scores))


def _dtype_of_sums(scores: Tensor) -> torch.dtype:
    return torch.promote_types(scores.dtype, torch.float32)
