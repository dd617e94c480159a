"""What holds of all metrics, and of those that are micro averages, whichever kind of task they are for."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.tasks import Task
from mtsearch.tasks.bio import spans_of
from mtsearch.tasks.metrics import METRICS, classification, constituency, dependency, qa, regression, spans, srl
from mtsearch.tasks.metrics.micro import MicroAverage

_MARKED = st.sampled_from(["O", "B-A", "I-A", "B-B", "B-C-A"])
_WORD = st.tuples(st.integers(0, 3), st.sampled_from(["root", "obj", "nsubj", "nsubj:pass", "punct"]))
_PHRASES = st.lists(_MARKED, max_size=6).map(spans_of)
_ANSWER = st.sampled_from(["Denver", "denver.", "the Denver Broncos", "Broncos Denver", "1866"])


def _pairs_of(word: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Two sequences of one length."""
    words = st.lists(st.tuples(word, word), max_size=5)
    return words.map(lambda pairs: (tuple(one for one, _ in pairs), tuple(other for _, other in pairs)))


@st.composite
def _trees(draw: st.DrawFn) -> tuple[Any, Any]:
    tags = tuple(draw(st.lists(st.sampled_from(["NN", "VB", ",", "."]), min_size=1, max_size=5)))
    ends = itertools.combinations(range(len(tags) + 1), 2)
    brackets = [(start, end, label) for start, end in ends for label in ("S", "NP", "ADVP", "PRT", "TOP")]
    gold, predicted = (tuple(draw(st.lists(st.sampled_from(brackets), max_size=5))) for _ in range(2))
    return (tags, gold), ((), predicted)


@st.composite
def _propositions(draw: st.DrawFn) -> tuple[Any, Any]:
    predicates = st.sets(st.integers(0, 3), max_size=2)
    gold, predicted = (tuple((one, draw(_PHRASES)) for one in sorted(draw(predicates))) for _ in range(2))
    return gold, predicted


EXAMPLES: dict[Any, st.SearchStrategy[tuple[Any, Any]]] = {
    classification: _pairs_of(st.sampled_from(["DET", "NOUN"])),
    spans: st.tuples(_PHRASES, _PHRASES),
    dependency: _pairs_of(_WORD),
    constituency: _trees(),
    srl: _propositions(),
    qa: st.tuples(st.lists(st.tuples(_ANSWER, st.just(0)), max_size=2).map(tuple), _ANSWER | st.just("")),
}
of_each_family = pytest.mark.parametrize("family", EXAMPLES, ids=lambda family: family.__name__.rpartition(".")[2])
few = settings(max_examples=30)


def micro_averages(family: Any) -> list[MicroAverage]:
    return [metric.compute for metric in family.METRICS if isinstance(metric.compute, MicroAverage)]


def corpus_of(family: Any, data: st.DataObject) -> tuple[list[Any], list[Any]]:
    """Gold labels and predictions of a few examples."""
    examples: list[tuple[Any, Any]] = data.draw(st.lists(EXAMPLES[family], max_size=4))
    return [gold for gold, _ in examples], [predicted for _, predicted in examples]


def test_only_errors_are_minimised() -> None:
    assert [name for name, metric in METRICS.items() if metric.direction == "minimize"] == ["mean_squared_error"]


def test_every_metric_suits_kinds_that_there_are_and_every_kind_has_one() -> None:
    kinds = {task.model_fields["kind"].default for task in get_args(get_args(Task)[0])}
    assert set().union(*(metric.kinds for metric in METRICS.values())) == kinds
    assert all(metric.kinds for metric in METRICS.values())


def test_no_two_metrics_have_one_name() -> None:
    names = [metric.name for family in (*EXAMPLES, regression) for metric in family.METRICS]
    assert sorted(names) == sorted(METRICS)


@of_each_family
@few
@given(data=st.data())
def test_they_are_ratios_whichever_the_order_of_examples(family: Any, data: st.DataObject) -> None:
    gold, predicted = corpus_of(family, data)
    order = data.draw(st.permutations(range(len(gold))))
    for compute in micro_averages(family):
        value = compute(gold, predicted)
        assert isinstance(value, float)
        assert 0.0 <= value <= 1.0
        assert compute([gold[i] for i in order], [predicted[i] for i in order]) == pytest.approx(value)


@of_each_family
@few
@given(data=st.data())
def test_gold_itself_is_right_where_anything_counts(family: Any, data: st.DataObject) -> None:
    gold, _ = corpus_of(family, data)
    perfect = [answers[0][0] if answers else "" for answers in gold] if family is qa else gold
    for compute in micro_averages(family):
        assert compute(gold, perfect) == (1.0 if compute.counts(gold, perfect).any() else 0.0)


@of_each_family
@few
@given(data=st.data())
def test_structures_from_json_score_alike(family: Any, data: st.DataObject) -> None:
    gold, predicted = corpus_of(family, data)
    read = json.loads(json.dumps([gold, predicted]))
    for compute in micro_averages(family):
        assert compute(*read) == compute(gold, predicted)


@of_each_family
@few
@given(data=st.data())
def test_counts_of_a_sample_of_examples_give_its_score(family: Any, data: st.DataObject) -> None:
    gold, predicted = corpus_of(family, data)
    drawn = data.draw(st.lists(st.integers(0, len(gold) - 1), min_size=1)) if gold else []
    for compute in micro_averages(family):
        value = compute([gold[i] for i in drawn], [predicted[i] for i in drawn])
        sums = compute.counts(gold, predicted)[drawn].sum(axis=0)
        assert value == (pytest.approx(compute.ratio(*sums)) if drawn else 0.0)


@pytest.mark.parametrize(("family", "prefix"), [(spans, "span"), (constituency, "bracket"), (srl, "srl")])
@few
@given(data=st.data())
def test_f1_is_the_harmonic_mean_of_precision_and_recall(family: Any, prefix: str, data: st.DataObject) -> None:
    gold, predicted = corpus_of(family, data)
    p, r, f1 = (METRICS[f"{prefix}_{name}"].compute(gold, predicted) for name in ("precision", "recall", "f1"))
    assert f1 == pytest.approx(2 * p * r / (p + r) if p + r else 0.0)
