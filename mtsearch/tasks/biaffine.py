"""Scores of pairs of words: biaffine attention over two projections of their vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["PairScorer"]


class PairScorer(nn.Module):
    """How well each word goes with each other one under each class: [B, V, W, C].

    Both words are projected (linear, LeakyReLU, dropout), get a constant 1 appended, and are multiplied with a matrix
    for each class, which starts at zero.

    Source: Dozat & Manning 2017 (arXiv 1611.01734), equations 4 to 9.

    Args:
        input_size: D.
        size: of the projections.
        num_classes: C.
        dropout: after the projections; a whole feature goes in all words of a sentence together, as there.
    """

    def __init__(self, input_size: int, size: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(input_size, size)
        self.second = nn.Linear(input_size, size)
        self.activation = nn.LeakyReLU(0.1)
        self.dropout = nn.Dropout1d(dropout)
        self.weight = nn.Parameter(torch.zeros(num_classes, size + 1, size + 1))

    def forward(self, first_BVD: Tensor, second_BWD: Tensor) -> Tensor:
        """Scores [B, V, W, C]; V and W words."""
        first = self._projected(self.first, first_BVD)
        second = self._projected(self.second, second_BWD)
        half = torch.einsum("bvi,cij->bcvj", first, self.weight)
        return (half @ second.unsqueeze(1).transpose(-1, -2)).permute(0, 2, 3, 1)

    def _projected(self, layer: nn.Linear, words_BWD: Tensor) -> Tensor:
        features = self.activation(layer(words_BWD))
        features = self.dropout(features.transpose(1, 2)).transpose(1, 2)
        return torch.cat([features, torch.ones_like(features[..., :1])], -1)
