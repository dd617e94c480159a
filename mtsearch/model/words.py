"""From the vectors of tokens to those of words."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["WordPooling"]


class WordPooling(nn.Module):
    """The vector of each word: that of its first token, or the mean over its tokens.

    Args:
        how: ``first`` or ``mean``.
    """

    def __init__(self, how: Literal["first", "mean"]) -> None:
        super().__init__()
        self.how = how

    def forward(self, tokens_BLD: Tensor, word_ids_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [B, W, D], zero where there is no word, and a mask [B, W] that is True where there is one.

        W is 1 at least.

        Args:
            tokens_BLD: of the encoder.
            word_ids_BL: the word that each token belongs to, from 0; -1 for none. A word without tokens gets no vector.
        """
        is_counted_BL = word_ids_BL >= 0
        if self.how == "first":
            before_BL = torch.nn.functional.pad(word_ids_BL[:, :-1], (1, 0), value=-1)
            is_counted_BL = is_counted_BL & (word_ids_BL != before_BL)
        num_words = max(int(word_ids_BL.max()) + 1, 1)
        # Tokens that do not count go to a word behind the last one.
        places_BL = torch.where(is_counted_BL, word_ids_BL, num_words)
        ones_BL = torch.ones_like(places_BL, dtype=tokens_BLD.dtype)
        counts_BW = tokens_BLD.new_zeros(len(tokens_BLD), num_words + 1).scatter_add(1, places_BL, ones_BL)
        index_BLD = places_BL.unsqueeze(-1).expand_as(tokens_BLD)
        sums_BWD = tokens_BLD.new_zeros(*counts_BW.shape, tokens_BLD.shape[-1]).scatter_add(1, index_BLD, tokens_BLD)
        vectors_BWD = sums_BWD / counts_BW.clamp(min=1).unsqueeze(-1)
        return vectors_BWD[:, :num_words], counts_BW[:, :num_words] > 0
