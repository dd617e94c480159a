"""What a trial would take: a few updates and a piece of an evaluation, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from mtsearch.data.plan import plan_epoch
from mtsearch.training.parts import Parts
from mtsearch.training.updates import start_epoch, train_updates

__all__ = ["Probe", "probe"]

_UPDATES = 8
_LOTS = 4


@dataclass(frozen=True)
class Probe:
    """Estimates for one trial, on this machine, with nothing else running.

    Attributes:
        seconds_per_epoch: training alone.
        seconds_per_evaluation: of all tasks on dev.
        num_epochs: of the whole trial.
        num_evaluations: of the whole trial.
        weight_bytes: of the model's weights on disk; a state to go on from takes about three times that.
    """

    seconds_per_epoch: float
    seconds_per_evaluation: float
    num_epochs: int
    num_evaluations: int
    weight_bytes: int

    def seconds(self, evaluations: float) -> float:
        """What a trial takes that is stopped after so many evaluations."""
        share = evaluations / self.num_evaluations
        return share * self.num_epochs * self.seconds_per_epoch + evaluations * self.seconds_per_evaluation


def probe(parts: Parts) -> Probe:
    """Time a few updates and a part of an evaluation; the parts are of no use for training afterwards.

    They are timed as the first epoch has them: frozen as it is, and computing what later epochs find in the cache.
    Individual pretraining is not counted.
    """
    training = parts.config.training
    splits = {name: task.splits["train"] for name, task in parts.tasks.items()}
    updates, _ = plan_epoch(
        parts.config.sampler,
        splits,
        training.batch_size,
        training.accumulation,
        seed=training.seed,
        epoch=0,
        epochs=training.epochs,
        positions={},
    )
    start_epoch(parts)
    train_updates(parts, updates[:1])  # the first one allocates
    begun = time.perf_counter()
    # A SophiaH's interval holds one estimate of curvature, the dearest part of its updates.
    interval: int = getattr(parts.config.optimizer, "hessian_interval", 0)
    timed = updates[1 : 1 + max(_UPDATES, interval)] or updates[:1]
    train_updates(parts, timed)
    per_update = (time.perf_counter() - begun) / len(timed)
    return Probe(
        seconds_per_epoch=per_update * sum(parts.updates_per_epoch) / training.epochs,
        seconds_per_evaluation=_evaluation_seconds(parts),
        num_epochs=training.epochs,
        num_evaluations=training.epochs * training.evaluations_per_epoch,
        weight_bytes=sum(p.numel() * p.element_size() for p in parts.state.model.parameters()),
    )


def _evaluation_seconds(parts: Parts) -> float:
    seconds = 0.0
    parts.state.model.eval()
    with torch.inference_mode(), parts.accelerator.autocast():
        for task in parts.tasks.values():
            split = task.splits["dev"]
            lots = list(split.in_length_order(parts.config.training.evaluation_batch_size))
            sample = lots[:: max(1, len(lots) // _LOTS)]  # lots come longest first: take some of every length
            begun = time.perf_counter()
            for rows in sample:
                parts.state.model(parts.prefix.batch(split, rows))
            seconds += (time.perf_counter() - begun) * len(lots) / len(sample)
    return seconds
