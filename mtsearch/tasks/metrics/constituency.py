"""Constituents: labelled brackets as EVALB counts them with its parameter file COLLINS.prm.

A bracket is right if gold has one with the same first and last word and the same label; each counts as often as it
occurs, so that unary chains count. As COLLINS.prm says, words with a punctuation tag are taken out before spans are
compared (with the brackets that are empty then), ADVP and PRT are the same label, and the top node does not count.

Three things are ours. The tags are gold's, in gold and prediction alike (EVALB takes each file's own, and skips a
sentence in which they take out different words). The names ROOT and S1 of the top node do not count, as TOP.
Function tags and traces are no concern here: readers take them away.

Source: EVALB (Sekine and Collins), evalb.c and COLLINS.prm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from mtsearch.tasks.metrics.contract import Metric
from mtsearch.tasks.metrics.micro import MicroAverage, f1, matches, precision, recall, share

__all__ = ["METRICS"]

_Bracket = tuple[int, int, str]
_Tree = tuple[Sequence[str], Sequence[_Bracket]]  # the words' tags, and the constituents

# Of a word, its tag: it is taken out. Of a constituent, its label: its bracket is.
_DELETED = frozenset({"TOP", "ROOT", "S1", "-NONE-", ",", ":", "``", "''", "."})


def _brackets(gold: _Tree, predicted: _Tree) -> tuple[int, int, int]:
    # How many words are left before each word, and before the end.
    left = [0, *accumulate(int(tag not in _DELETED) for tag in gold[0])]
    return matches(_counted(gold[1], left), _counted(predicted[1], left))


def _counted(constituents: Sequence[_Bracket], left: Sequence[int]) -> Iterator[_Bracket]:
    for start, end, label in constituents:
        if left[start] < left[end] and label not in _DELETED:
            yield left[start], left[end], "ADVP" if label == "PRT" else label


def _complete(gold: _Tree, predicted: _Tree) -> tuple[int, int]:
    """Whether all brackets of a sentence are right; one in which no word is left does not count."""
    if _DELETED.issuperset(gold[0]):
        return 0, 0
    matched, of_gold, of_predicted = _brackets(gold, predicted)
    return int(matched == of_gold == of_predicted), 1


METRICS = (
    Metric("bracket_f1", "maximize", MicroAverage(_brackets, f1), kinds=("constituency",)),
    Metric("bracket_precision", "maximize", MicroAverage(_brackets, precision), kinds=("constituency",)),
    Metric("bracket_recall", "maximize", MicroAverage(_brackets, recall), kinds=("constituency",)),
    Metric("bracket_exact_match", "maximize", MicroAverage(_complete, share), kinds=("constituency",)),
)
