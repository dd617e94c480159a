"""Scores of pairs of words: the formula, dropout of whole features, and where learning starts."""

from __future__ import annotations

import torch
from torch import nn

from mtsearch.tasks.biaffine import PairScorer


def random_scorer(dropout: float = 0.0) -> PairScorer:
    torch.manual_seed(0)
    scorer = PairScorer(4, 3, 2, dropout)
    nn.init.normal_(scorer.weight)
    return scorer


def test_a_score_is_the_product_of_both_projections_with_the_matrix_of_the_class() -> None:
    scorer = random_scorer()
    first, second = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    scores = scorer(first, second)
    assert scores.shape == (2, 3, 5, 2)

    def features(layer: nn.Linear, word: torch.Tensor) -> torch.Tensor:
        projected = layer.weight @ word + layer.bias
        return torch.cat([torch.where(projected > 0, projected, 0.1 * projected), torch.ones(1)])

    for row, v, w, c in ((0, 0, 0, 0), (1, 2, 4, 1), (0, 1, 3, 1)):
        a, b = features(scorer.first, first[row, v]), features(scorer.second, second[row, w])
        torch.testing.assert_close(scores[row, v, w, c], a @ scorer.weight[c] @ b)


def test_all_scores_start_at_nothing() -> None:
    assert not PairScorer(4, 3, 2, 0.0)(torch.randn(1, 2, 4), torch.randn(1, 2, 4)).any()


def test_dropout_takes_a_feature_from_all_words_of_a_sentence() -> None:
    scorer = random_scorer(dropout=0.5).train()
    with torch.no_grad():
        for layer in (scorer.first, scorer.second):
            layer.weight.zero_()
            layer.bias.fill_(1.0)
        scorer.weight.zero_()
        scorer.weight[0, :3, 3] = torch.tensor([1.0, 10.0, 100.0])  # which of the first word's features are left
    scores = scorer(torch.randn(50, 4, 4), torch.randn(50, 4, 4))[..., 0]
    assert (scores == scores[:, :1, :1]).all()  # the same for all words of a sentence
    left = sorted({round(score) for score in scores[:, 0, 0].tolist()})
    assert left == [0, 2, 20, 22, 200, 202, 220, 222]  # what is left counts double


def test_in_evaluation_nothing_is_dropped() -> None:
    scorer = random_scorer(dropout=0.9).eval()
    words = torch.randn(2, 3, 4)
    assert torch.equal(scorer(words, words), scorer(words, words))
