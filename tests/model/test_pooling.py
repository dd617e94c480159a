"""Pooling: padding never counts, and each form is what its formula says."""

from __future__ import annotations

import pytest
import torch

from mtsearch.model.pooling import AttentionPooling, build_pooling

TOKENS = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


@pytest.mark.parametrize("name", ["cls", "mean", "attention"])
def test_what_stands_in_padding_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    pool = build_pooling(name, 2)
    torch.nn.init.normal_(getattr(getattr(pool, "score", None), "weight", torch.empty(0)))
    mask = torch.tensor([[True, True, False]])
    poisoned = TOKENS.clone()
    poisoned[0, 2] = 1e6
    assert torch.equal(pool(TOKENS, mask), pool(poisoned, mask))
    assert torch.allclose(pool(TOKENS, mask), pool(TOKENS[:, :2], mask[:, :2]))


def test_mean_is_over_the_tokens_that_are_there() -> None:
    pooled = build_pooling("mean", 2)(TOKENS, torch.tensor([[True, True, False]]))
    assert pooled.tolist() == [[2.0, 3.0]]


def test_cls_is_the_first_token() -> None:
    assert build_pooling("cls", 2)(TOKENS, torch.ones(1, 3, dtype=torch.bool)).tolist() == [[1.0, 2.0]]


def test_attention_is_a_softmax_of_v_tanh_w_h() -> None:
    pool = AttentionPooling(2)
    with torch.no_grad():
        pool.project.weight.copy_(torch.eye(2))
        pool.project.bias.zero_()
        pool.score.weight.copy_(torch.tensor([[1.0, -2.0]]))
    scores = torch.tanh(TOKENS[0]) @ torch.tensor([1.0, -2.0])
    expected = scores.softmax(0) @ TOKENS[0]
    assert torch.allclose(pool(TOKENS, torch.ones(1, 3, dtype=torch.bool))[0], expected)


def test_attention_starts_as_the_mean_and_gets_a_gradient() -> None:
    pool = AttentionPooling(2)
    mask = torch.ones(1, 3, dtype=torch.bool)
    pooled = pool(TOKENS, mask)
    assert torch.allclose(pooled, TOKENS.mean(1))
    pooled.sum().backward()
    assert pool.score.weight.grad is not None
    assert pool.score.weight.grad.abs().sum() > 0


def test_another_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="pooling must be cls, mean or attention, but got 'max'"):
        build_pooling("max", 2)
