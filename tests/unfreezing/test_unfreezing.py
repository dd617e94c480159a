"""What trains when, for each method, and what it says of too many layers and too few epochs."""

from __future__ import annotations

import itertools

import pytest
from pydantic import ValidationError

from mtsearch.errors import ConfigError
from mtsearch.unfreezing import Everything, Gradual, Layers

N = 4


def test_none_trains_everything_in_every_epoch() -> None:
    assert Everything().trainable_depths(N, 0) == {0, 1, 2, 3, 4, 5}
    assert Everything().check(N, 1) == []


def test_gradual_goes_from_the_top_to_the_bottom_with_the_embeddings_last() -> None:
    lowest = [min(Gradual().trainable_depths(N, epoch)) for epoch in range(8)]
    assert lowest == [5, 4, 3, 2, 1, 0, 0, 0]


def test_gradual_waits_for_its_interval_and_starts_with_its_first_layers() -> None:
    method = Gradual(interval=2, initially=1)
    assert [min(method.trainable_depths(N, epoch)) for epoch in range(6)] == [4, 4, 3, 3, 2, 2]


@pytest.mark.parametrize("method", [Everything(), Gradual(), Gradual(interval=3, initially=2), Layers(first=2)])
def test_what_trains_goes_on_training_and_task_heads_always_do(method: Everything | Gradual | Layers) -> None:
    epochs = [method.trainable_depths(N, epoch) for epoch in range(10)]
    assert all(before <= after for before, after in itertools.pairwise(epochs))
    assert all(N + 1 in depths for depths in epochs)


@pytest.mark.parametrize(
    ("method", "depths"),
    [
        (Layers(), {1, 2, 3, 4, 5}),
        (Layers(first=3), {3, 4, 5}),
        (Layers(first=2, last=3), {2, 3, 5}),
        (Layers(first=4, embeddings=True), {0, 4, 5}),
        (Layers(last=0), {5}),
        (Layers(last=0, embeddings=True), {0, 5}),
    ],
)
def test_layers_is_a_fixed_range(method: Layers, depths: set[int]) -> None:
    assert method.trainable_depths(N, 0) == method.trainable_depths(N, 9) == depths
    assert method.check(N, 1) == []


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Gradual(initially=5), r"unfreezing\.initially: must be at most the encoder's layers \(4\), but got 5"),
        (Layers(first=5), r"unfreezing\.first: must be at most the encoder's layers \(4\), but got 5"),
        (Layers(last=7), r"unfreezing\.last: must be at most the encoder's layers \(4\), but got 7"),
    ],
)
def test_more_layers_than_there_are_is_an_error(method: Gradual | Layers, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        method.check(N, 10)


def test_an_empty_range_by_mistake_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"unfreezing\.last: must be at least first \(3\), .* but got 2"):
        Layers(first=3, last=2)


def test_too_few_epochs_are_warned_of_with_the_layers_left_frozen() -> None:
    (warning,) = Gradual(interval=2).check(N, 5)
    assert "5 epochs leave 2 of 4 layers and the embeddings frozen" in warning
    assert "all would train from epoch 11 on" in warning
    assert min(Gradual(interval=2).trainable_depths(N, 10)) == 0  # the eleventh
    (warning,) = Gradual().check(N, 5)
    assert "leave the embeddings frozen" in warning
    assert Gradual().check(N, 6) == []
