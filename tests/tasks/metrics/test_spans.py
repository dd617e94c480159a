"""Span scores worked by hand, as conlleval and seqeval count them."""

from __future__ import annotations

from typing import Any

import pytest

from mtsearch.tasks.bio import spans_of
from mtsearch.tasks.metrics import METRICS

# Gold has 4 spans. Predicted are 5: (0, 2, PER) and (3, 4, LOC) are right; (5, 7, ORG) has a word too few, (0, 1, PER)
# another label, and (2, 3, LOC) is not there.
GOLD = [((0, 2, "PER"), (3, 4, "LOC"), (5, 8, "ORG")), (), ((0, 1, "LOC"),)]
PREDICTED = [((0, 2, "PER"), (3, 4, "LOC"), (5, 7, "ORG")), (), ((0, 1, "PER"), (2, 3, "LOC"))]


@pytest.mark.parametrize(
    ("gold", "predicted", "precision", "recall", "f1"),
    [
        (GOLD, PREDICTED, 2 / 5, 2 / 4, 2 * 2 / (5 + 4)),
        (GOLD, [(), (), ()], 0.0, 0.0, 0.0),
        ([()], [()], 0.0, 0.0, 0.0),  # as conlleval: nothing to find, nothing found
        ([], [], 0.0, 0.0, 0.0),
        # a span that is predicted twice is once right and once wrong
        ([((0, 1, "A"),)], [((0, 1, "A"), (0, 1, "A"))], 1 / 2, 1.0, 2 / 3),
    ],
)
def test_spans_worked_by_hand(
    gold: list[Any], predicted: list[Any], precision: float, recall: float, f1: float
) -> None:
    scores = [METRICS[f"span_{name}"].compute(gold, predicted) for name in ("precision", "recall", "f1")]
    assert scores == pytest.approx([precision, recall, f1])


def test_it_is_the_example_of_seqevals_documentation() -> None:
    gold = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    predicted = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    spans = [[spans_of(tags) for tags in sentences] for sentences in (gold, predicted)]
    assert METRICS["span_f1"].compute(*spans) == 0.50
    assert METRICS["accuracy"].compute(gold, predicted) == pytest.approx(0.80)
