"""Metrics of classes held to numbers worked by hand, and to scikit-learn's over single words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from mtsearch.tasks.metrics import METRICS

TAGGED = [("DET", "NOUN"), ("VERB",), (), ("NOUN", "NOUN", "VERB")]
GUESSED = [("DET", "VERB"), ("VERB",), (), ("NOUN", "DET", "NOUN")]


@pytest.mark.parametrize(
    ("name", "gold", "predicted", "expected"),
    [
        ("accuracy", ["a", "b", "b", "a"], ["a", "b", "a", "a"], 3 / 4),
        ("accuracy", ["aa", "ab"], ["aa", "aa"], 1 / 2),  # classes, not letters
        # a: precision 2/3, recall 1, F1 0.8; b: precision 1, recall 1/2, F1 2/3
        ("macro_f1", ["a", "b", "b", "a"], ["a", "b", "a", "a"], (0.8 + 2 / 3) / 2),
        # a: F1 2·1/(2 + 1) = 2/3; b: none predicted, F1 0; c: none in gold, F1 0
        ("macro_f1", ["a", "b", "a"], ["a", "c", "c"], (2 / 3 + 0 + 0) / 3),
        # (tp·tn - fp·fn) / sqrt(...) with tp=1 tn=2 fp=0 fn=1
        ("matthews", ["a", "b", "b", "a"], ["a", "b", "a", "a"], 2 / math.sqrt(1 * 2 * 2 * 3)),
        ("matthews", ["a", "b"], ["a", "a"], 0.0),
        # over words: DET, VERB and one NOUN of six are right; the mean over sentences would be (1/2 + 1 + 1/3) / 3
        ("accuracy", TAGGED, GUESSED, 3 / 6),
        # DET 2·1/(1 + 2), NOUN 2·1/(3 + 2), VERB 2·1/(2 + 2)
        ("macro_f1", TAGGED, GUESSED, (2 / 3 + 2 / 5 + 1 / 2) / 3),
        ("accuracy", [[], []], [[], []], 0.0),
        ("macro_f1", [(), ()], [(), ()], 0.0),
        ("accuracy", [], [], 0.0),
        ("macro_f1", [], [], 0.0),
    ],
)
def test_a_metric_worked_by_hand(name: str, gold: list[object], predicted: list[object], expected: float) -> None:
    assert METRICS[name].compute(gold, predicted) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")))))
def test_words_are_scored_as_classes_whichever_sentence_they_stand_in(corpus: list[list[tuple[str, str]]]) -> None:
    gold, predicted = ([tuple(word[side] for word in sentence) for sentence in corpus] for side in (0, 1))
    gold_words, predicted_words = (sum(sentences, ()) for sentences in (gold, predicted))
    if gold_words:
        assert METRICS["accuracy"].compute(gold, predicted) == accuracy_score(gold_words, predicted_words)
        assert METRICS["accuracy"].compute(gold_words, predicted_words) == accuracy_score(gold_words, predicted_words)
        expected = f1_score(gold_words, predicted_words, average="macro", zero_division=0.0)
        assert METRICS["macro_f1"].compute(gold, predicted) == expected


@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_a_sentence_with_a_word_too_few_is_not_scored(name: str) -> None:
    with pytest.raises(ValueError, match="shorter"):
        METRICS[name].compute([("a", "b"), ("a",)], [("a",), ("b", "a")])
