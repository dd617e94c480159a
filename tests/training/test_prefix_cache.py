"""Batches that start above frozen layers: the same numbers, whoever computed them and when."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch, EncodedSplit
from mtsearch.data.cache import cache_folder
from mtsearch.model.multitask import MultitaskModel
from mtsearch.training.assembly import build_model
from mtsearch.training.parts import load_task
from mtsearch.training.place import Place
from mtsearch.training.precision import build_accelerator
from mtsearch.training.prefix_cache import PrefixCache

ROWS = np.array([3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 7, 32, 38, 46, 26, 43])


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))


@pytest.fixture
def accelerator() -> Accelerator:
    return build_accelerator("fp32", Place(None, None))


@pytest.fixture
def trial(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path
) -> tuple[MultitaskModel, dict[str, EncodedSplit]]:
    tasks = {
        "sentiment": {"kind": "classification", "data": "sst5"},
        "paraphrase": {"kind": "pair_classification", "data": "quora", "pair": "siamese"},
    }
    config = TrialConfig.model_validate(tiny_config(tasks=tasks))
    loaded = {name: load_task(name, kind, config, Place(None, tiny_data)) for name, kind in config.tasks.items()}
    model = build_model(config, {name: task.inventory for name, task in loaded.items()}).eval()
    return model, {name: task.splits["train"] for name, task in loaded.items()}


def states(batch: Batch) -> tuple[torch.Tensor, ...]:
    assert batch.states is not None
    return batch.states.sequences_BLD


def all_equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(states(one), states(other), strict=True))


@pytest.mark.parametrize("task", ["sentiment", "paraphrase"])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_numbers_are_those_of_whole_passes(trial: Any, accelerator: Accelerator, depth: int, task: str) -> None:
    model, splits = trial
    cache = PrefixCache(model, accelerator)
    cache.freeze(depth)
    plain = model(splits[task].batch(ROWS)).values
    for _ in range(2):  # computed, then read
        assert torch.allclose(model(cache.batch(splits[task], ROWS)).values, plain, rtol=1e-5, atol=1e-5)


def test_a_batch_of_the_same_composition_is_equal_to_the_last_bit(trial: Any, accelerator: Accelerator) -> None:
    model, splits = trial
    split = splits["sentiment"]
    rows = np.resize(np.flatnonzero(split.lengths == split.lengths.max()), 8)
    cache = PrefixCache(model, accelerator)
    for depth in (1, 2):
        cache.freeze(depth)
        assert torch.equal(model(cache.batch(split, rows)).values, model(split.batch(rows)).values)


def test_gradients_of_task_head_and_upper_layer_are_those_of_whole_passes(trial: Any, accelerator: Accelerator) -> None:
    model, splits = trial
    split = splits["paraphrase"]
    trained = [p for name, p in model.named_parameters() if model.depths[name] > 1 and "sentiment" not in name]
    whole = torch.autograd.grad(model(split.batch(ROWS)).values.square().sum(), trained)
    cache = PrefixCache(model, accelerator)
    cache.freeze(1)
    parts = torch.autograd.grad(model(cache.batch(split, ROWS)).values.square().sum(), trained)
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_row_gives_depends_on_no_other_row_nor_on_where_it_is_from(
    trial: Any, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, splits = trial
    split, accelerator = splits["sentiment"], build_accelerator(precision, Place(None, None))

    def fresh() -> PrefixCache:
        cache = PrefixCache(model, accelerator)
        cache.freeze(1)
        return cache

    together = fresh()
    expected = together.batch(split, ROWS)
    for i, row in enumerate(ROWS):
        (alone_BLD,) = states(fresh().batch(split, np.array([row])))  # nothing is published: computed anew
        length = int(split.lengths[row])
        assert torch.equal(alone_BLD[0, :length], states(expected)[0][i, :length])
    assert all_equal(together.batch(split, ROWS), expected)  # held in memory
    together.publish()
    assert all_equal(together.batch(split, ROWS), expected)  # from this trial's file
    monkeypatch.setattr("mtsearch.training.prefix_cache.states_above", None)  # the next trial computes nothing
    assert all_equal(fresh().batch(split, ROWS), expected)


def test_what_an_evaluation_computed_serves_training(trial: Any, accelerator: Accelerator) -> None:
    model, splits = trial
    cache = PrefixCache(model, accelerator)
    cache.freeze(2)
    with torch.inference_mode():
        model(cache.batch(splits["sentiment"], ROWS))
    model(cache.batch(splits["sentiment"], ROWS)).values.sum().backward()
    assert all(p.grad is not None for p in model.heads["sentiment"].parameters())


def test_other_weights_another_depth_and_other_sequences_have_their_own_files(
    trial: Any, accelerator: Accelerator
) -> None:
    model, splits = trial
    folders = set()

    def publish(depth: int, task: str) -> int:
        cache = PrefixCache(model, accelerator)
        cache.freeze(depth)
        cache.batch(splits[task], ROWS)
        cache.publish()
        folders.update((cache_folder() / "activations").iterdir())
        return len(folders)

    assert publish(1, "sentiment") == 1
    assert publish(2, "sentiment") == 2
    assert publish(1, "paraphrase") == 4  # two sequences a row
    with torch.no_grad():
        model.encoder.encoder.layer[1].output.dense.weight.add_(1.0)
    assert publish(1, "sentiment") == 4  # the layer above it does not matter
    with torch.no_grad():
        model.encoder.encoder.layer[0].output.dense.weight.add_(1.0)
    assert publish(1, "sentiment") == 5


def test_nothing_frozen_is_a_plain_batch(trial: Any, accelerator: Accelerator) -> None:
    model, splits = trial
    cache = PrefixCache(model, accelerator)
    assert cache.batch(splits["sentiment"], ROWS).states is None
    cache.freeze(1)
    for too_little in (0, None):
        cache.freeze(too_little)
        assert cache.batch(splits["sentiment"], ROWS).states is None
    assert not (cache_folder() / "activations").exists()


@pytest.mark.parametrize("fault", ["unwritable", "limit", "full disk"])
def test_a_cache_that_cannot_be_written_is_given_up_with_one_warning_and_the_same_numbers(
    trial: Any,
    accelerator: Accelerator,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, splits = trial
    good = PrefixCache(model, accelerator)
    good.freeze(1)
    expected = good.batch(splits["sentiment"], ROWS)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    if fault == "unwritable":
        monkeypatch.setenv("MTSEARCH_CACHE", "/proc/nowhere")
    elif fault == "limit":
        monkeypatch.setenv("MTSEARCH_CACHE_BYTES", "10")
    else:
        monkeypatch.setattr("mtsearch.data.activations.os.fsync", full)
    monkeypatch.setattr("mtsearch.data.activations._PART_BYTES", 0)
    cache = PrefixCache(model, accelerator)
    cache.freeze(1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert all_equal(cache.batch(splits["sentiment"], ROWS), expected)
            cache.batch(splits["paraphrase"], ROWS)
            cache.publish()
    (warning,) = caplog.messages
    assert "is computed each time; make room" in warning
    assert (cache.take_warnings(), cache.take_warnings()) == ((warning,), ())


def test_an_encoder_that_cannot_be_parted_goes_on_whole_and_says_so_once(
    trial: Any, accelerator: Accelerator, caplog: pytest.LogCaptureFixture
) -> None:
    model, splits = trial
    model.layers = replace(model.layers, layers=())  # as an encoder whose layers cannot be told apart
    cache = PrefixCache(model, accelerator)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            cache.freeze(1)
            assert cache.batch(splits["sentiment"], ROWS).states is None
    (warning,) = caplog.messages
    assert "BertModel cannot be started above its 1 frozen layers" in warning
