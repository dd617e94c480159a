"""What a trial would take: a few updates and a piece of an evaluation, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from mtsearch.data.batching import EncodedSplit
from mtsearch.model.layers import evaluation_mode
from mtsearch.model.prefix import can_start_above
from mtsearch.training.parts import Parts
from mtsearch.training.updates import start_epoch, train_updates

__all__ = ["Probe", "probe"]

_UPDATES = 8
_LOTS = 4


@dataclass(frozen=True)
class Probe:
    """Estimates for one trial, on this machine, with nothing else running.

    Attributes:
        pretraining_seconds: of individual pretraining, before all else.
        seconds_per_epoch: training alone.
        seconds_per_evaluation: of all tasks on dev, the holdout included.
        num_epochs: of the whole trial.
        num_evaluations: of the whole trial.
        weight_bytes: of the model's weights on disk; a state to go on from takes about three times that.
    """

    pretraining_seconds: float
    seconds_per_epoch: float
    seconds_per_evaluation: float
    num_epochs: int
    num_evaluations: int
    weight_bytes: int

    def seconds(self, evaluations: float) -> float:
        """What a trial takes that is stopped after so many evaluations."""
        share = evaluations / self.num_evaluations
        training = share * self.num_epochs * self.seconds_per_epoch
        return self.pretraining_seconds + training + evaluations * self.seconds_per_evaluation


def probe(parts: Parts) -> Probe:
    """Time a few updates and a part of an evaluation; the parts are of no use for training afterwards.

    They are timed as the first epoch has them: frozen as it is, and computing what later epochs find in the cache.
    """
    training = parts.config.training
    pretraining_seconds = _pretraining_seconds(parts)  # before anything of the encoder is kept
    updates, _ = parts.plan.epoch(0, {})
    start_epoch(parts)
    train_updates(parts, updates[:1])  # the first one allocates
    begun = time.perf_counter()
    # A SophiaH's interval holds one estimate of curvature, the dearest part of its updates.
    interval: int = getattr(parts.config.optimizer, "hessian_interval", 0)
    timed = updates[1 : 1 + max(_UPDATES, interval)] or updates[:1]
    train_updates(parts, timed)
    per_update = (time.perf_counter() - begun) / len(timed)
    return Probe(
        pretraining_seconds=pretraining_seconds,
        seconds_per_epoch=per_update * sum(parts.plan.updates_per_epoch) / training.epochs,
        seconds_per_evaluation=sum(
            _pass_seconds(parts, split)
            for task in parts.tasks.values()
            for name, split in task.splits.items()
            if name in ("dev", "holdout")
        ),
        num_epochs=training.epochs,
        num_evaluations=training.epochs * training.evaluations_per_epoch,
        weight_bytes=sum(p.numel() * p.element_size() for p in parts.state.model.parameters()),
    )


def _pretraining_seconds(parts: Parts) -> float:
    """The encoder's passes over what individual pretraining sees; the task heads take little.

    What is kept of a pass is computed once for each example, and counts by its share of the layers.
    """
    wanted = parts.config.training.individual_pretraining
    if wanted is None:
        return 0.0
    kept = _kept_share(parts)
    seconds = 0.0
    for name, task in parts.tasks.items():
        train, dev = task.splits["train"], task.splits["dev"]
        quota = parts.config.sampler.quotas({name: train.num_examples}, 0, wanted.epochs)[name]
        for split, passes in ((train, wanted.epochs * quota / train.num_examples), (dev, 1.0 + wanted.epochs)):
            seconds += (kept * min(1.0, passes) + (1 - kept) * passes) * _pass_seconds(parts, split)
    return seconds


def _kept_share(parts: Parts) -> float:
    """Of the encoder's layers, those whose output is kept while nothing but task heads trains."""
    model = parts.state.model
    depth = model.frozen_prefix([model.num_layers + 1])
    if not depth or not parts.config.training.cache_frozen or not can_start_above(depth, model.encoder, model.layers):
        return 0.0
    return depth / model.num_layers


def _pass_seconds(parts: Parts, split: EncodedSplit) -> float:
    """Of a forward pass over a whole split, from a part of it."""
    with evaluation_mode(parts.state.model), torch.inference_mode(), parts.accelerator.autocast():
        lots = list(split.in_length_order(parts.config.training.evaluation_batch_size))
        sample = lots[:: max(1, len(lots) // _LOTS)]  # lots come longest first: take some of every length
        begun = time.perf_counter()
        for rows in sample:
            parts.state.model(parts.prefix.batch(split, rows))
        return (time.perf_counter() - begun) * len(lots) / len(sample)
