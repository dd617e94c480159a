"""Viterbi and the forward algorithm, against all paths of short sentences and against pytorch-crf."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchcrf import CRF

from mtsearch.tasks.decoding.paths import best_paths, bio_transitions, log_partition, path_scores
from tests.tasks.decoding.batches import SCORES, mask_of, random_scores

NUM_TAGS = 3
LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=3)
Chain = tuple[Tensor, Tensor, Tensor, Tensor]  # emissions, transitions, starts, ends


def random_chain(kind: str, seed: int, lengths: list[int], num_tags: int = NUM_TAGS) -> Chain:
    shapes = ((len(lengths), max(lengths), num_tags), (num_tags, num_tags), (num_tags,), (num_tags,))
    emissions, transitions, starts, ends = (
        random_scores(kind, seed + 100_000 * place, *shape) for place, shape in enumerate(shapes)
    )
    return emissions, transitions, starts, ends


def all_scores(chain: Chain, row: int, length: int) -> dict[tuple[int, ...], float]:
    """Every path of one sentence with its score, in double precision."""
    emissions, (transitions, starts, ends) = chain[0][row].tolist(), (tensor.tolist() for tensor in chain[1:])
    found = {}
    for path in itertools.product(range(NUM_TAGS), repeat=length):
        scores = [emissions[word][tag] for word, tag in enumerate(path)]
        scores += [transitions[before][after] for before, after in itertools.pairwise(path)]
        found[path] = sum(scores) + (starts[path[0]] + ends[path[-1]] if path else 0.0)
    return found


@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_best_path_is_the_best_of_all(kind: str, seed: int, lengths: list[int]) -> None:
    chain, mask = random_chain(kind, seed, lengths), mask_of(lengths)
    paths, scores = best_paths(*chain, mask)
    for row, length in enumerate(lengths):
        of_all = all_scores(chain, row, length)
        assert float(scores[row]) == pytest.approx(max(of_all.values()), abs=1e-4)
        assert of_all[tuple(paths[row, :length].tolist())] == pytest.approx(max(of_all.values()), abs=1e-4)
        assert paths[row, length:].tolist() == [-1] * (max(lengths) - length)
    torch.testing.assert_close(path_scores(*chain, mask, paths), scores)


@given(SCORES, st.integers(0, 10_000), LENGTHS)
def test_the_partition_is_the_sum_over_all_paths(kind: str, seed: int, lengths: list[int]) -> None:
    chain = random_chain(kind, seed, lengths)
    expected = [
        torch.tensor([*all_scores(chain, row, length).values()], dtype=torch.float64).logsumexp(0)
        for row, length in enumerate(lengths)
    ]
    torch.testing.assert_close(log_partition(*chain, mask_of(lengths)), torch.stack(expected).float())


def test_a_batch_of_long_sentences_is_pytorch_crfs() -> None:
    lengths = [25, 7, 1, 18]
    chain, mask = random_chain("plain", 0, lengths, num_tags=9), mask_of(lengths)
    crf = CRF(9, batch_first=True)
    for parameter, scores in zip((crf.transitions, crf.start_transitions, crf.end_transitions), chain[1:], strict=True):
        parameter.data = scores
    tags = torch.randint(9, mask.shape)
    paths, _ = best_paths(*chain, mask)
    assert [row[:n].tolist() for row, n in zip(paths, lengths, strict=True)] == crf.decode(chain[0], mask)
    log_likelihood = path_scores(*chain, mask, tags) - log_partition(*chain, mask)
    torch.testing.assert_close(log_likelihood, crf(chain[0], tags, mask, reduction="none"))


@settings(max_examples=50)
@given(SCORES, st.integers(0, 10_000), LENGTHS.filter(any))
def test_gradients_are_the_marginals(kind: str, seed: int, lengths: list[int]) -> None:
    chain = random_chain(kind, seed, lengths)
    for tensor in chain:
        tensor.requires_grad_()
    total = log_partition(*chain, mask_of(lengths))
    possible = total.isfinite()
    found = torch.autograd.grad(total.where(possible, 0).sum(), chain, materialize_grads=True)
    emissions, transitions, starts, ends = (torch.zeros_like(tensor) for tensor in chain)
    for row, length in enumerate(lengths):
        if length and possible[row]:
            of_all = all_scores(chain, row, length)
            shares_P = torch.tensor([*of_all.values()]).softmax(0)
            tags_PWC = torch.nn.functional.one_hot(torch.tensor([*of_all]), NUM_TAGS).float()
            marginals_WC = torch.einsum("p,pwc->wc", shares_P, tags_PWC)
            emissions[row, :length] = marginals_WC
            transitions += torch.einsum("p,pwb,pwa->ba", shares_P, tags_PWC[:, :-1], tags_PWC[:, 1:])
            starts += marginals_WC[0]
            ends += marginals_WC[-1]
    torch.testing.assert_close(found, (emissions, transitions, starts, ends), rtol=1e-3, atol=1e-5)


def forbidding(chain: Chain) -> Chain:
    """No tag 2 after tag 0, nor at the start."""
    emissions, transitions, starts, ends = chain
    never = torch.zeros(NUM_TAGS, NUM_TAGS, dtype=torch.bool)
    never[0, 2] = True
    return emissions, transitions.masked_fill(never, -torch.inf), starts.masked_fill(never[0], -torch.inf), ends


@pytest.mark.parametrize("size", [1.0, 300.0])
def test_forbidden_tags_have_finite_gradients_and_no_weight(size: float) -> None:
    lengths = [4, 1, 0]
    chain = random_chain("plain", 0, lengths)
    chain[0][:, 0, 2] = size  # what scores most may not stand there
    for tensor in chain:
        tensor.requires_grad_()
    log_partition(*forbidding(chain), mask_of(lengths)).sum().backward()
    emissions, transitions, starts, _ = (tensor.grad for tensor in chain)
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in chain)
    assert emissions is not None
    assert emissions[:, 0, 2].tolist() == [0.0, 0.0, 0.0]
    assert transitions is not None
    assert transitions[0, 2] == 0.0
    assert starts is not None
    assert starts[2] == 0.0


def test_second_derivatives_are_right_where_transitions_are_forbidden() -> None:
    lengths = [3, 1, 0]
    mask = mask_of(lengths)
    chain = [tensor.double().requires_grad_() for tensor in random_chain("plain", 0, lengths)]

    def total(*free: Tensor) -> Tensor:
        return log_partition(*forbidding((free[0], free[1], free[2], free[3])), mask)

    assert torch.autograd.gradgradcheck(total, chain)


def test_the_way_back_keeps_nothing_for_pairs_of_tags_and_sentences() -> None:
    num_tags, lengths = 11, [6] * 20
    chain = random_chain("plain", 0, lengths, num_tags)
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        log_partition(chain[0].requires_grad_(), *chain[1:], mask_of(lengths))
    assert max(kept) < len(lengths) * num_tags * num_tags


@pytest.mark.parametrize("filler", [0.0, torch.nan, torch.inf, -torch.inf])
def test_a_sentence_comes_out_as_it_does_alone_whatever_the_padding_holds(filler: float) -> None:
    lengths = [5, 0, 2, 1]
    emissions, *rest = random_chain("plain", 3, lengths)
    mask = mask_of(lengths)
    emissions = emissions.masked_fill(~mask.unsqueeze(-1), filler).requires_grad_()
    tags = torch.where(mask, 1, -7)
    paths, scores = best_paths(emissions, *rest, mask)
    totals, given_scores = log_partition(emissions, *rest, mask), path_scores(emissions, *rest, mask, tags)
    (totals.sum() + given_scores.sum()).backward()
    assert emissions.grad is not None
    assert emissions.grad.isfinite().all()
    assert emissions.grad[~mask].eq(0).all()
    for row, length in enumerate(lengths):
        alone = emissions[row : row + 1, :length], *rest
        own_mask = mask[row : row + 1, :length]
        own_paths, own_scores = best_paths(*alone, own_mask)
        assert paths[row, :length].tolist() == own_paths[0].tolist()
        torch.testing.assert_close(scores[row], own_scores[0])
        torch.testing.assert_close(totals[row], log_partition(*alone, own_mask)[0])
        torch.testing.assert_close(given_scores[row], path_scores(*alone, own_mask, tags[row : row + 1, :length])[0])


def test_a_sentence_without_words_has_one_path_which_scores_nothing() -> None:
    chain, mask = random_chain("plain", 0, [0, 0]), mask_of([0, 0])
    paths, scores = best_paths(*chain, mask)
    assert paths.shape == (2, 0)
    assert (
        scores.tolist() == log_partition(*chain, mask).tolist() == path_scores(*chain, mask, paths).tolist() == [0, 0]
    )


def test_a_forbidden_path_scores_minus_infinity_and_its_gradient_is_finite() -> None:
    chain, mask = random_chain("plain", 0, [3]), mask_of([3])
    chain[0].requires_grad_()
    score = path_scores(*forbidding(chain), mask, torch.tensor([[0, 2, 1]]))
    score.sum().backward()
    assert score.tolist() == [-torch.inf]
    assert chain[0].grad is not None
    assert chain[0].grad.sum() == 3


def test_what_is_not_a_number_is_not_hidden() -> None:
    chain, mask = random_chain("plain", 0, [3, 3]), mask_of([3, 3])
    chain[0][0, 1, 2] = torch.nan
    assert log_partition(*chain, mask).isnan().tolist() == [True, False]
    assert path_scores(*chain, mask, torch.full((2, 3), 2)).isnan().tolist() == [True, False]
    assert ((best_paths(*chain, mask)[0] >= 0) & (best_paths(*chain, mask)[0] < NUM_TAGS)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_in_half_precision_are_summed_in_single(dtype: torch.dtype) -> None:
    lengths = [30, 4]
    chain, mask = random_chain("plain", 0, lengths), mask_of(lengths)
    halves = tuple(tensor.to(dtype) for tensor in chain)
    wide = tuple(tensor.float() for tensor in halves)
    tags = torch.ones_like(mask, dtype=torch.long)
    torch.testing.assert_close(best_paths(*halves, mask), best_paths(*wide, mask), rtol=0, atol=0)
    torch.testing.assert_close(log_partition(*halves, mask), log_partition(*wide, mask), rtol=0, atol=0)
    torch.testing.assert_close(path_scores(*halves, mask, tags), path_scores(*wide, mask, tags), rtol=0, atol=0)


def test_autocast_changes_nothing() -> None:
    chain, mask = random_chain("plain", 0, [30]), mask_of([30])
    expected = log_partition(*chain, mask)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(log_partition(*chain, mask), expected, rtol=0, atol=0)


def test_the_bio_rules_written_out() -> None:
    labels = ("O", "B-A", "I-A", "B-B", "I-B", "V")
    allowed, starts = bio_transitions(labels)
    never = [("I-A", before) for before in ("O", "B-B", "I-B", "V")] + [
        ("I-B", before) for before in ("O", "B-A", "I-A", "V")
    ]
    pairs = {(labels[after], labels[before]) for before, after in (~allowed).nonzero().tolist()}
    assert pairs == set(never)
    assert [label for label, may in zip(labels, starts.tolist(), strict=True) if not may] == ["I-A", "I-B"]


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_under_the_bio_rules_every_best_path_keeps_them(seed: int, length: int) -> None:
    labels = ("O", "B-A", "I-A", "B-B", "I-B")
    allowed, starts = bio_transitions(labels)
    emissions = 5 * random_scores("plain", seed, 1, length, len(labels))
    transitions = torch.zeros(5, 5).masked_fill(~allowed, -torch.inf)
    first = torch.zeros(5).masked_fill(~starts, -torch.inf)
    paths, _ = best_paths(emissions, transitions, first, torch.zeros(5), mask_of([length]))
    for before, tag in itertools.pairwise(["O", *(labels[tag] for tag in paths[0].tolist())]):
        assert not tag.startswith("I-") or before[2:] == tag[2:]
