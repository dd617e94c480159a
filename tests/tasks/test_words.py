"""What kinds of task on words share: vectors with dropout, targets, labels of spans, words of windows."""

from __future__ import annotations

import torch

from mtsearch.data.windows import windows_of
from mtsearch.tasks.tagging import Tagging
from mtsearch.tasks.words import (
    IGNORED,
    WordVectors,
    inventory_of,
    join_words,
    labelled_spans,
    numbers,
    ragged,
    shown_words,
    word_targets,
)
from tests.tasks.structures import encoded, sentence


def test_word_dropout_takes_whole_words_while_training_and_makes_up_for_them() -> None:
    vectors, sequence = WordVectors(Tagging(data="x", word_dropout=0.25)), encoded([200])
    torch.manual_seed(0)
    whole, _ = vectors.eval()(sequence)
    dropped, mask = vectors.train()(sequence)
    is_left = dropped[0].any(-1)
    assert 0.15 < 1 - is_left.float().mean() < 0.35
    torch.testing.assert_close(dropped[0][is_left], whole[0][is_left] / 0.75)
    assert mask.all()


def test_a_word_is_pooled_as_the_task_says() -> None:
    sequence = encoded([5])
    first, mean = (WordVectors(Tagging(data="x", pieces=how)).eval()(sequence)[0] for how in ("first", "mean"))
    assert sequence.word_ids_BL is not None
    places = [sequence.word_ids_BL[0].tolist().index(word) for word in range(5)]
    assert torch.equal(first[0], sequence.tokens_BLD[0, places])
    assert not torch.allclose(first, mean)


def test_labels_are_numbered_in_the_order_of_the_alphabet() -> None:
    inventory = inventory_of(["b", "a", "b", "B"])
    assert (inventory.labels, inventory.counts) == (("B", "a", "b"), (1, 1, 2))
    number = numbers(inventory.labels)
    assert [number(label) for label in ("B", "b", "c")] == [0, 2, IGNORED]


def test_targets_are_filled_up_to_as_many_words_as_the_rows_have() -> None:
    assert word_targets({"tags": torch.tensor([[1, 2]])}, "tags", 4).tolist() == [[1, 2, IGNORED, IGNORED]]
    assert ragged([[1, 2], []]).to_pylist() == [[1, 2], []]


def test_spans_get_the_labels_of_their_first_and_last_words() -> None:
    labels = torch.arange(2 * 3 * 3).reshape(2, 3, 3)
    assert list(labelled_spans([[(0, 1), (1, 3)], [(0, 3)]], labels)) == [[(0, 1, 0), (1, 3, 5)], [(0, 3, 11)]]
    assert list(labelled_spans([[], []], labels)) == [[], []]


def test_each_word_is_taken_from_its_own_window() -> None:
    windows = windows_of([(0, 3), (1, 5), (4, 6)])
    assert join_words(["abc", "BCDE", "ef"], windows) == ["a", "b", "C", "D", "e", "f"]


def test_some_words_of_an_example_are_an_example() -> None:
    shown = shown_words(sentence(5, "label"), 1, 3, "part")
    assert (shown.words, shown.texts, shown.label) == (("b", "c"), ("b c",), "part")
