"""Labelled spans, such as entities: exact boundaries and label, micro over the corpus.

Source: the CoNLL-2000 scorer conlleval (Tjong Kim Sang) and seqeval (its default mode), on spans instead of tags:
:func:`mtsearch.tasks.bio.spans_of` reads tags as they do.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.tasks.metrics.contract import Metric
from mtsearch.tasks.metrics.micro import MicroAverage, f1, matches, precision, recall

__all__ = ["METRICS"]

_Span = tuple[int, int, str]


def _spans(gold: Sequence[_Span], predicted: Sequence[_Span]) -> tuple[int, int, int]:
    return matches(map(tuple, gold), map(tuple, predicted))


METRICS = (
    Metric("span_f1", "maximize", MicroAverage(_spans, f1), kinds=("ner",)),
    Metric("span_precision", "maximize", MicroAverage(_spans, precision), kinds=("ner",)),
    Metric("span_recall", "maximize", MicroAverage(_spans, recall), kinds=("ner",)),
)
