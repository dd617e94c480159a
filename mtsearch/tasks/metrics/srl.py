"""Semantic roles: arguments with the right predicate, span and label, and predicates with the right position.

As srl-eval.pl, the script of the CoNLL-2004 and 2005 shared tasks (also used for CoNLL-2012):

- A phrase ``C-X`` continues the latest argument ``X`` before it: both are one argument of two pieces, which is right
  if gold has the same label with exactly the same pieces. Without an ``X`` before it, it is an ``X`` itself.
- ``R-X`` is a label of its own.
- ``V``, the predicate's own phrase, does not count, and neither does what continues it (``C-V``).

The script counts all arguments of a missed predicate as missed, but skips predicted propositions whose predicate gold
does not have. Here, where predicates are predicted, their arguments count as wrong: precision is what the script
gives as recall with the two files swapped, as is usual (He et al. 2018, arXiv 1805.04787). With gold predicates that
is the script's own precision.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtsearch.tasks.metrics.contract import Metric
from mtsearch.tasks.metrics.micro import MicroAverage, f1, matches, precision, recall

__all__ = ["METRICS"]

_Proposition = tuple[int, Sequence[tuple[int, int, str]]]  # its predicate, and its phrases
_Argument = tuple[int, str, tuple[tuple[int, int], ...]]  # its predicate, its label, its pieces


def _arguments(gold: Sequence[_Proposition], predicted: Sequence[_Proposition]) -> tuple[int, int, int]:
    return matches(_joined(gold), _joined(predicted))


def _joined(propositions: Sequence[_Proposition]) -> list[_Argument]:
    """All arguments of a sentence, each with the phrases that continue it."""
    arguments: list[tuple[int, str, list[tuple[int, int]]]] = []
    for predicate, phrases in propositions:
        latest: dict[str, list[tuple[int, int]]] = {}
        for start, end, name in sorted(phrases):
            label = name.removeprefix("C-")
            if label != name and label in latest:
                latest[label].append((start, end))
            else:
                latest[label] = [(start, end)]
                arguments.append((predicate, label, latest[label]))
    return [(predicate, label, tuple(pieces)) for predicate, label, pieces in arguments if label != "V"]


def _predicates(gold: Sequence[_Proposition], predicted: Sequence[_Proposition]) -> tuple[int, int, int]:
    return matches((predicate for predicate, _ in gold), (predicate for predicate, _ in predicted))


METRICS = (
    Metric("srl_f1", "maximize", MicroAverage(_arguments, f1), kinds=("srl",)),
    Metric("srl_precision", "maximize", MicroAverage(_arguments, precision), kinds=("srl",)),
    Metric("srl_recall", "maximize", MicroAverage(_arguments, recall), kinds=("srl",)),
    Metric(
        "srl_f1_gold_predicates", "maximize", MicroAverage(_arguments, f1), key="with_gold_predicates", kinds=("srl",)
    ),
    Metric("predicate_f1", "maximize", MicroAverage(_predicates, f1), kinds=("srl",)),
)
