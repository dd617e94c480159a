"""Examples that are left out of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtsearch.data.examples import Example

__all__ = ["num_words", "without_longest"]


def without_longest(examples: Sequence[Example], share: float) -> tuple[Example, ...]:
    """All but the given share of the longest examples, rounded down, in their order.

    Length is in words (:func:`num_words`), not tokens: whatever encoder reads them, the same examples are left out.
    Of examples as long as each other the later ones go first.

    Args:
        examples: of one split.
        share: at least 0, less than 1.
    """
    num_kept = len(examples) - int(share * len(examples) + 1e-9)  # 0.29 of 100 is 29, not 28
    shortest_first = np.argsort([num_words(example) for example in examples], kind="stable")
    return tuple(examples[place] for place in np.sort(shortest_first[:num_kept]))


def num_words(example: Example) -> int:
    """Words of an example: as the data set gives them, else what stands between white space, of all texts together."""
    if example.words is not None:
        return len(example.words)
    return sum(len(text.split()) for text in example.texts)
