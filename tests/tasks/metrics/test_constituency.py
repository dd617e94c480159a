"""Bracket scores worked by hand, as EVALB counts them with COLLINS.prm."""

from __future__ import annotations

from typing import Any

import pytest

from mtsearch.tasks.metrics import METRICS

# (S (NP she) , (VP (ADVP soon) left (PRT out)) .)
TAGS = ("PRP", ",", "RB", "VBD", "RP", ".")
CONSTITUENTS = ((0, 6, "S"), (0, 1, "NP"), (2, 5, "VP"), (2, 3, "ADVP"), (4, 5, "PRT"))
GOLD = (TAGS, CONSTITUENTS)


def tree(*constituents: tuple[int, int, str]) -> tuple[tuple[str, ...], tuple[tuple[int, int, str], ...]]:
    """A prediction: its tags do not matter."""
    return (), constituents


@pytest.mark.parametrize(
    ("gold", "predicted", "matched", "num_gold", "num_predicted"),
    [
        pytest.param(GOLD, tree(*CONSTITUENTS), 5, 5, 5, id="all"),
        pytest.param(GOLD, tree((0, 6, "S"), (0, 1, "NP"), (3, 5, "VP")), 2, 5, 3, id="a word too few"),
        pytest.param(GOLD, tree((0, 5, "S"), (0, 2, "NP"), (1, 6, "VP")), 3, 5, 3, id="punctuation at the edges"),
        pytest.param(GOLD, tree((0, 6, "S"), (1, 2, "NP"), (5, 6, "X")), 1, 5, 1, id="nothing but punctuation"),
        pytest.param(GOLD, tree((2, 3, "PRT"), (4, 5, "ADVP")), 2, 5, 2, id="ADVP is PRT"),
        pytest.param(GOLD, tree((0, 6, "NP"), (0, 1, "S")), 0, 5, 2, id="other labels"),
        pytest.param(
            GOLD, tree((0, 6, "TOP"), (0, 6, "ROOT"), (0, 6, "S1"), (0, 6, "S")), 1, 5, 1, id="the top does not count"
        ),
        # Gold has NP twice over one word, the prediction three times: two of them are right.
        pytest.param(
            (("NN",), ((0, 1, "NP"), (0, 1, "NP"))),
            tree((0, 1, "NP"), (0, 1, "NP"), (0, 1, "NP")),
            2,
            2,
            3,
            id="each as often as it occurs",
        ),
        # A unary chain counts link by link; in which order does not matter.
        pytest.param(
            (("VB",), ((0, 1, "S"), (0, 1, "VP"))), tree((0, 1, "VP"), (0, 1, "S")), 2, 2, 2, id="a unary chain"
        ),
        pytest.param((("NN", "NN"), ()), tree((0, 2, "NP")), 0, 0, 1, id="no constituents"),
        pytest.param(((".", "''"), ((0, 2, "S"),)), tree((0, 1, "NP")), 0, 0, 0, id="no word is left"),
    ],
)
def test_brackets_worked_by_hand(gold: Any, predicted: Any, matched: int, num_gold: int, num_predicted: int) -> None:
    scores = [METRICS[f"bracket_{name}"].compute([gold], [predicted]) for name in ("precision", "recall", "f1")]
    precision = matched / num_predicted if num_predicted else 0.0
    recall = matched / num_gold if num_gold else 0.0
    f1 = 2 * matched / (num_gold + num_predicted) if num_gold + num_predicted else 0.0
    assert scores == pytest.approx([precision, recall, f1])
    exact = METRICS["bracket_exact_match"].compute([gold], [predicted])
    assert exact == float(matched == num_gold == num_predicted and gold[0] != (".", "''"))


@pytest.mark.parametrize("tag", [",", ":", "``", "''", "."])
def test_a_word_with_a_punctuation_tag_is_no_word(tag: str) -> None:
    gold = (("NN", tag), ((0, 2, "NP"),))
    assert METRICS["bracket_f1"].compute([gold], [tree((0, 1, "NP"))]) == 1.0
    assert METRICS["bracket_f1"].compute([(("NN", "-LRB-"), ((0, 2, "NP"),))], [tree((0, 1, "NP"))]) == 0.0


def test_scores_are_over_the_brackets_of_the_corpus() -> None:
    long, short = GOLD, (("UH", "."), ((0, 2, "INTJ"),))
    predicted = [tree((0, 6, "S"), (0, 1, "NP"), (3, 5, "VP")), tree((0, 1, "INTJ"))]
    assert METRICS["bracket_precision"].compute([long, short], predicted) == pytest.approx((2 + 1) / (3 + 1))
    assert METRICS["bracket_recall"].compute([long, short], predicted) == pytest.approx((2 + 1) / (5 + 1))


def test_complete_matches_are_over_the_sentences_that_have_words() -> None:
    no_word: Any = ((".",), ((0, 1, "S"),))
    no_bracket: Any = (("UH",), ())
    gold, predicted = [GOLD, GOLD, no_word, no_bracket], [GOLD, tree((0, 6, "S")), no_word, tree()]
    assert METRICS["bracket_exact_match"].compute(gold, predicted) == pytest.approx((1 + 0 + 1) / 3)
