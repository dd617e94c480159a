"""The task contract: what a kind of task is to the data, the model, the trainer and the evaluation.

The way of one task's data: a reader makes :class:`~mtsearch.data.examples.Example`; ``inventory`` learns
the labels from the training split; an example that the encoder cannot take at once becomes several rows, each an
example of the words of its ``window``; ``encode_targets`` makes columns (ragged ones where a label is a
sequence); a batch of rows goes through the shared encoder and the task head to :class:`Logits`; ``loss``
trains; ``decode`` turns rows into predictions, ``merge`` joins those of one example's windows; metrics are
computed over the whole corpus (never means of batches).

Shapes: B rows of a batch, L tokens, W words, D hidden, C classes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, Wanted, WantedWords
from mtsearch.data.source import DataField
from mtsearch.data.windows import Window

__all__ = ["Decoded", "Encoded", "Inventory", "Layout", "Logits", "Reading", "ReadingHead", "TaskConfig", "TaskKind"]

Layout = Literal["single", "pair", "siamese", "words", "question"]
"""How texts become input rows: one text; two in one sequence; two sequences; one text given as words; two in one
sequence, and where in the second one the words are. The last two come in windows where they are long."""


Decoded: TypeAlias = dict[str, Any]
"""What is predicted for a row or an example: ``prediction``, and what else there is to tell; JSON values."""


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
        word_ids_BL: index of the word each token belongs to, -1 for none; None in the layouts without words.
        targets: of the rows, empty where they have none: for a task head that scores what depends on a part of the
            truth (the arguments of gold predicates). What it scores otherwise may not depend on them.
    """

    tokens_BLD: Tensor
    mask_BL: Tensor
    word_ids_BL: Tensor | None = None
    targets: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """Rows that the encoder's upper layers are to read once more, with something added.

    Attributes:
        rows_N: which rows of the batch, in any order, as often as wanted.
        added_NLD: what is added to their tokens' states where they enter those layers.
    """

    rows_N: Tensor
    added_NLD: Tensor


@runtime_checkable
class ReadingHead(Protocol):
    """A task head that has rows read once more: for each predicate, say."""

    reread_layers: int
    """How many of the encoder's highest layers read them; with 0 nothing is read again."""

    def reading(self, sequence: Encoded) -> Reading:
        """What to read once more."""

    def __call__(self, sequence: Encoded, again: Encoded | None) -> Logits:
        """Scores from what was read; ``again`` has the rows of :meth:`reading`, and is None where there are none."""


@dataclass(frozen=True)
class Logits:
    """A task head's output.

    Attributes:
        values: scores; [B, C] for a class per row, [B] for a number, [B, W, C] for a class per word.
        mask: True where a score counts, of the leading shape of ``values``; None where all do.
        others: further scores of the rows by name, [B, ..], such as those of what is a predicate.
        shared: scores that all rows have in common by name, such as the transitions of a CRF.
    """

    values: Tensor
    mask: Tensor | None = None
    others: Mapping[str, Tensor] = field(default_factory=dict)
    shared: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def of_rows(self) -> tuple[Tensor, ...]:
        """All scores of the rows: ``values``, and ``others`` in their order."""
        return (self.values, *self.others.values())

    def with_rows(self, scores: Sequence[Tensor]) -> Logits:
        """The same with other scores of the rows, in the order of :attr:`of_rows`."""
        values, *others = scores
        return replace(self, values=values, others=dict(zip(self.others, others, strict=True)))

    def detached(self) -> Logits:
        """The same scores as constants."""
        shared = {name: scores.detach() for name, scores in self.shared.items()}
        return replace(self.with_rows([scores.detach() for scores in self.of_rows]), shared=shared)


class TaskConfig(Frozen):
    """The fields that every kind of task has."""

    data: DataField
    """The task's data set: a catalogue name, or an object with ``source`` and how to read it."""
    weight: float = Field(default=1.0, gt=0)
    """Static weight of the task's loss."""
    metrics: tuple[str, ...] = Field(min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """None: a row with an unknown label is an error."""
        return Counter()

    @property
    def reread_layers(self) -> int:
        """None: the encoder reads a row once."""
        return 0

    def window(self, example: Example, first: int, end: int) -> Example:
        """An example is one row: it is cut at ``encoder.max_length``, and the cuts are counted."""
        return example

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """That of the one row."""
        (only,) = predictions
        return only

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """A line of JSON."""
        return json.dumps(prediction, ensure_ascii=False)


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
    def reread_layers(self) -> int:
        """How many of the encoder's layers the task head lets read rows once more (:class:`ReadingHead`)."""

    @property
    def wanted(self) -> Wanted | WantedWords:
        """What the task needs of each row of a file."""

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """Labels and statistics of the training split."""

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """The labels that the training split lacks, and how often they stand in these examples.

        They are no targets, and whatever is predicted in their place is wrong.
        """

    def window(self, example: Example, first: int, end: int) -> Example:
        """The words ``[first, end)`` of an example as an example, with what of its label lies within them."""

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Named target columns with one entry per row.

        Args:
            examples: what each row shows: an example, or a window of one.
            inventory: of the training split.

        Raises:
            DataError: a label that the inventory does not have, where :meth:`unknown_labels` does not tell of it.
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

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """One prediction per row: ``prediction`` (comparable to ``Example.label``) and scores, JSON values.

        Args:
            logits: of the rows.
            inventory: of the training split.
            targets: of the rows, where there are some: for what is predicted given a part of the truth (the arguments
                of gold predicates), under a key of its own.
        """

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """One prediction for an example.

        Args:
            predictions: of its rows, in order.
            windows: what of it each row shows; empty in the layouts without words, where there is one row.
            example: all of it.
        """

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """A prediction in the format that is usual for the kind of task, without a last line end."""
