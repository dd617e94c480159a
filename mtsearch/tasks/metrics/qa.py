"""Answers to questions: exact match and F1 over words, the better of all gold answers.

Case, punctuation, articles and white space do not count. Where a question has no answer, only the empty one is right.
``answer_f1_answerable`` is over the questions with answers (the script's ``HasAns_f1``), ``no_answer_accuracy`` over
those without (its ``NoAns_exact`` and ``NoAns_f1``, which are the same).

Source: SQuAD 2.0's evaluate-v2.0.py. SQuAD 1.1's script gives the same where all questions have answers, unless
nothing but punctuation and articles stands in a gold answer; that is no answer here, as in 2.0.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from mtsearch.tasks.metrics.contract import Metric
from mtsearch.tasks.metrics.micro import MicroAverage, f1, matches, share

__all__ = ["METRICS"]

_Answers = Sequence[tuple[str, int]]  # text and first character

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _words(answer: str) -> list[str]:
    """An answer's words in lower case, without punctuation and articles."""
    return _ARTICLE.sub(" ", answer.lower().translate(_WITHOUT_PUNCTUATION)).split()


def _possible(gold: _Answers) -> list[list[str]]:
    return [words for text, _ in gold if (words := _words(text))] or [[]]


def _exact_match(gold: _Answers, predicted: str) -> tuple[int, int]:
    return int(_words(predicted) in _possible(gold)), 1


def _answer_f1(gold: _Answers, predicted: str) -> tuple[float, int]:
    answer = _words(predicted)
    return max(f1(*matches(words, answer)) if words or answer else 1.0 for words in _possible(gold)), 1


def _answer_f1_answerable(gold: _Answers, predicted: str) -> tuple[float, int]:
    return _answer_f1(gold, predicted) if gold else (0.0, 0)


def _no_answer(gold: _Answers, predicted: str) -> tuple[int, int]:
    return (0, 0) if gold else _exact_match(gold, predicted)


METRICS = (
    Metric("exact_match", "maximize", MicroAverage(_exact_match, share), kinds=("qa",)),
    Metric("answer_f1", "maximize", MicroAverage(_answer_f1, share), kinds=("qa",)),
    Metric("answer_f1_answerable", "maximize", MicroAverage(_answer_f1_answerable, share), kinds=("qa",)),
    Metric("no_answer_accuracy", "maximize", MicroAverage(_no_answer, share), kinds=("qa",)),
)
