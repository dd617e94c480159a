"""Task heads over pooled sequences: for one sequence, and for two that were encoded apart."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.model.pooling import build_pooling
from mtsearch.tasks.contract import Encoded, Logits

__all__ = ["CosineHead", "Mlp", "PooledHead"]


class Mlp(Frozen):
    """Hidden layers between the pooled vector and the output layer."""

    hidden_layers: int = Field(default=1, ge=0, le=8)
    """Layers of linear, GELU and dropout before the output layer."""
    hidden_size: int | None = Field(default=None, gt=0)
    """Width of a hidden layer; null takes the encoder's."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout before every linear layer of the task head."""

    def build(self, input_size: int, output_size: int) -> nn.Sequential:
        """The layers from [..., input_size] to [..., output_size]."""
        width = self.hidden_size or input_size
        layers: list[nn.Module] = []
        for _ in range(self.hidden_layers):
            layers += [nn.Dropout(self.dropout), nn.Linear(input_size, width), nn.GELU()]
            input_size = width
        return nn.Sequential(*layers, nn.Dropout(self.dropout), nn.Linear(input_size, output_size))


class PooledHead(nn.Module):
    """Pool each sequence, join the vectors, and score: [B, C], or [B] where C is 1.

    Two sequences a, b are joined as [|a - b|, a + b], which does not depend on their order.
    """

    def __init__(
        self, hidden_size: int, pooling: str, head: Mlp, num_outputs: int, layout: Literal["one", "two"]
    ) -> None:
        super().__init__()
        self.pool = build_pooling(pooling, hidden_size)
        self.layers = head.build(hidden_size * (2 if layout == "two" else 1), num_outputs)

    def forward(self, *sequences: Encoded) -> Logits:
        pooled = [self.pool(sequence.tokens_BLD, sequence.mask_BL) for sequence in sequences]
        joined = (
            pooled[0] if len(pooled) == 1 else torch.cat([(pooled[0] - pooled[1]).abs(), pooled[0] + pooled[1]], -1)
        )
        values: Tensor = self.layers(joined)
        return Logits(values.squeeze(-1) if values.shape[-1] == 1 else values)


class CosineHead(nn.Module):
    """scale · cosine + shift of the two pooled and projected sequences: [B]."""

    def __init__(self, hidden_size: int, pooling: str, head: Mlp, scale: float, shift: float) -> None:
        super().__init__()
        self.pool = build_pooling(pooling, hidden_size)
        self.layers = head.build(hidden_size, hidden_size)
        self.scale, self.shift = scale, shift

    def forward(self, *sequences: Encoded) -> Logits:
        a, b = (self.layers(self.pool(sequence.tokens_BLD, sequence.mask_BL)) for sequence in sequences)
        return Logits(self.scale * torch.cosine_similarity(a, b, dim=-1) + self.shift)
