"""Dependency trees: losses worked by hand, one tree with one root always, windows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtsearch.data.windows import windows_of
from mtsearch.tasks.contract import Inventory, Logits
from tests.tasks.decoding.batches import mask_of
from tests.tasks.structures import CASES, build_head, encoded, sentence, targets_of, task_of

TASK = task_of("dependency")
AB = Inventory(("A", "B"), (1, 1))


def is_tree(heads: list[int]) -> bool:
    """Whether all words come from one word below the root."""
    if heads.count(0) != 1:
        return False
    for word in range(1, len(heads) + 1):
        for _ in heads:
            word = heads[word - 1] if word else 0
        if word:
            return False
    return True


def test_an_untrained_head_costs_each_word_its_choices_of_head_and_relation() -> None:
    # Of four words each has four: the root, and three other words.
    rows = [sentence(4, ((2, "A"), (0, "B"), (2, "A"), (3, "B"))), sentence(2, ((0, "A"), (1, "A")))]
    targets = targets_of(TASK, rows, AB)
    loss = TASK.loss(TASK.build_head(8, "mean", AB)(encoded([4, 2])), targets, AB)
    assert loss.item() == pytest.approx(4 * math.log(4 * 2) + 2 * math.log(2 * 2), rel=1e-5)
    assert float(TASK.loss_weight(targets, AB)) == 6


def test_the_loss_is_that_of_heads_and_of_relations_at_gold_heads() -> None:
    case = CASES["dependency"]
    head = build_head(case)
    gold = ((3, "A"), (3, "C"), (0, "B"))
    words_BWD, _ = head.words(encoded([3]))
    heads_BHD = torch.cat([head.root.expand(1, 1, -1), words_BWD], 1)
    arcs_WH = head.arc(words_BWD, heads_BHD)[0, ..., 0]
    relations_WHR = head.relation(words_BWD, heads_BHD)[0]
    expected = 0.0
    for word, (of, relation) in enumerate(gold):
        others = [at for at in range(4) if at != word + 1]
        expected -= math.log(arcs_WH[word, others].softmax(-1)[others.index(of)].item())
        expected -= math.log(relations_WHR[word, of].softmax(-1)["ABC".index(relation)].item())
    targets = targets_of(case.task, [sentence(3, gold)], case.inventory)
    assert case.task.loss(head(encoded([3])), targets, case.inventory).item() == pytest.approx(expected, rel=1e-5)


def test_a_relation_that_train_lacks_leaves_the_head_as_target() -> None:
    known, row = Inventory(("A",), (1,)), sentence(2, ((0, "A"), (1, "B")))
    loss = TASK.loss(TASK.build_head(8, "mean", known)(encoded([2])), targets_of(TASK, [row], known), known)
    assert loss.item() == pytest.approx(2 * math.log(2), rel=1e-5)  # two choices of heads, one of relations


@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(1, 7), min_size=1, max_size=3))
def test_whatever_the_scores_one_tree_with_one_root_is_decoded(seed: int, lengths: list[int]) -> None:
    case = CASES["dependency"]
    logits = build_head(case, seed)(encoded(lengths, seed=seed))
    for one, length in zip(case.task.decode(logits, case.inventory), lengths, strict=True):
        assert len(one["prediction"]) == length
        assert is_tree([head for head, _ in one["prediction"]])


def joint(arcs: dict[tuple[int, int], float], num_words: int) -> Logits:
    """Scores of heads (from 1, 0 the root) of words (from 1); of two relations the second one is better."""
    scores = torch.zeros(1, num_words, num_words + 1, 2)
    for (word, head), score in arcs.items():
        scores[0, word - 1, head] = score
    scores[..., 1] += 1.0
    words = torch.arange(num_words)
    scores[0, words, words + 1] = -torch.inf
    return Logits(scores.flatten(2).log_softmax(-1), mask_of([num_words]))


def test_best_heads_that_are_a_cycle_are_made_the_best_tree() -> None:
    (one,) = TASK.decode(joint({(1, 2): 5.0, (2, 1): 5.0, (2, 0): 4.0, (1, 0): 1.0}, 2), AB)
    assert one["prediction"] == [(2, "B"), (0, "B")]


def test_of_two_roots_one_is_left() -> None:
    (one,) = TASK.decode(joint({(1, 0): 5.0, (2, 0): 6.0, (1, 2): 1.0}, 2), AB)
    assert one["prediction"] == [(2, "B"), (0, "B")]


def test_a_window_tells_of_heads_outside_as_of_no_targets() -> None:
    row = sentence(5, ((2, "A"), (0, "B"), (2, "C"), (5, "D"), (3, "E")))
    shown = TASK.window(row, 2, 4)
    assert shown.words == ("c", "d")
    assert shown.label == ((-1, "C"), (-1, "D"))
    assert TASK.window(row, 1, 5).label == ((0, "B"), (1, "C"), (4, "D"), (2, "E"))
    targets = targets_of(TASK, [TASK.window(row, 1, 4)], Inventory(tuple("ABCDE"), (1,) * 5))
    assert targets["heads"].tolist() == [[0, 1, -100]]
    assert float(TASK.loss_weight(targets, AB)) == 2


def merged(*parts: list[tuple[int, str]], spans: list[tuple[int, int]]) -> list[tuple[int, str]]:
    predictions = [{"prediction": part} for part in parts]
    found: list[tuple[int, str]] = TASK.merge(predictions, windows_of(spans), sentence(spans[-1][1], None))[
        "prediction"
    ]
    return found


def test_one_window_is_left_as_it_is() -> None:
    assert merged([(2, "A"), (0, "root")], spans=[(0, 2)]) == [(2, "A"), (0, "root")]


def test_each_word_has_the_arc_of_its_own_window() -> None:
    # The first two words are the first's own, the last two the second's.
    first = [(0, "root"), (1, "A"), (2, "B")]
    second = [(0, "root"), (1, "C"), (2, "D")]
    found = merged(first, second, spans=[(0, 3), (1, 4)])
    assert found == [(0, "root"), (1, "A"), (2, "C"), (3, "D")]


def test_of_two_windows_roots_one_is_left_and_all_other_arcs() -> None:
    first = [(2, "A"), (0, "ROOT"), (2, "B"), (3, "B")]
    second = [(3, "B"), (1, "B"), (0, "ROOT"), (3, "D")]
    found = merged(first, second, spans=[(0, 4), (2, 6)])
    assert found[0] == (2, "A")
    assert found[2:4] == [(2, "B"), (3, "B")] or found[2] == (2, "B")
    assert [found[1], found[4]].count((0, "ROOT")) == 1
    assert [relation for _, relation in found].count("dep") == 1
    assert found[5] == (5, "D")


def test_where_no_word_of_its_own_is_a_windows_root_one_is_made() -> None:
    # The first's root is the second's word, and the second's root is the first's.
    first = [(3, "A"), (1, "A"), (0, "ROOT"), (3, "A")]
    second = [(0, "ROOT"), (1, "B"), (2, "B"), (3, "B")]
    found = merged(first, second, spans=[(0, 4), (1, 5)])
    assert sorted(head for head, _ in found)[0] == 0
    assert [relation for head, relation in found if head == 0] == ["ROOT"]


@settings(max_examples=40)
@given(st.data())
def test_windows_together_are_always_one_tree(data: Any) -> None:
    spans = [(0, 5), (3, 8), (6, 10)]
    case = CASES["dependency"]
    parts = [data.draw(case.labels(end - first)) for first, end in spans]
    found = merged(*parts, spans=spans)
    assert is_tree([head for head, _ in found])
    wanted = [
        (head + window.first if head else 0, relation)
        for part, window in zip(parts, windows_of(spans), strict=True)
        for (head, relation) in [part[word - window.first] for word in window.own]
    ]
    for (head, relation), (before, its) in zip(found, wanted, strict=True):
        roots = {relation for part in parts for of, relation in part if not of}
        assert relation == its if head == before else relation == "dep" or (head == 0 and relation in roots)


@pytest.mark.parametrize(
    ("heads", "reason"),
    [
        ([0], r"the heads must be as many as the words \(3\), but are 1"),
        ([0, 0, 1], r"one word must be the root \(head 0\), but 2 are"),
        ([2, 3, 1], r"one word must be the root \(head 0\), but 0 are"),
        ([0, 3, 2], "the heads must be a tree, but word 2 is below itself"),
        ([0, 2, 1], "the heads must be a tree, but word 2 is below itself"),
        ([0, 1, 4], "a head must be one of the 3 words, or 0, but is 4"),
        ([0, -1, 1], "a head must be one of the 3 words, or 0, but is -1"),
    ],
)
def test_heads_that_are_no_tree_are_refused(heads: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TASK.wanted.read_label([(head, "A") for head in heads], ("a", "b", "c"))  # type: ignore[call-arg]


@settings(max_examples=40)
@given(st.integers(1, 8).flatmap(CASES["dependency"].labels))
def test_every_tree_is_read_as_it_is(arcs: Any) -> None:
    assert TASK.wanted.read_label([list(arc) for arc in arcs], ("a",) * len(arcs)) == arcs  # type: ignore[call-arg]


def test_a_prediction_is_written_as_conllu() -> None:
    lines = TASK.render(sentence(2, None), {"prediction": [[2, "det"], [0, "root"]]}).split("\n")
    assert lines == ["# text = a b", "1\ta" + 4 * "\t_" + "\t2\tdet\t_\t_", "2\tb" + 4 * "\t_" + "\t0\troot\t_\t_", ""]
