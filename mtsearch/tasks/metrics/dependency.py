"""Dependency trees: the share of words with the right head (UAS), and with the right head and relation (LAS).

Source: the CoNLL 2018 shared task's script conll18_ud_eval.py, which compares universal relations: what follows
a ``:`` (a subtype) is left out. Words are gold here, so its precision, recall and F1 are one number. ``las`` and
``uas`` count every word, as the script does; the variants without punctuation leave out words whose gold relation
is ``punct``, as the older CoNLL-X and Stanford scores leave out punctuation; ``las_with_subtypes`` compares whole
relations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from mtsearch.tasks.metrics.contract import Metric
from mtsearch.tasks.metrics.micro import MicroAverage, share

__all__ = ["METRICS"]

_Word = tuple[int, str]  # its head and its relation


def _head(word: _Word) -> int:
    return word[0]


def _labelled(word: _Word) -> _Word:
    return word[0], word[1].partition(":")[0]


def _with_subtype(word: _Word) -> _Word:
    return word[0], word[1]


def _right(
    gold: Sequence[_Word], predicted: Sequence[_Word], seen: Callable[[_Word], object], punctuation: bool
) -> tuple[int, int]:
    """How many words of a sentence are right in what is ``seen`` of them, and how many count."""
    pairs = [
        (seen(one), seen(other))
        for one, other in zip(gold, predicted, strict=True)
        if punctuation or _labelled(one)[1] != "punct"
    ]
    return sum(one == other for one, other in pairs), len(pairs)


def _metric(name: str, seen: Callable[[_Word], object], punctuation: bool = True) -> Metric:
    count = partial(_right, seen=seen, punctuation=punctuation)
    return Metric(name, "maximize", MicroAverage(count, share), kinds=("dependency",))


METRICS = (
    _metric("las", _labelled),
    _metric("uas", _head),
    _metric("las_without_punctuation", _labelled, punctuation=False),
    _metric("uas_without_punctuation", _head, punctuation=False),
    _metric("las_with_subtypes", _with_subtype),
)
