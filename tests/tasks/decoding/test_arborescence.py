"""Best trees, against all trees of short sentences and against networkx's Edmonds."""

from __future__ import annotations

import functools
import itertools

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mtsearch.tasks.decoding.arborescence import best_trees
from tests.tasks.decoding.batches import SCORES, mask_of, random_scores

LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=3)


def is_tree(heads: tuple[int, ...]) -> bool:
    """Whether every word comes from the root, by way of one word."""
    for word in range(1, len(heads) + 1):
        above, steps = word, 0
        while above and steps <= len(heads):
            above, steps = heads[above - 1], steps + 1
        if above:
            return False
    return not heads or heads.count(0) == 1


@functools.cache
def all_trees(num_words: int) -> Tensor:
    """The heads of every tree: [trees, words]."""
    candidates = itertools.product(range(num_words + 1), repeat=num_words)
    return torch.tensor([heads for heads in candidates if is_tree(heads)])


def score(scores_WH: Tensor, heads: Tensor) -> Tensor:
    return scores_WH.double().gather(1, heads.unsqueeze(-1)).sum()


def highest_score(scores_WH: Tensor) -> Tensor:
    """Of all trees."""
    trees = all_trees(len(scores_WH))
    return scores_WH.double().expand(len(trees), -1, -1).gather(2, trees.unsqueeze(-1)).sum((1, 2)).max()


def test_there_are_as_many_trees_as_cayleys_formula_says() -> None:
    assert [len(all_trees(n)) for n in range(1, 6)] == [n ** (n - 1) for n in range(1, 6)]


@settings(max_examples=50)
@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_best_tree_is_the_best_of_all(kind: str, seed: int, lengths: list[int]) -> None:
    num_words = max(lengths)
    scores = random_scores(kind, seed, len(lengths), num_words, num_words + 1)
    heads = best_trees(scores, mask_of(lengths))
    for row, length in enumerate(lengths):
        own, found = scores[row, :length, : length + 1], heads[row, :length]
        assert heads[row, length:].tolist() == [-1] * (num_words - length)
        if length and (highest := highest_score(own)) > -torch.inf:
            assert is_tree(tuple(found.tolist()))
            torch.testing.assert_close(score(own, found), highest)


def edmonds_of_networkx(scores_WH: Tensor) -> float:
    """The highest sum of scores of a tree; arcs from the root cost 1,000 more, so that there is one."""
    graph = nx.DiGraph()
    for word, row in enumerate(scores_WH.double().tolist(), start=1):
        graph.add_weighted_edges_from((h, word, x - 1000 * (h == 0)) for h, x in enumerate(row) if h != word)
    tree = nx.maximum_spanning_arborescence(graph)
    return float(sum(scores_WH[word - 1, head].double() for head, word in tree.edges))


@pytest.mark.parametrize("kind", ["plain", "tied"])
def test_trees_of_longer_sentences_score_as_networkxs(kind: str) -> None:
    lengths = [20, 13, 9, 17]
    scores = 3 * random_scores(kind, 1, 4, 20, 21)
    for row, length in enumerate(lengths):
        own = scores[row, :length, : length + 1]
        found = best_trees(scores, mask_of(lengths))[row, :length]
        assert is_tree(tuple(found.tolist()))
        assert float(score(own, found)) == pytest.approx(edmonds_of_networkx(own), abs=1e-4)


def test_john_saw_mary() -> None:
    # McDonald et al. (2005), "Non-projective dependency parsing using spanning tree algorithms", figure 2
    scores = torch.tensor([[[9.0, 0, 30, 11], [10, 20, 0, 0], [9, 3, 30, 0]]])
    assert best_trees(scores, mask_of([3])).tolist() == [[2, 0, 2]]


def test_best_heads_that_are_a_tree_are_kept() -> None:
    heads = torch.tensor([[2, 0, 2, 3], [0, 1, 2, 3], [4, 4, 4, 0]])
    scores = torch.randn(3, 4, 5).scatter_(2, heads.unsqueeze(-1), 10.0)
    assert best_trees(scores, mask_of([4, 4, 4])).equal(heads)


def test_one_word_hangs_from_the_root_even_if_all_would_rather() -> None:
    scores = torch.tensor([[[9.0, 0, 1, 0], [9, 2, 0, 0], [8, 0, 1, 0]]])
    # 9 + 2 + 1; with word 2 or 3 below the root it were 9 + 1 + 1, or 8 + 2 + 0
    assert best_trees(scores, mask_of([3])).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("forbidden", [-torch.inf, torch.finfo(torch.float32).min, -1e9])
def test_numbers_that_forbid_an_arc_cost_the_other_scores_no_digits(forbidden: float) -> None:
    # With a constant on the root's arcs that outweighs all scores together, nothing would be left of the 0.001.
    scores = torch.zeros(1, 3, 4)
    scores[0, :, 0] = torch.tensor([0.0, 0.001, forbidden])
    scores[0, :, 3] = forbidden  # so that only the root may enter words 1 and 2
    assert best_trees(scores, mask_of([3]))[0, :2].tolist() == [2, 0]


def test_as_many_cycles_as_words_are_undone_one_after_the_other() -> None:
    # A word's best head is the one before it, and the first word's the second: each round adds a word to their cycle.
    num_words = 60
    scores = torch.zeros(1, num_words, num_words + 1)
    words = torch.arange(num_words)
    scores[0, words[1:], words[1:]] = 9.0  # the word before
    scores[0, words[:-1], words[:-1] + 2] = 5.0  # the word behind
    scores[0, :, 0] = torch.arange(num_words) / 100  # the last one would be the root's best child
    (heads,) = best_trees(scores, mask_of([num_words])).tolist()
    # But each arc that it would turn around costs 4, and brings 0.01.
    assert heads == list(range(num_words))


@settings(max_examples=50)
@given(arrays("float32", (2, 6, 7)), st.integers(0, 6))
def test_whatever_the_scores_it_ends_with_a_tree_unless_arcs_are_forbidden(scores: object, length: int) -> None:
    anything = torch.as_tensor(scores)
    heads = best_trees(anything.masked_fill(anything < -1e30, torch.nan), mask_of([6, length]))
    assert is_tree(tuple(heads[0].tolist()))
    assert is_tree(tuple(heads[1, :length].tolist()))


def test_what_is_not_a_number_is_taken_last() -> None:
    scores = torch.tensor([[[-9.0, 0, torch.nan], [torch.nan, -9, 0]]])
    assert best_trees(scores, mask_of([2])).tolist() == [[0, 1]]


def test_infinite_scores_that_are_replaced_again_and_again_stay_numbers() -> None:
    # Word 1 takes word 2, and both an arc from word 3, then from word 4; each time the arc of an infinite score goes.
    scores = torch.full((1, 5, 6), -torch.inf)
    arcs = {(1, 0): -1.0, (1, 2): 0.0, (1, 5): -0.5, (2, 1): torch.inf, (2, 3): 0.0, (3, 1): torch.inf, (3, 4): 0.0}
    for (word, head), value in (arcs | {(4, 1): 5.0, (4, 0): 9.0, (5, 1): 7.0, (5, 0): 3.0}).items():
        scores[0, word - 1, head] = value
    assert best_trees(scores, mask_of([5])).tolist() == [[0, 1, 1, 1, 1]]


def test_where_every_tree_is_forbidden_all_words_still_come_from_the_root() -> None:
    scores = torch.full((3, 4, 5), -torch.inf)
    scores[1, 0, 2] = scores[1, 1, 1] = 1.0  # a cycle that none may enter
    scores[2, :2, 0] = 1.0  # two words that only the root may have
    mask = mask_of([4, 4, 4])
    heads = best_trees(scores, mask)
    parents = torch.nn.functional.pad(heads, (1, 0))
    for _ in range(4):
        parents = parents.gather(1, parents)
    assert parents.eq(0).all()


@pytest.mark.parametrize("filler", [0.0, 1e9, torch.nan, torch.inf, -torch.inf])
def test_a_sentence_comes_out_as_it_does_alone_whatever_the_padding_holds(filler: float) -> None:
    lengths = [8, 0, 5, 1, 3]
    mask = mask_of(lengths)
    present = torch.nn.functional.pad(mask, (1, 0), value=True)
    scores = random_scores("plain", 5, 5, 8, 9)
    scores = scores.masked_fill(~(mask.unsqueeze(2) & present.unsqueeze(1)), filler)
    heads = best_trees(scores, mask)
    for row, length in enumerate(lengths):
        alone = best_trees(scores[row : row + 1, :length, : length + 1], mask[row : row + 1, :length])
        assert heads[row, :length].tolist() == alone[0].tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_in_half_precision_are_summed_in_a_higher_one(dtype: torch.dtype) -> None:
    scores = random_scores("plain", 0, 4, 9, 10).to(dtype)
    mask = mask_of([9, 9, 9, 9])
    assert best_trees(scores, mask).equal(best_trees(scores.double(), mask))


def test_a_batch_without_words_has_no_heads() -> None:
    assert best_trees(torch.zeros(2, 0, 1), mask_of([0, 0])).shape == (2, 0)
