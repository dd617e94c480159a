"""Scores of answers worked by hand, as SQuAD's scripts count them."""

from __future__ import annotations

from typing import Any

import pytest

from mtsearch.tasks.metrics import METRICS


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        (["Denver Broncos"], "Denver Broncos", 1.0, 1.0),
        (["Denver Broncos"], " the  DENVER broncos!", 1.0, 1.0),  # case, articles, punctuation, white space
        (["Denver Broncos"], "The Broncos of Denver in Colorado", 0.0, 2 * 2 / (2 + 5)),
        (["Denver Broncos"], "Carolina Panthers", 0.0, 0.0),
        (["Denver Broncos", "Broncos", "the Broncos"], "broncos", 1.0, 1.0),  # the best of all answers
        (["Denver Broncos", "Carolina"], "Carolina Panthers Broncos", 0.0, 2 * 1 / (1 + 3)),
        (["a b b"], "b b b", 0.0, 2 * 2 / (2 + 3)),  # "a" is an article; two of three b are right
        (["theatre"], "atre", 0.0, 0.0),  # articles are words
        (["U.S. $10"], "us 10", 1.0, 1.0),
        (["well-known"], "well known", 0.0, 0.0),  # punctuation leaves no gap
        (["“Denver”"], "Denver", 0.0, 0.0),  # ASCII punctuation only
        (["Denver"], "", 0.0, 0.0),
        ([], "", 1.0, 1.0),
        ([], "Denver", 0.0, 0.0),
        ([], "the", 1.0, 1.0),  # normalisation leaves nothing
        (["the", "Denver"], "", 0.0, 0.0),  # a gold answer of which nothing is left is no answer
        (["the", "Denver"], "denver", 1.0, 1.0),
        (["the"], "", 1.0, 1.0),  # so that this question has none
    ],
)
def test_an_answer_worked_by_hand(gold: list[str], predicted: str, exact: float, f1: float) -> None:
    answers = [tuple((text, 0) for text in gold)]
    assert METRICS["exact_match"].compute(answers, [predicted]) == exact
    assert METRICS["answer_f1"].compute(answers, [predicted]) == pytest.approx(f1)


# Right; one of two words; no answer to a question that has one; then two without an answer: right, wrong.
GOLD: list[Any] = [(("Denver", 3),), (("Santa Clara", 0), ("Clara", 6)), (("1866", 9),), (), ()]
PREDICTED = ["denver", "Santa", "", "", "1866"]


@pytest.mark.parametrize(
    ("name", "gold", "predicted", "expected"),
    [
        ("exact_match", GOLD, PREDICTED, (1 + 0 + 0 + 1 + 0) / 5),
        ("answer_f1", GOLD, PREDICTED, (1 + 2 / 3 + 0 + 1 + 0) / 5),
        ("answer_f1_answerable", GOLD, PREDICTED, (1 + 2 / 3 + 0) / 3),
        ("no_answer_accuracy", GOLD, PREDICTED, 1 / 2),
        ("no_answer_accuracy", GOLD[:3], PREDICTED[:3], 0.0),  # there are none
        ("answer_f1_answerable", GOLD[3:], PREDICTED[3:], 0.0),
        ("answer_f1", [], [], 0.0),
    ],
)
def test_a_corpus_worked_by_hand(name: str, gold: list[Any], predicted: list[str], expected: float) -> None:
    assert METRICS[name].compute(gold, predicted) == pytest.approx(expected)
