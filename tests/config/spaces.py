"""Spaces that the tests of the config share, as YAML text."""

from __future__ import annotations

from pathlib import Path

from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace

TASK = "tasks:\n  sentiment: {kind: classification, data: sst5}\n"

CONDITIONAL = """\
tasks:
  sentiment: {kind: classification, data: sst5}
  similarity: {kind: pair_regression, data: stsb, low: 0, high: 5}
encoder: {dropout: {choice: [null, {uniform: [0.1, 0.4]}]}}
training: {batch_size: {choice: [16, 32, 64]}, epochs: {int: [2, 10, 4]}}
optimizer:
  name: adamw
  lr: {loguniform: [1e-5, 3e-4]}
  head_lr: {same_as: optimizer.lr}
  eps: {qloguniform: [1e-8, 1.01e-6, 1e-7]}
schedule:
  choice:
    - {name: plateau, patience: {int: [0, 2]}}
    - {name: linear, warmup_ratio: {quniform: [0, 0.3, 0.1]}}
    - {label: long cosine, name: cosine, warmup_ratio: 0.3}
search: {trials: 8}
"""


def space_of(text: str, folder: Path, *overrides: str) -> SearchSpace:
    """The space in ``text``, read from ``folder/x.yaml``."""
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path, overrides)
