"""One class per sentence or per pair of sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.data.examples import Example, Wanted
from mtsearch.errors import DataError
from mtsearch.tasks.contract import Inventory, Layout, Logits, TaskConfig
from mtsearch.tasks.distances import symmetric_kl
from mtsearch.tasks.heads import Mlp, PooledHead

__all__ = ["Classification", "PairClassification"]


class _OneClass(TaskConfig):
    """What a class per sentence and a class per pair share: everything but the layout."""

    metrics: tuple[str, ...] = Field(default=("accuracy", "macro_f1"), min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: Mlp = Mlp()
    """The task head."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=2, strict=False)
    """The classes in order; a row with another label is refused. Null takes those of the training split."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced`` weighs a class by (examples / (classes × its examples)), so that all count alike."""

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The classes of the training split (or those configured), with their counts."""
        counts = Counter(example.label for example in train)
        labels = self.labels or tuple(sorted(counts))
        if len(labels) < 2:
            raise DataError(
                f"data set {self.data.source}: classification needs at least two classes, but the training "
                f"split has only {labels[0] if labels else 'none'!r}; name them with labels: [..] or check the column"
            )
        return Inventory(labels=labels, counts=tuple(counts[label] for label in labels))

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Column ``label``: the class index of each example."""
        index = {label: i for i, label in enumerate(inventory.labels)}
        for example in examples:
            if example.label not in index:
                raise DataError(
                    f"data set {self.data.source}, line {example.line}: the label must be one of the training "
                    f"split's ({', '.join(inventory.labels)}), but got {example.label!r}; mend the row, or name "
                    "all classes with labels: [..]"
                )
        return {"label": pa.array([index[example.label] for example in examples], pa.int64())}

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Cross entropy, summed over rows with their class weights."""
        return functional.cross_entropy(
            logits.values.float(),
            targets["label"],
            weight=self._class_weights(inventory, logits.values.device),
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The sum of the rows' class weights."""
        label_B = targets["label"]
        weights = self._class_weights(inventory, label_B.device)
        return torch.tensor(float(len(label_B))) if weights is None else weights[label_B].sum().cpu()

    def _class_weights(self, inventory: Inventory, device: torch.device) -> Tensor | None:
        if self.class_weights == "none":
            return None
        counts = torch.tensor(inventory.counts, dtype=torch.float32, device=device)
        # A configured class without examples gets the weight of a class with one.
        return counts.sum() / (len(counts) * counts.clamp(min=1))

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of the class distributions, summed over rows."""
        return symmetric_kl(logits, reference)

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[dict[str, Any]]:
        """The most probable class of each row, with all probabilities."""
        shares = logits.values.float().softmax(-1)
        return [
            {"prediction": inventory.labels[best], "probabilities": row}
            for best, row in zip(shares.argmax(-1).tolist(), shares.tolist(), strict=True)
        ]

    def _read_label(self, raw: str) -> str:
        label = _plain_number(raw.strip())
        if not label:
            raise ValueError("the label is empty")
        if self.labels is not None and label not in self.labels:
            raise ValueError(f"the label must be one of {', '.join(self.labels)}, but got {label!r}")
        return label


def _plain_number(label: str) -> str:
    """``1.0`` and ``1`` are the same class; other labels stay as they are."""
    whole, point, zeros = label.partition(".")
    return whole if point and whole.lstrip("-").isdigit() and not zeros.strip("0") else label


class Classification(_OneClass):
    """A class for each sentence."""

    kind: Literal["classification"] = "classification"

    @property
    def layout(self) -> Layout:
        """One text, one sequence."""
        return "single"

    @property
    def wanted(self) -> Wanted:
        """One text and a class."""
        return Wanted(1, self._read_label)

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Pool, hidden layers, one score per class."""
        return PooledHead(hidden_size, pooling, self.head, len(inventory.labels), "one")


class PairClassification(_OneClass):
    """A class for each pair of sentences."""

    kind: Literal["pair_classification"] = "pair_classification"
    pair: Literal["joint", "siamese"] = "joint"
    """``joint`` encodes both texts in one sequence; ``siamese`` each alone, then joins [|a - b|, a + b]."""

    @property
    def layout(self) -> Layout:
        """One sequence of both texts, or one each."""
        return "pair" if self.pair == "joint" else "siamese"

    @property
    def wanted(self) -> Wanted:
        """Two texts and a class."""
        return Wanted(2, self._read_label)

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Pool, hidden layers, one score per class."""
        layout: Literal["one", "two"] = "one" if self.pair == "joint" else "two"
        return PooledHead(hidden_size, pooling, self.head, len(inventory.labels), layout)
