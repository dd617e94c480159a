"""Constituency trees: the likelihood against all labelled binary trees, unary chains, windows, brackets."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.data.readers import READERS
from mtsearch.data.windows import windows_of
from mtsearch.errors import DataError
from mtsearch.tasks.contract import Inventory, Logits
from tests.tasks.decoding.batches import mask_of
from tests.tasks.decoding.test_chart import all_trees
from tests.tasks.structures import CASES, build_head, encoded, sentence, targets_of, task_of

TASK = task_of("constituency")
AB = Inventory(("A", "B"), (1, 1))


def logits_of(values_BWWC: torch.Tensor, lengths: list[int]) -> Logits:
    mask_BW = mask_of(lengths)
    return Logits(values_BWWC, (mask_BW.unsqueeze(1) & mask_BW.unsqueeze(2)).triu())


def tree(num_words: int, *phrases: tuple[int, int, str]) -> Any:
    return sentence(num_words, (("NN",) * num_words, phrases))


LabelledTrees = list[tuple[dict[tuple[int, int], int], frozenset[tuple[int, int, str]]]]


@functools.cache
def all_labelled_trees(num_words: int) -> LabelledTrees:
    """Every binary tree over so many words with A, B or nothing on each span: its labels, and its phrases."""
    found = []
    for spans in all_trees(0, num_words):
        for labels in itertools.product(range(3), repeat=len(spans)):
            labelled = dict(zip(spans, labels, strict=True))
            found.append((labelled, frozenset((*span, "AB"[label - 1]) for span, label in labelled.items() if label)))
    return found


def scores_of(trees: LabelledTrees, values_WWC: torch.Tensor) -> torch.Tensor:
    wide = values_WWC.tolist()
    sums = [sum(wide[start][end - 1][label] for (start, end), label in labels.items()) for labels, _ in trees]
    return torch.tensor(sums, dtype=torch.float64)


@pytest.mark.parametrize(
    ("row", "ways"),
    [
        (tree(1, (0, 1, "A")), 1),
        (tree(1), 1),
        (tree(3, (0, 3, "A")), 2),  # words that hang from one phrase, in two ways of making them binary
        (tree(3, (0, 3, "A"), (1, 3, "B")), 1),
        (tree(4, (0, 4, "A"), (2, 3, "B")), 5),
        (tree(4, (0, 4, "A"), (1, 3, "B")), 2),
        (tree(4), 5),
    ],
)
def test_undecided_scores_cost_the_number_of_trees_over_the_ways_to_make_gold_binary(row: Any, ways: int) -> None:
    num_words = len(row.words)
    spans = 2 * num_words - 1
    num_trees = math.comb(2 * num_words - 2, num_words - 1) // num_words * 3**spans
    logits = logits_of(torch.zeros(1, num_words, num_words, 3), [num_words])
    loss = TASK.loss(logits, targets_of(TASK, [row], AB), AB)
    assert float(loss) == pytest.approx(math.log(num_trees / ways), rel=1e-5)


ROWS = [tree(3, (0, 3, "A"), (0, 1, "B")), tree(1, (0, 1, "B")), tree(4, (0, 4, "B"), (1, 4, "B"), (3, 4, "A"))]


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_the_likelihood_of_all_trees_with_the_gold_phrases(seed: int) -> None:
    values = 3 * torch.randn(3, 4, 4, 3, generator=torch.Generator().manual_seed(seed))
    expected = 0.0
    for row, own in zip(ROWS, values, strict=True):
        trees = all_labelled_trees(len(row.words))
        scores = scores_of(trees, own)
        is_gold = torch.tensor([phrases == frozenset(row.label[1]) for _, phrases in trees])
        expected += float(scores.logsumexp(0) - scores[is_gold].logsumexp(0))
    loss = TASK.loss(logits_of(values, [3, 1, 4]), targets_of(TASK, ROWS, AB), AB)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_a_phrase_whose_label_train_lacks_may_have_any_or_none() -> None:
    known = Inventory(("B",), (1,))
    values = torch.randn(1, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    loss = TASK.loss(logits_of(values, [2]), targets_of(TASK, [tree(2, (0, 2, "A"))], known), known)
    # The one binary tree of two words; its words have no label, the whole may have B or none.
    words = [values[0, word, word] for word in (0, 1)]
    assert float(loss) == pytest.approx(float(sum(own.logsumexp(0) - own[0] for own in words)), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_labelled_tree_is_decoded(seed: int) -> None:
    values = torch.randn(1, 4, 4, 3, generator=torch.Generator().manual_seed(seed))
    trees = all_labelled_trees(4)
    _, best = trees[int(scores_of(trees, values[0]).argmax())]
    (decoded,) = TASK.decode(logits_of(values, [4]), AB)
    assert decoded["prediction"][0] == ()
    assert frozenset(decoded["prediction"][1]) == best


@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_whatever_the_scores_what_is_decoded_nests_and_is_in_pre_order(seed: int, lengths: list[int]) -> None:
    case = CASES["constituency"]
    logits = build_head(case, seed)(encoded(lengths, seed=seed))
    for one, length in zip(case.task.decode(logits, case.inventory), lengths, strict=True):
        phrases = one["prediction"][1]
        raw = ("NN",) * length, phrases
        assert case.task.wanted.read_label(raw, ("a",) * length)[1] == tuple(phrases)  # type: ignore[call-arg]


def test_phrases_over_the_same_words_are_one_label_and_come_apart_again() -> None:
    row = tree(2, (0, 2, "S"), (0, 2, "VP"), (1, 2, "NP"), (1, 2, "NP"))
    inventory = TASK.inventory([row])
    assert inventory.labels == ("NP NP", "S VP")
    values = torch.zeros(1, 2, 2, 3)
    values[0, 0, 1, 2] = values[0, 1, 1, 1] = 1.0
    (one,) = TASK.decode(logits_of(values, [2]), inventory)
    assert tuple(one["prediction"][1]) == row.label[1]


def test_labels_with_a_plus_are_labels_as_any_others() -> None:
    row = tree(1, (0, 1, "NP+A"))
    inventory = TASK.inventory([row])
    (one,) = TASK.decode(logits_of(torch.tensor([[[[0.0, 1.0]]]]), [1]), inventory)
    assert one["prediction"][1] == [(0, 1, "NP+A")]


def test_trees_without_phrases_are_an_error() -> None:
    with pytest.raises(DataError, match="the training split must have phrases, but its trees have none"):
        TASK.inventory([tree(2)])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ((["NN"], []), r"as many words as the sentence \(3\), but has 1"),
        ((["NN"] * 3, [(0, 4, "A")]), r"phrases must nest, .* within the 3 words, but A is \[0, 4\)"),
        ((["NN"] * 3, [(1, 1, "A")]), r"A is \[1, 1\)"),
        ((["NN"] * 3, [(0, 2, "A"), (1, 3, "B")]), r"B is \[1, 3\)"),
        ((["NN"] * 3, [(0, 1, "A"), (0, 3, "B")]), r"B is \[0, 3\)"),
        ((["NN"] * 3, [(2, 3, "A"), (0, 1, "B")]), r"B is \[0, 1\)"),
        ((["NN"] * 3, [(0, 1, "A B")]), "a phrase's label must be text without spaces, but is 'A B'"),
        ((["NN"] * 3, [(0, 1, "")]), "but is ''"),
    ],
)
def test_what_is_no_tree_is_refused(raw: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TASK.wanted.read_label(raw, ("a", "b", "c"))  # type: ignore[call-arg]


@settings(max_examples=40)
@given(st.integers(1, 8).flatmap(CASES["constituency"].labels))
def test_every_tree_is_read_as_it_is(label: Any) -> None:
    tags, phrases = label
    raw = [list(tags), [list(phrase) for phrase in phrases]]
    assert TASK.wanted.read_label(raw, ("a",) * len(tags)) == label  # type: ignore[call-arg]


def test_a_window_shows_the_phrases_within_it() -> None:
    row = tree(6, (0, 6, "S"), (0, 2, "NP"), (2, 6, "VP"), (3, 5, "NP"))
    shown = TASK.window(row, 2, 6)
    assert shown.words == ("c", "d", "e", "f")
    assert shown.label == (("NN",) * 4, ((0, 4, "VP"), (1, 3, "NP")))


def test_of_each_window_stays_what_lies_in_its_own_words() -> None:
    windows = windows_of([(0, 4), (2, 6)])  # the first three words, and the last three
    first = {"prediction": ((), [(0, 4, "S"), (1, 4, "VP"), (3, 4, "NP")])}
    second = {"prediction": ((), [(0, 4, "S"), (0, 2, "NP"), (2, 4, "VP")])}
    merged = TASK.merge([first, second], windows, tree(6))["prediction"]
    assert merged == ((), [(0, 3, "S"), (1, 3, "VP"), (3, 6, "S"), (3, 4, "NP"), (4, 6, "VP")])


@settings(max_examples=40)
@given(st.integers(1, 8).flatmap(lambda n: CASES["constituency"].labels(n)))
def test_a_prediction_is_written_as_brackets_that_read_back(label: Any) -> None:
    tags, phrases = label
    words = tuple("ab()cdef"[: len(tags)])
    text = TASK.render(replace(sentence(len(tags), None), words=words), {"prediction": [[], phrases]})
    table = READERS["brackets"](text.splitlines(), False)
    assert not table.refused
    ((_, values),) = table.rows
    columns = dict(zip(table.columns, values, strict=True))
    assert tuple(columns["words"]) == words  # type: ignore[arg-type]
    assert tuple(columns["constituents"]) == phrases  # type: ignore[arg-type]
