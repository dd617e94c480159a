"""Evaluation: a task's metrics over a whole split, with every example's prediction."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn

from mtsearch.data.batching import Batch, EncodedSplit
from mtsearch.data.examples import Example
from mtsearch.model.layers import evaluation_mode
from mtsearch.tasks.contract import Inventory, TaskKind
from mtsearch.tasks.metrics import Metric
from mtsearch.training.ranks import gather, sum_tensors

if TYPE_CHECKING:
    from mtsearch.training.holdout import TrialSplit
    from mtsearch.training.parts import Parts, TaskParts

__all__ = ["Evaluation", "NotFiniteError", "Prediction", "evaluate", "evaluate_trial", "predict", "prediction_table"]


BatchOf = Callable[[EncodedSplit, npt.NDArray[np.int64]], Batch]


class NotFiniteError(ArithmeticError):
    """A loss or a metric that is NaN or infinite: the trial has diverged."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of a split.

    Attributes:
        predictions: one dict per example, in file order: ``prediction`` and what the task's decoding adds.
        loss: mean over the rows; None where they have no targets.
    """

    predictions: list[dict[str, Any]]
    loss: float | None


@dataclass(frozen=True)
class Evaluation:
    """What one task did on one split.

    Attributes:
        metrics: by name, the loss included.
        predictions: as in :class:`Prediction`.
    """

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]


def predict(
    model: nn.Module,
    task: TaskKind,
    inventory: Inventory,
    split: EncodedSplit,
    examples: Sequence[Example],
    batch_of: BatchOf,
    accelerator: Accelerator,
    batch_size: int,
) -> Prediction:
    """Run the model over a split and decode.

    Args:
        model: left in the mode that it was in.
        task: decodes.
        inventory: of the training split.
        split: the encoded rows, with or without targets.
        examples: of which they are.
        batch_of: makes batches of its rows, on the device.
        accelerator: for the number format and the device.
        batch_size: rows of a forward pass; no influence on the result beyond rounding.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    sums = {name: torch.zeros((), dtype=torch.float64, device=accelerator.device) for name in ("loss", "weight")}
    by_row: dict[int, dict[str, Any]] = {}
    lots = list(split.in_length_order(batch_size))
    with evaluation_mode(model), torch.inference_mode(), accelerator.autocast():
        for rows in lots[accelerator.process_index :: accelerator.num_processes]:
            batch = batch_of(split, rows)
            logits = model(batch)
            if batch.targets:
                sums["loss"] += task.loss(logits, batch.targets, inventory)
                sums["weight"] += task.loss_weight(batch.targets, inventory)
            by_row.update(zip(rows.tolist(), task.decode(logits, inventory, batch.targets or None), strict=True))
    loss, weight = (float(total) for total in sum_tensors(sums, accelerator).values())
    if not math.isfinite(loss):
        raise NotFiniteError(f"the loss of {split.task} became {loss} in an evaluation")
    by_row = {row: prediction for part in gather(by_row, accelerator) for row, prediction in part.items()}
    merged = []
    for number, of_example in itertools.groupby(sorted(by_row), key=lambda row: int(split.tokens.example[row])):
        members = list(of_example)
        windows = () if split.tokens.spans is None else split.tokens.windows(members)
        merged.append(task.merge([by_row[row] for row in members], windows, examples[number]))
    return Prediction(merged, loss / weight if weight else None)


def evaluate(
    model: nn.Module,
    task: TaskKind,
    inventory: Inventory,
    split: EncodedSplit,
    examples: Sequence[Example],
    metrics: Mapping[str, Metric],
    batch_of: BatchOf,
    accelerator: Accelerator,
    batch_size: int,
) -> Evaluation:
    """Run the model over a split and measure it over the whole corpus.

    Args:
        model: as for :func:`predict`, as are the arguments not named here.
        task: decodes and names the metrics.
        inventory: of the training split.
        split: the encoded rows with their targets.
        examples: the same split's examples, for their gold labels.
        metrics: all metrics by name.
        batch_of: makes batches of the rows, on the device.
        accelerator: for the number format and the device.
        batch_size: rows of a forward pass.

    Raises:
        NotFiniteError: the loss or a metric is NaN or infinite.
    """
    result = predict(model, task, inventory, split, examples, batch_of, accelerator, batch_size)
    gold = [example.label for example in examples]
    values = {}
    for name in task.metrics:
        predicted = [prediction[metrics[name].key] for prediction in result.predictions]
        values[name] = float(metrics[name].compute(gold, predicted))
        if not math.isfinite(values[name]):
            raise NotFiniteError(f"{split.task}.{name} became {values[name]}")
    assert result.loss is not None  # the split has targets
    return Evaluation({**values, "loss": result.loss}, result.predictions)


def evaluate_trial(parts: Parts, task: TaskParts, split: TrialSplit = "dev") -> Evaluation:
    """What a trial's model, as it is, does on a split of a task.

    Raises:
        NotFiniteError: the loss or a metric is NaN or infinite.
    """
    batch_size = parts.config.training.evaluation_batch_size
    return evaluate(
        parts.state.model,
        task.kind,
        task.inventory,
        task.splits[split],
        task.examples[split],
        parts.metrics,
        parts.prefix.batch,
        parts.accelerator,
        min(batch_size, parts.place.micro_batch_size or batch_size),
    )


def prediction_table(
    task: str, split: str, examples: Sequence[Example], predictions: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """One row per example: ``task, split, example, gold, prediction``, ``scores`` (JSON of what else was decoded).

    Classes are written as they are. Every other label is JSON, and so is what is predicted for it: text as well.
    """
    return pd.DataFrame(
        {
            "task": task,
            "split": split,
            "example": [example.id for example in examples],
            "gold": [_text(example.label) for example in examples],
            "prediction": [
                _text(prediction["prediction"])
                if isinstance(example.label, str)
                else json.dumps(prediction["prediction"])
                for example, prediction in zip(examples, predictions, strict=True)
            ],
            "scores": [
                json.dumps({key: value for key, value in prediction.items() if key != "prediction"})
                for prediction in predictions
            ],
        }
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
