"""What a trial would take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mtsearch.training import probe as probing
from mtsearch.training.parts import Parts

Start = Callable[..., Parts]


@pytest.mark.parametrize(
    ("sections", "passes"),
    [  # of 48 examples 24 in each of 3 epochs: all are seen, and half of them twice
        ({}, {"train": 1.0, "dev": 1.0}),
        ({"training": {"cache_frozen": False}}, {"train": 1.5, "dev": 4.0}),
        # Of two layers the upper one is extended: the lower one is kept.
        ({"experts": {"name": "feed_forward", "layers": 1}}, {"train": 1.25, "dev": 2.5}),
        ({"adapters": {"name": "pal", "rank": 8, "attention_heads": 2}}, {"train": 1.5, "dev": 4.0}),
    ],
)
def test_individual_pretraining_counts_what_the_encoder_passes(
    start: Start, monkeypatch: pytest.MonkeyPatch, sections: dict[str, Any], passes: dict[str, float]
) -> None:
    parts = start(
        **{**sections, "training": {"individual_pretraining": {"epochs": 3}, **sections.get("training", {})}},
        sampler={"name": "uniform", "examples_per_task": 24},
    )
    names = {id(split): name for task in parts.tasks.values() for name, split in task.splits.items()}
    seconds = {"train": 100.0, "dev": 7.0}
    monkeypatch.setattr(probing, "_pass_seconds", lambda _, split: seconds[names[id(split)]])

    each = sum(passes[split] * seconds[split] for split in passes)
    assert probing.probe(parts).pretraining_seconds == pytest.approx(len(parts.tasks) * each)


def test_without_individual_pretraining_there_is_nothing_to_count(start: Start) -> None:
    found = probing.probe(start())
    assert found.pretraining_seconds == 0
    assert min(found.seconds_per_epoch, found.seconds_per_evaluation) > 0
    assert found.num_evaluations == 2
