"""The task contract: what a kind of task is to the data, the model, the trainer and the evaluation.

The way of one task's data: a reader makes :class:`~mtsearch.data.examples.Example`; ``inventory`` learns
the labels from the training split; ``encode_targets`` makes columns (ragged ones where a label is a
sequence); a batch of rows goes through the shared encoder and the task head to :class:`Logits`; ``loss``
trains; ``decode`` turns rows into predictions, ``merge`` joins the windows of one example; metrics are
computed over the whole corpus (never means of batches).

Shapes: B rows of a batch, L tokens, W words, D hidden, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, Wanted
from mtsearch.data.source import DataField

__all__ = ["Encoded", "Inventory", "Layout", "Logits", "TaskConfig", "TaskKind"]

Layout = Literal["single", "pair", "siamese", "words"]
"""How texts become input rows: one text; two in one sequence; two sequences; one text given as words."""


@dataclass(frozen=True)
class Inventory:
    """What a task learned from its training split; saved with every checkpoint.

    Attributes:
        labels: class names in class order; empty for regression.
        counts: how often each label stands in the training split.
        numbers: named statistics, such as mean and standard deviation of a regression's targets.
    """

    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Inventory:
        """The inventory of a checkpoint."""
        return cls(tuple(state["labels"]), tuple(state["counts"]), dict(state["numbers"]))


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives a task head.

    Attributes:
        tokens_BLD: last hidden states.
        mask_BL: True where there is a token.
        word_ids_BL: index of the word each token belongs to, -1 for none; None unless the layout is ``words``.
    """

    tokens_BLD: Tensor
    mask_BL: Tensor
    word_ids_BL: Tensor | None = None


@dataclass(frozen=True)
class Logits:
    """A task head's output.

    Attributes:
        values: scores; [B, C] for a class per row, [B] for a number, [B, W, C] for a class per word.
        mask: True where a score counts, of the leading shape of ``values``; None where all do.
    """

    values: Tensor
    mask: Tensor | None = None


class TaskConfig(Frozen):
    """The fields that every kind of task has."""

    data: DataField
    """The task's data set: a catalogue name, or an object with ``source`` and how to read it."""
    weight: float = Field(default=1.0, gt=0)
    """Static weight of the task's loss."""
    metrics: tuple[str, ...] = Field(min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""

    def merge(self, windows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """An example is one window: it is cut at ``encoder.max_length``, and the cuts are counted."""
        (only,) = windows
        return only


class TaskKind(Protocol):
    """A kind of task, as a frozen config; ``self`` holds the settings, ``inventory`` what was learned."""

    @property
    def kind(self) -> str:
        """The name in the config."""

    @property
    def data(self) -> DataField:
        """Where the examples come from."""

    @property
    def weight(self) -> float:
        """Static weight of the task's loss."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, the main one first."""

    @property
    def layout(self) -> Layout:
        """How texts become input rows."""

    @property
    def wanted(self) -> Wanted:
        """What the task needs of each row of a file."""

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """Labels and statistics of the training split."""

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Named target columns with one entry per example.

        Raises:
            DataError: a label that the inventory does not have.
        """

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """The task head: a module from one :class:`Encoded` per input sequence to :class:`Logits`."""

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Sum of the losses of the rows, a scalar. Divide by :meth:`loss_weight` for the mean."""

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """What the sum is divided by, a scalar: the number of rows, or the sum of their class weights."""

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """How far two outputs for the same rows are apart, summed over the rows; a scalar, differentiable in both.

        It is zero only where both say the same, in single precision at least, and of the size of :meth:`loss`.
        What ``Logits.mask`` leaves out does not count.
        """

    def decode(self, logits: Logits, inventory: Inventory) -> list[dict[str, Any]]:
        """One prediction per row: ``prediction`` (comparable to ``Example.label``) and scores, JSON values."""

    def merge(self, windows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One prediction from those of the windows of one example, in order."""
