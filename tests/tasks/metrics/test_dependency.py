"""Attachment scores worked by hand, as the CoNLL 2018 script counts them."""

from __future__ import annotations

from typing import Any

import pytest

from mtsearch.tasks.metrics import METRICS

# "She was seen yesterday ." and "Go !"
GOLD = [
    ((3, "nsubj:pass"), (3, "aux:pass"), (0, "root"), (3, "obl:tmod"), (3, "punct")),
    ((0, "root"), (1, "punct")),
]
# Word by word: another subtype; another relation; right; another head; another head — right; another relation.
PREDICTED = [
    ((3, "nsubj"), (3, "cop"), (0, "root"), (2, "obl:tmod"), (4, "punct")),
    ((0, "root"), (1, "nsubj")),
]


@pytest.mark.parametrize(
    ("name", "gold", "predicted", "expected"),
    [
        ("uas", GOLD, PREDICTED, (3 + 2) / 7),
        ("las", GOLD, PREDICTED, (2 + 1) / 7),  # nsubj is nsubj:pass; words of 7, not a mean of 2/5 and 1/2
        ("las_with_subtypes", GOLD, PREDICTED, (1 + 1) / 7),
        ("uas_without_punctuation", GOLD, PREDICTED, (3 + 1) / 5),
        ("las_without_punctuation", GOLD, PREDICTED, (2 + 1) / 5),  # gold's punctuation, whatever is predicted
        # What is only predicted to be punctuation counts.
        ("las_without_punctuation", [((0, "root"), (1, "obj"))], [((0, "root"), (1, "punct"))], 1 / 2),
        ("las_without_punctuation", [((0, "punct:x"),)], [((0, "punct:x"),)], 0.0),
        ("las", [()], [()], 0.0),
        ("uas", [], [], 0.0),
    ],
)
def test_attachment_worked_by_hand(name: str, gold: list[Any], predicted: list[Any], expected: float) -> None:
    assert METRICS[name].compute(gold, predicted) == pytest.approx(expected)


def test_a_sentence_with_a_word_too_few_is_not_scored() -> None:
    with pytest.raises(ValueError, match="shorter"):
        METRICS["uas"].compute([((0, "root"), (1, "obj"))], [((0, "root"),)])
