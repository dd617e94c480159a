"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from mtsearch.config.base import Frozen
from mtsearch.optimizers.contract import LayeredModel
from mtsearch.optimizers.groups import parameter_groups

__all__ = ["AdamW"]


class AdamW(Frozen):
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), torch's implementation, fused where it can be."""

    name: Literal["adamw"] = "adamw"
    lr: float = Field(default=8e-5, gt=0, le=1)
    """Learning rate of the encoder, per update."""
    head_lr: float | None = Field(default=None, gt=0, le=1)
    """Learning rate of the task heads, per update; null takes ``lr``."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """What the encoder's rate is multiplied by from each layer to the one below; 1 gives all layers the same."""
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    """Decoupled decay; biases and normalisation weights do not decay."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the running mean of gradients, per update."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the running mean of squared gradients, per update."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""

    def build(self, model: LayeredModel, seed: int) -> torch.optim.Optimizer:
        """The optimizer over the parameters of ``model``; it draws nothing from the seed."""
        groups = parameter_groups(model, self.lr, self.head_lr or self.lr, self.weight_decay, self.layer_decay)
        return torch.optim.AdamW(groups, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)
