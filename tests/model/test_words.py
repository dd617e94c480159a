"""The vectors of words from those of their tokens, against a plain loop."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.model.words import WordPooling

Pieces = Literal["first", "mean"]
ROWS = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=1, max_size=3)


def word_ids(rows: list[list[int]]) -> Tensor:
    """Of rows of words with so many tokens each: between special tokens, filled up."""
    ids = [[-1, *(word for word, tokens in enumerate(row) for _ in range(tokens)), -1] for row in rows]
    longest = max(map(len, ids))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in ids])


def pooled_by_loop(how: Pieces, tokens_BLD: Tensor, word_ids_BL: Tensor) -> Tensor:
    num_words = int(word_ids_BL.max()) + 1
    vectors = torch.zeros(len(tokens_BLD), num_words, tokens_BLD.shape[-1])
    for row, ids in enumerate(word_ids_BL.tolist()):
        for word in range(num_words):
            own = [tokens_BLD[row, at] for at, of in enumerate(ids) if of == word]
            if own:
                vectors[row, word] = own[0] if how == "first" else torch.stack(own).mean(0)
    return vectors


@pytest.mark.parametrize("how", ["first", "mean"])
@given(rows=ROWS, seed=st.integers(0, 100))
def test_a_word_has_its_first_token_s_vector_or_the_mean_over_its_tokens(
    how: Pieces, rows: list[list[int]], seed: int
) -> None:
    word_ids_BL = word_ids(rows)
    tokens_BLD = torch.randn(*word_ids_BL.shape, 3, generator=torch.Generator().manual_seed(seed))
    vectors, mask_BW = WordPooling(how)(tokens_BLD, word_ids_BL)
    torch.testing.assert_close(vectors, pooled_by_loop(how, tokens_BLD, word_ids_BL))
    assert mask_BW.sum(1).tolist() == [len(row) for row in rows]
    assert mask_BW.int().diff(dim=1).le(0).all()  # words come before the padding


def test_numbers_worked_by_hand() -> None:
    tokens = torch.tensor([[[9.0], [1.0], [3.0], [5.0], [9.0]]])
    ids = torch.tensor([[-1, 0, 0, 1, -1]])
    assert WordPooling("mean")(tokens, ids)[0].flatten().tolist() == [2.0, 5.0]
    assert WordPooling("first")(tokens, ids)[0].flatten().tolist() == [1.0, 5.0]


def test_a_word_whose_tokens_are_elsewhere_has_no_vector_and_is_masked() -> None:
    # Of a question's context: a word that is a part of the token before it.
    vectors, mask = WordPooling("mean")(torch.ones(1, 4, 2), torch.tensor([[-1, 0, 2, -1]]))
    assert mask.tolist() == [[True, False, True]]
    assert not vectors[0, 1].any()


def test_rows_without_words_have_one_place_that_is_masked() -> None:
    vectors, mask = WordPooling("first")(torch.ones(2, 3, 2), torch.full((2, 3), -1))
    assert vectors.shape == (2, 1, 2)
    assert not mask.any()


@pytest.mark.parametrize("how", ["first", "mean"])
def test_gradients_go_to_the_tokens_that_count_alone(how: Pieces) -> None:
    word_ids_BL = word_ids([[2, 1], [1]])
    tokens_BLD = torch.randn(*word_ids_BL.shape, 2, requires_grad=True)
    WordPooling(how)(tokens_BLD, word_ids_BL)[0].sum().backward()
    assert tokens_BLD.grad is not None
    expected = {
        "first": [[0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]],
        "mean": [[0.0, 0.5, 0.5, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]],
    }
    assert tokens_BLD.grad[..., 0].tolist() == expected[how]


def test_half_precision_stays() -> None:
    vectors, _ = WordPooling("mean")(torch.ones(1, 3, 2, dtype=torch.bfloat16), torch.tensor([[-1, 0, -1]]))
    assert vectors.dtype == torch.bfloat16
