"""Individual pretraining: before anything else each task head learns alone, on the frozen encoder."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mtsearch.config.trial import IndividualPretraining
from mtsearch.data.plan import Plan, Position
from mtsearch.training.evaluate import NotFiniteError, evaluate_trial
from mtsearch.training.parts import Parts, TaskParts
from mtsearch.training.ranks import from_first
from mtsearch.training.report import Measurement

__all__ = ["pretrain_heads"]


def pretrain_heads(parts: Parts) -> tuple[Measurement, ...]:
    """Train every task's head for itself, and leave it as it was after its best evaluation.

    The encoder's part of an example never changes meanwhile, and is computed once, up to what extends the encoder.
    Schedules, weightings and surgery are not at work. Every process does the same, on all rows. Nothing is done where
    the config asks for none.

    Returns:
        Each task's best main metric on dev, as ``pretrained_METRIC``.

    Source:
        The CS224N report's "individual pretraining".
    """
    wanted = parts.config.training.individual_pretraining
    if wanted is None:
        return ()
    with _frozen_encoder(parts):
        best = tuple(_pretrain(parts, task, wanted) for task in parts.tasks.values())
    # What compares the model with what it was starts from here, not from heads that have learned nothing.
    parts.state.regularizers = parts.config.regularizers.build(parts.state.model)
    return best


@contextmanager
def _frozen_encoder(parts: Parts) -> Iterator[None]:
    """Inside, the encoder does not train and has no dropout; afterwards it and torch's generators are as before."""
    model, device = parts.state.model, parts.accelerator.device
    not_heads = (parameter for part in (model.encoder, model.extensions) for parameter in part.parameters())
    trained = [parameter for parameter in not_heads if parameter.requires_grad]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for parameter in trained:
            parameter.requires_grad_(False)
        if parts.config.training.cache_frozen:
            parts.prefix.freeze(model.frozen_prefix([model.num_layers + 1]))
        try:
            yield
        finally:
            parts.prefix.freeze(None)
            for parameter in trained:
                parameter.requires_grad_(True)


def _pretrain(parts: Parts, task: TaskParts, wanted: IndividualPretraining) -> Measurement:
    config, model, device = parts.config, parts.state.model, parts.accelerator.device
    head = model.heads[task.name]
    split = task.splits["train"]
    # Dropout depends on no other task, and is the same in every process.
    torch.manual_seed(config.training.seed ^ zlib.crc32(f"pretraining of {task.name}".encode()))
    optimizer = torch.optim.AdamW(head.parameters(), lr=wanted.lr)
    scaler = torch.amp.GradScaler(device.type, enabled=parts.precision == "fp16")
    model.eval()
    head.train()
    best_score, best = _score(parts, task), copy.deepcopy(head.state_dict())
    positions: dict[str, Position] = {}
    plan = Plan(config.sampler, {task.name: split}, config.training.batch_size, 1, config.training.seed, wanted.epochs)
    for epoch in range(wanted.epochs):
        updates, positions = plan.epoch(epoch, positions)
        for planned in (batch for update in updates for batch in update):
            weight = float(task.kind.loss_weight(split.targets(planned.rows), task.inventory))
            for rows in parts.place.micro_batches(planned.rows):
                batch = parts.prefix.batch(split, rows)
                with parts.accelerator.autocast():
                    loss = task.kind.loss(model(batch), batch.targets, task.inventory)
                scaler.scale(loss / weight).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        score = _score(parts, task)
        if score > best_score:
            best_score, best = score, copy.deepcopy(head.state_dict())
    from_first(best.values(), parts.accelerator)  # GPUs of different kinds may not have come to the same bits
    head.load_state_dict(best)
    return Measurement(task.name, "dev", f"pretrained_{task.kind.metrics[0]}", best_score)


def _score(parts: Parts, task: TaskParts) -> float:
    """The task's main metric on dev; -inf where a loss is not finite, as a head that has run away is never the best."""
    try:
        return evaluate_trial(parts, task).metrics[task.kind.metrics[0]]
    except NotFiniteError:
        return float("-inf")
