"""What is said of a trial before any runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import ConfigError
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.report import Objective

LINEAR = {"schedule": {"name": "linear"}}
MIXED = {"sampler": {"name": "uniform", "mixed": True}}


@pytest.fixture
def said(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> Callable[..., list[str]]:
    """The warnings of a trial with these sections."""

    def look(**sections: Any) -> list[str]:
        lines: list[str] = []
        config = TrialConfig.model_validate(tiny_config(**sections))
        preflight([config, config], Place(None, tiny_data), Objective(), lines.append)
        return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]

    return look


@pytest.mark.parametrize(
    ("sections", "warning"),
    [
        (
            {"unfreezing": {"name": "gradual"}, **LINEAR},
            "unfreezing: with interval 1, 2 epochs leave 1 of 2 layers and the embeddings frozen to the end; "
            "all would train from epoch 4 on",
        ),
        (
            {"schedule": {"name": "plateau", "patience": 2}},
            "schedule: plateau has too little to watch: with patience 2 it cuts the rate after evaluation 4 at the "
            "earliest, and there are 2",
        ),
        (
            {"unfreezing": {"name": "layers", "last": 0}, "surgery": {"name": "pcgrad"}, **MIXED, **LINEAR},
            "surgery: pcgrad has nothing to do: no part of the encoder ever trains",
        ),
        (
            {"unfreezing": {"name": "layers", "first": 2}, "regularizers": {"smart": {}}, **LINEAR},
            "regularizers.smart: frozen layers are not cached: it moves the word embeddings below them",
        ),
        (
            {"pruning": {"name": "l0", "strength": 1.0}, **LINEAR},
            "pruning.lr: no attention head is likely to close: on its way from initial_open_ratio 0.95 a gate takes "
            "about 4,541 updates at lr 0.001, and there are 36; take a larger lr, or a smaller initial_open_ratio",
        ),
        (
            {"pruning": {"name": "l0", "strength": 1.0, "lr": 0.5, "warmup_epochs": 4.0}, **LINEAR},
            "pruning.warmup_epochs: the penalty is whole after 4 epochs, and there are 2",
        ),
    ],
)
def test_what_is_surely_not_meant_is_told_once(
    said: Callable[..., list[str]], sections: dict[str, Any], warning: str
) -> None:
    assert said(**sections) == [warning]


def test_what_an_extension_adds_to_the_encoder_is_told_once(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path
) -> None:
    lines: list[str] = []
    sections = ({"adapters": {"name": "pal", "rank": rank}} for rank in (12, 24, 24))
    configs = [TrialConfig.model_validate(tiny_config(**LINEAR, **one)) for one in sections]
    preflight(configs, Place(None, tiny_data), Objective(), lines.append)
    assert [line for line in lines if line.startswith("adapters: ")] == [
        "adapters: adds 4,896 parameters for 3 tasks (21.6% of the encoder)",
        "adapters: adds 14,976 parameters for 3 tasks (66.2% of the encoder)",
    ]
    assert len([line for line in lines if line.startswith("encoder: ")]) == 1


def test_adapters_for_more_layers_than_there_are_are_refused(said: Callable[..., list[str]]) -> None:
    with pytest.raises(ConfigError, match=r"adapters\.layers: must be at most the encoder's layers \(2\), but got 3"):
        said(adapters={"name": "pal", "layers": 3})


def test_a_plain_trial_has_no_warnings(said: Callable[..., list[str]]) -> None:
    assert said(**LINEAR) == []


def test_surgery_has_something_to_do_where_an_extension_is_shared(said: Callable[..., list[str]]) -> None:
    frozen = {"unfreezing": {"name": "layers", "last": 0}, "surgery": {"name": "pcgrad"}, **MIXED, **LINEAR}
    assert said(**frozen, experts={"name": "feed_forward", "layers": 1}) == []


def test_of_row_changes_that_differ_in_their_rates_one_is_tried(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path
) -> None:
    lines: list[str] = []
    augmentations = ({"name": "eda", "synonyms": "shipped", "num_augmented": n} for n in (1, 2, 3))
    configs = [TrialConfig.model_validate(tiny_config(**LINEAR, augmentation=one)) for one in augmentations]
    preflight(configs, Place(None, tiny_data), Objective(), lines.append)
    assert [line for line in lines if "augmented" in line and line.startswith("sentiment")] == [
        "sentiment: + 48 augmented (eda, shipped synonyms)"
    ]


def test_more_layers_than_there_are_is_refused(said: Callable[..., list[str]]) -> None:
    with pytest.raises(ConfigError, match=r"unfreezing.initially: must be at most .* \(2\), but got 3"):
        said(unfreezing={"name": "gradual", "initially": 3})
