"""The regularisers: one file each, and which of them are at work. They add up."""

from __future__ import annotations

from torch import nn

from mtsearch.config.base import Frozen
from mtsearch.regularizers.contract import RunningRegularizer
from mtsearch.regularizers.proximal import Proximal
from mtsearch.regularizers.smart import Smart

__all__ = ["Proximal", "Regularizers", "Smart"]


class Regularizers(Frozen):
    """Penalties beside the loss that keep the model's outputs smooth and its steps short; SMART is both."""

    smart: Smart | None = None
    """Adversarial smoothness around the word embeddings; null has none."""
    proximal: Proximal | None = None
    """Nearness to a moving average of the model; null has none."""

    def build(self, model: nn.Module) -> list[RunningRegularizer]:
        """Those with a weight above 0: one that is switched off costs nothing, and draws no random numbers."""
        running: list[RunningRegularizer] = []
        if self.smart is not None and self.smart.weight > 0:
            running.append(self.smart.build())
        if self.proximal is not None and self.proximal.weight > 0:
            running.append(self.proximal.build(model))
        return running
