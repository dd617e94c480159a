"""The holdout: a part of dev that neither stops a training nor chooses its best evaluation, and so can rank trials."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from mtsearch.data.examples import Example
from mtsearch.data.overlap import text_key
from mtsearch.data.source import SplitName
from mtsearch.errors import ConfigError

__all__ = ["TrialSplit", "hold_out"]

TrialSplit = Literal[SplitName, "holdout"]
"""What a trial has of a task's data; with a holdout ``dev`` is what remains of the data set's."""


def hold_out(task: str, dev: Sequence[Example], ratio: float) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """A dev split without its holdout, and that.

    Where an example goes depends on its texts alone: not on its place, on a seed or on the other examples. Those with
    the same texts (:func:`mtsearch.data.overlap.text_key`), whatever their labels, go together: several propositions
    of one sentence, too.

    Args:
        task: whose dev split it is, for messages.
        dev: its examples.
        ratio: the share of texts that are held out, in (0, 1); of few examples the share is a rough one.

    Raises:
        ConfigError: one of both would be empty.
    """
    held = [_place(example) < ratio for example in dev]
    if all(held) or not any(held):
        raise ConfigError(
            f"search.holdout_ratio: must leave examples of every task on both sides, but of the {len(dev):,} of dev of "
            f"{task} {ratio:g} holds out {'all' if any(held) else 'none'}; choose another ratio, or a larger dev split"
        )
    split = list(zip(dev, held, strict=True))
    return tuple(one for one, is_held in split if not is_held), tuple(one for one, is_held in split if is_held)


def _place(example: Example) -> float:
    """In [0, 1), evenly spread over texts."""
    digest = hashlib.sha256(repr(text_key(example)).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
