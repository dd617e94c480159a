"""What a trial makes of a task's training split: the longest examples are left out, altered copies come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtsearch.augmentation.contract import AugmentationMethod
from mtsearch.data.examples import Example, content_hash
from mtsearch.data.filters import without_longest
from mtsearch.data.tokens import TokenTable
from mtsearch.errors import ConfigError
from mtsearch.tasks.contract import Layout, TaskKind

__all__ = ["RowChanges", "change_rows", "row_examples"]


@dataclass(frozen=True)
class RowChanges:
    """How what a trial trains on differs from a task's training split.

    Attributes:
        num_dropped: of the longest examples.
        num_augmented: copies.
        augmentation: what made them, or why there are none; empty where none were asked for.
        content_hash: over what is trained on, hexadecimal.
    """

    num_dropped: int
    num_augmented: int
    augmentation: str
    content_hash: str

    def describe(self) -> str:
        """``+ 3,200 augmented (eda, shipped synonyms), 171 longest dropped``."""
        parts = [f"+ {self.num_augmented:,} augmented ({self.augmentation})"] if self.augmentation else []
        parts += [f"{self.num_dropped:,} longest dropped"] if self.num_dropped or not parts else []
        return ", ".join(parts)


def change_rows(
    task: str,
    examples: Sequence[Example],
    layout: Layout,
    augmentation: AugmentationMethod,
    drop_longest: float,
    seed: int,
) -> tuple[tuple[Example, ...], RowChanges]:
    """The examples to train on, copies last, and how they differ from what was given.

    Args:
        task: its name.
        examples: its training split.
        layout: how its texts become input rows.
        augmentation: makes the copies, if it is for this task.
        drop_longest: share of the longest examples that are left out, before anything is copied.
        seed: ``training.seed``.

    Raises:
        ConfigError: ``augmentation.tasks`` names a task whose labels belong to words, or the method lacks something.
    """
    kept = without_longest(examples, drop_longest)
    copies: Sequence[Example] = ()
    note = ""
    if augmentation.tasks is None or task in augmentation.tasks:
        if _labels_are_of_whole_texts(kept, layout):
            copies, note = augmentation.copies(kept, seed), augmentation.describe()
        elif augmentation.tasks is not None:
            raise ConfigError(
                f"augmentation.tasks: a task must have a class or a number for each text, but the labels of {task!r} "
                "belong to words in it; leave it out"
            )
        else:
            note = "its labels belong to words"
    rows = (*kept, *copies)
    return rows, RowChanges(len(examples) - len(kept), len(copies), note, content_hash(rows))


def row_examples(kind: TaskKind, examples: Sequence[Example], tokens: TokenTable) -> Sequence[Example]:
    """What each input row shows: an example, or a window of one that takes several rows."""
    if tokens.spans is None:
        return examples
    num_rows = np.bincount(tokens.example, minlength=len(examples))
    return [
        examples[of] if num_rows[of] == 1 else kind.window(examples[of], first, end)
        for of, (first, end) in zip(tokens.example.tolist(), tokens.spans.tolist(), strict=True)
    ]


def _labels_are_of_whole_texts(examples: Sequence[Example], layout: Layout) -> bool:
    return layout not in ("words", "question") and all(
        isinstance(example.label, str | int | float) for example in examples
    )
