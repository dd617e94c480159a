"""Random batches of sentences of several lengths, with the kinds of scores that decoders stumble over."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

__all__ = ["SCORES", "mask_of", "random_scores"]

SCORES = st.sampled_from(["plain", "tied", "wide", "forbidding"])
"""Normally distributed; whole numbers, many of them equal; of very different sizes; a third of them -inf."""


def random_scores(kind: str, seed: int, *shape: int) -> Tensor:
    """Scores of one of ``SCORES``."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=generator)
    if kind == "tied":
        return scores.round()
    if kind == "wide":
        return 40 * scores
    if kind == "forbidding":
        return scores.masked_fill(torch.rand(shape, generator=generator) < 1 / 3, -torch.inf)
    return scores


def mask_of(lengths: list[int]) -> Tensor:
    """True for the words of sentences with so many words."""
    return torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(-1)
