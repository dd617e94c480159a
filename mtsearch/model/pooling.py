"""From token vectors [B, L, D] to one vector per sequence [B, D]; padding never counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["AttentionPooling", "ClsPooling", "MeanPooling", "build_pooling"]


class ClsPooling(nn.Module):
    """The vector of the first token."""

    def forward(self, tokens_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        return tokens_BLD[:, 0]


class MeanPooling(nn.Module):
    """The mean over the tokens of the sequence."""

    def forward(self, tokens_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        weights_BL1 = mask_BL.unsqueeze(-1).to(tokens_BLD.dtype)
        return (tokens_BLD * weights_BL1).sum(1) / weights_BL1.sum(1)


class AttentionPooling(nn.Module):
    """softmax(vᵀ tanh(W h)) over the tokens of the sequence (additive attention, Bahdanau et al. 2015).

    At initialisation v is zero, so that it starts as the mean.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, tokens_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        scores_BL = self.score(torch.tanh(self.project(tokens_BLD))).squeeze(-1)
        shares_BL = scores_BL.masked_fill(~mask_BL, float("-inf")).softmax(-1)
        return torch.einsum("bl,bld->bd", shares_BL, tokens_BLD)


def build_pooling(name: str, hidden_size: int) -> nn.Module:
    """The pooling called ``cls``, ``mean`` or ``attention``."""
    match name:
        case "cls":
            return ClsPooling()
        case "mean":
            return MeanPooling()
        case "attention":
            return AttentionPooling(hidden_size)
    raise ValueError(f"pooling must be cls, mean or attention, but got {name!r}")
