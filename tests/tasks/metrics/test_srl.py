"""Role scores worked by hand, as srl-eval.pl counts them."""

from __future__ import annotations

from typing import Any

import pytest

from mtsearch.tasks.metrics import METRICS

Phrase = tuple[int, int, str]

# Sentence by sentence: propositions with (2, ..) and (5, ..) as predicates, then one with predicate 0.
GOLD = [
    ((2, ((0, 2, "A0"), (3, 5, "A1"))), (5, ((3, 5, "A0"), (6, 9, "AM-TMP")))),
    ((0, ((1, 3, "A1"),)),),
]
# Right are (2: A0), (5: A0) and (0: A1). (2: A1) has a word too many, (5: AM-TMP) another label, and the argument of
# predicate 4, which gold does not have, counts as wrong: 3 of 6 predicted and 3 of 5 in gold.
PREDICTED = [
    ((2, ((0, 2, "A0"), (3, 6, "A1"))), (4, ((0, 2, "A0"),)), (5, ((3, 5, "A0"), (6, 9, "AM-LOC")))),
    ((0, ((1, 3, "A1"),)),),
]


@pytest.mark.parametrize(
    ("name", "gold", "predicted", "expected"),
    [
        ("srl_precision", GOLD, PREDICTED, 3 / 6),
        ("srl_recall", GOLD, PREDICTED, 3 / 5),
        ("srl_f1", GOLD, PREDICTED, 2 * 3 / (6 + 5)),
        ("predicate_f1", GOLD, PREDICTED, 2 * 3 / (3 + 4)),
        ("srl_recall", GOLD, [(), ()], 0.0),  # all arguments of a missed predicate are missed
        ("srl_f1", GOLD, [GOLD[0], ((1, ((1, 3, "A1"),)),)], 2 * 4 / (5 + 5)),  # of another predicate
        ("predicate_f1", [((1, ()),)], [((1, ()),)], 1.0),  # a predicate without arguments is one
        ("srl_f1", [((1, ()),)], [((1, ()),)], 0.0),
        ("srl_f1", [()], [()], 0.0),
        ("predicate_f1", [], [], 0.0),
    ],
)
def test_propositions_worked_by_hand(name: str, gold: list[Any], predicted: list[Any], expected: float) -> None:
    assert METRICS[name].compute(gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gold", "predicted", "matched", "num_gold", "num_predicted"),
    [
        pytest.param("0-1:A1 4-6:C-A1", "0-1:A1 4-6:C-A1", 1, 1, 1, id="two pieces are one argument"),
        pytest.param("0-1:A1 4-6:C-A1", "0-1:A1", 0, 1, 1, id="a piece is missing"),
        pytest.param("0-1:A1 4-6:C-A1", "0-1:A1 5-6:C-A1", 0, 1, 1, id="a piece is shorter"),
        pytest.param("0-1:A1 2-3:C-A1 4-6:C-A1", "0-1:A1 3-4:C-A1 4-6:C-A1", 0, 1, 1, id="a piece lies elsewhere"),
        pytest.param("0-1:A1 4-6:C-A1", "0-1:A1 4-6:A1", 0, 1, 2, id="two arguments"),
        pytest.param("0-1:A1", "0-1:C-A1", 1, 1, 1, id="a continuation of nothing is an argument"),
        pytest.param("0-1:A1 4-6:A0", "0-1:A1 4-6:C-A0", 2, 2, 2, id="a continuation of another label is one, too"),
        pytest.param("0-1:C-A1 4-6:A1", "0-1:A1 4-6:A1", 2, 2, 2, id="a continuation comes after its argument"),
        # The latest A1 is continued: gold has (0-1) and (2-3 5-6), the prediction (0-1 5-6).
        pytest.param("0-1:A1 2-3:A1 5-6:C-A1", "0-1:A1 5-6:C-A1", 0, 2, 1, id="the latest is continued"),
        pytest.param("0-1:A1 2-3:A1 5-6:C-A1", "2-3:A1 5-6:C-A1", 1, 2, 1, id="the latest is continued, found"),
        pytest.param("5-6:C-A1 0-1:A1", "0-1:A1 5-6:C-A1", 1, 1, 1, id="in whichever order they are listed"),
        pytest.param("0-1:R-A0", "0-1:A0", 0, 1, 1, id="R-A0 is not A0"),
        pytest.param("0-1:R-A0 3-4:C-R-A0", "0-1:R-A0 3-4:C-R-A0", 1, 1, 1, id="R-A0 is continued as others are"),
        pytest.param("0-1:A0 3-4:C-V", "0-1:A0", 1, 1, 1, id="what continues the predicate does not count"),
        pytest.param("0-1:A0", "0-1:A0 2-3:V 3-4:C-V 5-6:C-V", 1, 1, 1, id="nor does the predicate's own phrase"),
    ],
)
def test_arguments_in_pieces_worked_by_hand(
    gold: str, predicted: str, matched: int, num_gold: int, num_predicted: int
) -> None:
    labels = [[((2, phrases(text)),)] for text in (gold, predicted)]
    assert METRICS["srl_precision"].compute(*labels) == pytest.approx(matched / num_predicted)
    assert METRICS["srl_recall"].compute(*labels) == pytest.approx(matched / num_gold)


def phrases(text: str) -> tuple[Phrase, ...]:
    """``0-1:A0 ..`` as phrases."""
    found = []
    for phrase in text.split():
        span, label = phrase.split(":")
        start, end = map(int, span.split("-"))
        found.append((start, end, label))
    return tuple(found)


def test_only_the_score_with_gold_predicates_is_over_that_entry() -> None:
    assert METRICS["srl_f1_gold_predicates"].key == "with_gold_predicates"
    assert METRICS["srl_f1_gold_predicates"].compute == METRICS["srl_f1"].compute
