"""Texts that stand in several splits: a leak from train to dev or test makes scores too good."""

from __future__ import annotations

from collections.abc import Mapping

from mtsearch.data.examples import Example, Split
from mtsearch.data.source import SplitName

__all__ = ["count_duplicates", "count_shared", "text_key"]


def count_shared(splits: Mapping[SplitName, Split]) -> dict[SplitName, int]:
    """How many examples of each split but train have texts that stand in train too.

    Texts are compared as :func:`text_key` has them.
    """
    train = {text_key(example) for example in splits["train"].examples}
    return {
        name: sum(text_key(example) in train for example in split.examples)
        for name, split in splits.items()
        if name != "train"
    }


def count_duplicates(split: Split) -> int:
    """How many examples repeat the texts of an earlier one of the same split."""
    return len(split.examples) - len({text_key(example) for example in split.examples})


def text_key(example: Example) -> tuple[str, ...]:
    """The same for examples with the same texts, but for case and runs of white space; of a pair in either order."""
    return tuple(sorted([" ".join(text.casefold().split()) for text in example.texts]))
