"""Evaluation: a task's metrics over a whole split, with every example's prediction."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn

from mtsearch.data.batching import EncodedSplit
from mtsearch.data.examples import Example
from mtsearch.tasks.contract import Inventory, TaskKind
from mtsearch.tasks.metrics import Metric

__all__ = ["Evaluation", "NotFiniteError", "evaluate", "prediction_table"]


class NotFiniteError(ArithmeticError):
    """A loss or a metric that is NaN or infinite: the trial has diverged."""


@dataclass(frozen=True)
class Evaluation:
    """What one task did on one split.

    Attributes:
        metrics: by name, the loss included.
        predictions: one dict per example, in file order: ``prediction`` and what the task's decoding adds.
    """

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]


def evaluate(
    model: nn.Module,
    task: TaskKind,
    inventory: Inventory,
    split: EncodedSplit,
    examples: tuple[Example, ...],
    metrics: Mapping[str, Metric],
    accelerator: Accelerator,
    batch_size: int,
) -> Evaluation:
    """Run the model over a split and measure it.

    Args:
        model: left in the mode that it was in.
        task: decodes and names the metrics.
        inventory: of the training split.
        split: the encoded rows.
        examples: the same split's examples, for their gold labels.
        metrics: all metrics by name.
        accelerator: for the number format and the device.
        batch_size: rows of a forward pass; no influence on the result beyond rounding.

    Raises:
        NotFiniteError: the loss or a metric is NaN or infinite.
    """
    was_training = model.training
    model.eval()
    loss, weight = 0.0, 0.0
    by_row: dict[int, dict[str, Any]] = {}
    with torch.inference_mode(), accelerator.autocast():
        for rows in split.in_length_order(batch_size):
            batch = split.batch(rows).to(accelerator.device)
            logits = model(batch)
            loss += float(task.loss(logits, batch.targets, inventory))
            weight += float(task.loss_weight(batch.targets, inventory))
            if not math.isfinite(loss):
                raise NotFiniteError(f"the dev loss of {split.task} became {loss}")
            by_row.update(zip(rows.tolist(), task.decode(logits, inventory), strict=True))
    model.train(was_training)
    windows = itertools.groupby(sorted(by_row), key=lambda row: int(split.tokens.example[row]))
    predictions = [task.merge([by_row[row] for row in rows]) for _, rows in windows]
    gold = [example.label for example in examples]
    predicted = [prediction["prediction"] for prediction in predictions]
    values = {name: metrics[name].compute(gold, predicted) for name in task.metrics}
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotFiniteError(f"{split.task}.{name} became {value}")
    return Evaluation({**values, "loss": loss / weight}, predictions)


def prediction_table(task: str, split: str, examples: tuple[Example, ...], evaluation: Evaluation) -> pd.DataFrame:
    """One row per example: ``task, split, example, gold, prediction``, and ``scores``: what else decoding gave, as JSON."""
    return pd.DataFrame(
        {
            "task": task,
            "split": split,
            "example": [example.id for example in examples],
            "gold": [_text(example.label) for example in examples],
            "prediction": [_text(prediction["prediction"]) for prediction in evaluation.predictions],
            "scores": [
                _text({key: value for key, value in prediction.items() if key != "prediction"})
                for prediction in evaluation.predictions
            ],
        }
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
