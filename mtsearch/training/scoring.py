"""Score a trained model on a split of all its tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from mtsearch.data.resolve import describe
from mtsearch.errors import RunError
from mtsearch.training.evaluate import NotFiniteError
from mtsearch.training.trained import TrainedModel

__all__ = ["Scores", "score", "write_scores"]


@dataclass(frozen=True)
class Scores:
    """What a model reaches.

    Attributes:
        split: ``dev`` or ``test``.
        metrics: of each task that has the split, by name; the main metric first.
        data: for each task, which data it was, in words.
        left_out: for each task without such a split, why, in words.
        predictions: of every example.
    """

    split: str
    metrics: dict[str, dict[str, float]]
    data: dict[str, str]
    left_out: list[str]
    predictions: pd.DataFrame

    @property
    def mean_score(self) -> float:
        """Mean of the main metrics of the tasks that were scored; one at least must be."""
        main = [next(iter(values.values())) for values in self.metrics.values()]
        return sum(main) / len(main)


def score(model: TrainedModel, split: Literal["dev", "test"], tasks: Sequence[str], data_root: Path | None) -> Scores:
    """Score a model.

    Args:
        model: to score.
        split: on which.
        tasks: which of its tasks; none means all.
        data_root: as for :meth:`TrainedModel.evaluate`.

    Raises:
        DataError: a task is unknown, or its data missing.
    """
    metrics, data, tables, left_out = {}, {}, [], []
    for task in tasks or model.config.tasks:
        found = model.data(task, data_root)
        if split not in found.splits:
            left_out.append(f"{task}: {found.where} has only {', '.join(found.splits)}")
            continue
        try:
            evaluation, table = model.evaluate(task, split, found)
        except NotFiniteError as error:
            raise RunError(f"{task}: this model cannot be scored: {error}; it has diverged") from error
        is_same = found.content_hash == model.data_hashes[task]
        note = "" if is_same else "; NOT the data that the model was trained and chosen on"
        metrics[task], data[task] = evaluation.metrics, f"{describe(found)}{note}"
        tables.append(table)
    predictions = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return Scores(split, metrics, data, left_out, predictions)


def write_scores(scores: Scores, folder: Path) -> None:
    """Write ``scores.json`` and ``predictions.parquet``."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = {
        "split": scores.split,
        "mean_score": scores.mean_score,
        "metrics": scores.metrics,
        "data": scores.data,
        "left_out": scores.left_out,
    }
    (folder / "scores.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    scores.predictions.to_parquet(folder / "predictions.parquet", index=False)
