"""What a checkpoint brings back of every method at work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from tests.training.trials import assert_equal

Start = Callable[..., Parts]

SECTIONS: dict[str, Any] = {
    "training": {"epochs": 3, "evaluations_per_epoch": 2},
    "sampler": {"name": "uniform", "examples_per_task": 32, "mixed": True},
    "unfreezing": {"name": "gradual", "initially": 1, "warmup_updates": 3},
    "regularizers": {"smart": {"weight": 0.1}, "proximal": {"momentum": 0.9}},
    "schedule": {"name": "plateau"},
}


@pytest.mark.parametrize(
    ("surgery", "weighting", "optimizer"),
    [
        ("pcgrad", "moving_average", "sophiah"),
        ("gradvac", "uncertainty", "adamw"),
        ("pcgrad", "dwa", "adamw"),
        ("gradvac", "random", "sophiah"),
    ],
)
def test_every_method_goes_on_from_where_it_was(
    start: Start, tmp_path: Path, surgery: str, weighting: str, optimizer: str
) -> None:
    sections = {
        **SECTIONS,
        "surgery": {"name": surgery},
        "weighting": {"name": weighting},
        "optimizer": {"name": optimizer, "lr": 1e-3},
    }
    parts = start(tmp_path, **sections)
    trial = fit(parts)
    for _ in range(3):  # into the second epoch, in the midst of a warm-up
        next(trial)
    trial.close()
    fresh, resumed = start(**sections), start(resume=latest_checkpoint(tmp_path), **sections)
    for name in ("schedule", "thawing", "weighting", "surgery"):
        then, now, anew = (getattr(each.state, name).state_dict() for each in (parts, resumed, fresh))
        assert now == then
        assert then != anew, f"the state of {name} never moved: this shows nothing"
    for then, now in zip(parts.state.regularizers, resumed.state.regularizers, strict=True):
        assert_equal(now.tensors(), then.tensors())
    assert optimizer_state(resumed) == optimizer_state(parts)


def optimizer_state(parts: Parts) -> dict[str, Any]:
    """By the parameters' names, with plain values, that compare as a whole."""
    optimizer = parts.state.optimizer.optimizer
    names = {
        id(p): name for group in optimizer.param_groups for name, p in zip(group["names"], group["params"], strict=True)
    }
    values = {
        names[id(parameter)]: {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in state.items()}
        for parameter, state in optimizer.state.items()
    }
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    return {"values": values, "groups": groups}


def tensor_bytes(path: Path) -> int:
    """Of a safetensors file without its header, which counts for much where the model is tiny."""
    with path.open("rb") as file:
        return path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")


def test_a_running_trial_never_has_more_on_disk_than_a_plan_says(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtsearch.search.planning import _RUNNING_WEIGHTS
    from mtsearch.training import checkpoint

    sizes = []

    def replace(source: Path, target: Path) -> None:
        if Path(target).name.startswith("evaluation-"):
            sizes.append(sum(map(tensor_bytes, tmp_path.rglob("checkpoints/*/*.safetensors"))))
        os.rename(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", replace)
    parts = start(tmp_path, encoder={"max_length": 16}, training={"epochs": 4})
    list(fit(parts))
    weights = sum(tensor.numel() * tensor.element_size() for tensor in parts.state.model.state_dict().values())
    assert len(sizes) == 4
    assert (_RUNNING_WEIGHTS - 0.5) * weights < max(sizes) < (_RUNNING_WEIGHTS + 0.5) * weights
