"""What the tests of training share: trials without dropout, and their numbers and weights to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mtsearch.training.report import Report

STILL: dict[str, Any] = {
    "encoder": {"dropout": 0.0, "attention_dropout": 0.0},
    "tasks": {
        "sentiment": {"kind": "classification", "data": "sst5", "class_weights": "balanced", "head": {"dropout": 0.0}},
        "paraphrase": {"kind": "pair_classification", "data": "quora", "head": {"dropout": 0.0}},
        "similarity": {"kind": "pair_regression", "data": "stsb", "head": {"dropout": 0.0}},
    },
}
"""Sections of a config in which nothing is drawn at random while it trains."""


def numbers(reports: list[Report]) -> list[dict[str, float]]:
    """Everything of the reports that must not depend on where and when they were made."""
    return [
        {f"{m.task}.{m.split}.{m.metric}": m.value for m in report.measurements if m.metric != "latency_ratio"}
        for report in reports
    ]


def values(report: Report, metric: str) -> dict[str, float]:
    """By task, what a report measured under this name."""
    return {m.task: m.value for m in report.measurements if m.metric == metric}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of a checkpoint."""
    return load_file(folder / "model.safetensors")


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
