"""One number per sentence or per pair of sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from mtsearch.data.examples import Example, Wanted
from mtsearch.tasks.contract import Inventory, Layout, Logits, TaskConfig
from mtsearch.tasks.distances import squared_error
from mtsearch.tasks.heads import CosineHead, Mlp, PooledHead

__all__ = ["PairRegression", "Regression"]


class _OneNumber(TaskConfig):
    """What a number per sentence and a number per pair share.

    The task head learns the target standardised by the training split's mean and deviation, so that its
    loss is of the size of the other tasks' whatever the target's unit; predictions are in the target's unit,
    clipped to ``low`` and ``high``.
    """

    metrics: tuple[str, ...] = Field(default=("pearson", "spearman"), min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: Mlp = Mlp()
    """The task head."""
    low: float | None = None
    """The smallest legal label; a row below it is refused, and predictions are clipped to it."""
    high: float | None = None
    """The largest legal label; a row above it is refused, and predictions are clipped to it."""

    @model_validator(mode="after")
    def _low_is_below_high(self) -> _OneNumber:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low < high must hold, but got low={self.low}, high={self.high}")
        return self

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """Mean and standard deviation of the training targets, in their own unit."""
        values = np.array([example.label for example in train], dtype=float)
        return Inventory(numbers={"mean": float(values.mean()), "deviation": float(values.std()) or 1.0})

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Column ``value``: the target of each example, in its own unit."""
        return {"value": pa.array([example.label for example in examples], pa.float32())}

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Squared error of the standardised target, summed over rows."""
        error_B = (
            logits.values.float() - (targets["value"] - inventory.numbers["mean"]) / inventory.numbers["deviation"]
        )
        return error_B.square().sum()

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of rows."""
        return torch.tensor(float(len(targets["value"])))

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Squared difference of the standardised numbers, summed over rows."""
        return squared_error(logits, reference)

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[dict[str, Any]]:
        """The predicted number of each row, in the target's unit."""
        value_B = logits.values.float() * inventory.numbers["deviation"] + inventory.numbers["mean"]
        return [{"prediction": value} for value in self._clip(value_B).tolist()]

    def _clip(self, values: Tensor) -> Tensor:
        return values if self.low is None and self.high is None else values.clamp(self.low, self.high)

    def _read_label(self, raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            raise ValueError(f"the label must be a number, but got {raw!r}") from None
        low, high = self.low if self.low is not None else -math.inf, self.high if self.high is not None else math.inf
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"the label must be a finite number in [{low}, {high}], but got {raw!r}")
        return value


class Regression(_OneNumber):
    """A number for each sentence."""

    kind: Literal["regression"] = "regression"

    @property
    def layout(self) -> Layout:
        """One text, one sequence."""
        return "single"

    @property
    def wanted(self) -> Wanted:
        """One text and a number."""
        return Wanted(1, self._read_label)

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Pool, hidden layers, one number."""
        return PooledHead(hidden_size, pooling, self.head, 1, "one")


class PairRegression(_OneNumber):
    """A number for each pair of sentences."""

    kind: Literal["pair_regression"] = "pair_regression"
    pair: Literal["joint", "siamese", "cosine"] = "joint"
    """``joint`` encodes both texts in one sequence; ``siamese`` each alone, then joins [|a - b|, a + b];
    ``cosine`` predicts ``high`` times the cosine of the two."""

    @model_validator(mode="after")
    def _cosine_has_a_range(self) -> PairRegression:
        if self.pair == "cosine" and (self.low is None or self.high is None or self.high <= 0):
            raise ValueError(f"pair: cosine needs low and high > 0, but got low={self.low}, high={self.high}")
        return self

    @property
    def layout(self) -> Layout:
        """One sequence of both texts, or one each."""
        return "pair" if self.pair == "joint" else "siamese"

    @property
    def wanted(self) -> Wanted:
        """Two texts and a number."""
        return Wanted(2, self._read_label)

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Pool, hidden layers, one number; or the scaled cosine, in the standardised unit."""
        if self.pair == "cosine":
            assert self.high is not None  # by _cosine_has_a_range
            mean, deviation = inventory.numbers["mean"], inventory.numbers["deviation"]
            return CosineHead(hidden_size, pooling, self.head, self.high / deviation, -mean / deviation)
        return PooledHead(hidden_size, pooling, self.head, 1, "one" if self.pair == "joint" else "two")
