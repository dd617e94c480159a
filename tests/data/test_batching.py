"""Rows to tensors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.data.batching import EncodedSplit, Inputs
from mtsearch.data.tokens import Ragged, TokenTable


def ragged(sequences: list[list[int]]) -> Ragged:
    values = np.array([x for sequence in sequences for x in sequence], dtype=np.int32)
    return Ragged(values, np.concatenate([[0], np.cumsum([len(s) for s in sequences])]).astype(np.int64))


def split(sequences: list[list[int]], examples: list[int], targets: dict[str, pa.Array]) -> EncodedSplit:
    return EncodedSplit("t", TokenTable({"ids": ragged(sequences)}, np.array(examples, dtype=np.int32), 0), targets, 9)


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=12), min_size=1, max_size=8), st.randoms())
def test_padding_keeps_every_sequence(sequences: list[list[int]], random: object) -> None:
    rows = np.arange(len(sequences), dtype=np.int64)
    random.shuffle(rows)  # type: ignore[attr-defined]
    padded, mask = ragged(sequences).padded(rows, fill=-1)
    assert padded.shape[1] == max(map(len, sequences))
    for row, line, real in zip(rows, padded, mask, strict=True):
        assert line[real].tolist() == sequences[row]
        assert (line[~real] == -1).all()


def test_a_batch_has_ids_mask_and_targets_of_its_rows() -> None:
    batch = split([[1, 2], [3], [4, 5, 6]], [0, 1, 2], {"label": pa.array([7, 8, 9])}).batch(np.array([2, 1]))
    assert batch.inputs[0].ids_BL.tolist() == [[4, 5, 6], [3, 9, 9]]
    assert batch.inputs[0].mask_BL.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.targets["label"].tolist() == [9, 8]


def test_ragged_targets_are_padded_with_what_losses_ignore() -> None:
    targets = {"tags": pa.array([[1, 2, 3], [4]], pa.large_list(pa.int32()))}
    batch = split([[1], [2]], [0, 1], targets).batch(np.array([0, 1]))
    assert batch.targets["tags"].tolist() == [[1, 2, 3], [4, -100, -100]]


def test_windows_of_an_example_have_targets_of_their_own_and_come_in_order() -> None:
    windows = split([[1], [2], [3], [4]], [0, 0, 1, 1], {"label": pa.array([5, 6, 7, 8])})
    assert windows.rows_of(np.array([1, 0])).tolist() == [2, 3, 0, 1]
    assert windows.targets(np.array([0, 1, 3]))["label"].tolist() == [5, 6, 8]
    assert windows.num_examples == 2


def test_length_order_gives_every_row_once_longest_first() -> None:
    lots = list(split([[1], [1, 2, 3], [1, 2]], [0, 1, 2], {}).in_length_order(2))
    assert [lot.tolist() for lot in lots] == [[1, 2], [0]]


def test_stacked_inputs_keep_their_rows_padded_to_one_length() -> None:
    a = Inputs(torch.tensor([[1, 2, 3]]), torch.tensor([[1, 1, 1]]))
    b = Inputs(torch.tensor([[4]]), torch.tensor([[1]]))
    both = Inputs.stack([a, b])
    assert both.ids_BL.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert both.mask_BL.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert both.token_types_BL is None
