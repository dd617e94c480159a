"""One update after another: from planned batches to moved parameters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed
from torch import Tensor, nn

from mtsearch.data.plan import PlannedBatch, PlannedUpdate
from mtsearch.model.multitask import MultitaskModel
from mtsearch.optimizers.contract import NeedsCurvature
from mtsearch.regularizers.replay import RandomState
from mtsearch.training.evaluate import NotFiniteError
from mtsearch.training.interference import Agreement
from mtsearch.training.parts import Parts, TaskParts
from mtsearch.training.ranks import share_of, sum_gradients, sum_list, sum_tensors
from mtsearch.training.report import Interference, Measurement

__all__ = ["Trained", "start_epoch", "train_updates"]

_CHECK_EVERY_UPDATES = 16  # looking at a loss waits for the device


@dataclass(frozen=True)
class Trained:
    """What a stretch of updates gives the report.

    Attributes:
        measurements: each task's mean loss, learning rates, and what the methods at work measure.
        interference: the mean cosines between the tasks' gradients; empty if none were measured.
    """

    measurements: tuple[Measurement, ...]
    interference: tuple[Interference, ...]


@dataclass(frozen=True)
class _Lot:
    """A batch of an update, or a micro-batch, as this process sees it.

    Attributes:
        task: whose batch it is.
        rows: this process's; there may be none.
        per_loss: what their summed loss is multiplied by, to be their part of the task's mean loss in the update.
        per_row: one over the task's rows in the update, in all processes.
    """

    task: TaskParts
    rows: npt.NDArray[np.int64]
    per_loss: float
    per_row: float


def start_epoch(parts: Parts) -> None:
    """Freeze and thaw as the epoch under way asks; what stays frozen below need not be computed again and again."""
    state = parts.state
    if state.thawing.start_epoch(state.progress.epoch, state.progress.step):
        state.schedule.after_thaw()
        state.progress.thawed_evaluation = state.progress.evaluation
    # SMART moves the word embeddings, which a pass that starts above them never sees.
    can_cache = parts.config.training.cache_frozen and not any(one.name == "smart" for one in state.regularizers)
    parts.prefix.freeze(state.thawing.frozen_prefix if can_cache else None)


def train_updates(parts: Parts, updates: Sequence[PlannedUpdate]) -> Trained:
    """Do these updates, one after the other.

    Raises:
        NotFiniteError: a loss became NaN or infinite.
    """
    state, progress, accelerator = parts.state, parts.state.progress, parts.accelerator
    begun = time.perf_counter()
    stretch = _Stretch(parts)
    state.thawing.set_training_mode()
    for number, update in enumerate(updates):
        lots = _lots(parts, update)
        if _is_due(parts):
            stretch.agreement.add(*_compare_tasks(parts, _one_batch_each([*updates[number:], *updates[:number]])))
        losses = _differentiate_update(parts, lots)
        _estimate_curvature(parts, update)
        if parts.config.training.gradient_clip is not None:
            stretch.add_norm(accelerator.clip_grad_norm_(_stepped(parts), parts.config.training.gradient_clip))
        with state.thawing.warmed(state.optimizer.param_groups, progress.step):
            overflowed = _step(parts, list(lots))
        state.optimizer.zero_grad()
        if not overflowed:
            state.schedule.after_update()
        state.weighting.after_update(sum_tensors(losses, accelerator) if state.weighting.needs_losses else {})
        for regularizer in state.regularizers:
            regularizer.after_update(state.model)
        stretch.add(losses)
        progress.step += 1
        progress.examples_seen += sum(len(batch.rows) for batch in update)
        if number % _CHECK_EVERY_UPDATES == _CHECK_EVERY_UPDATES - 1 or number == len(updates) - 1:
            stretch.check_finite(progress.step)
    progress.training_seconds += time.perf_counter() - begun
    return Trained(stretch.measurements(), stretch.agreement.means())


class _Stretch:
    """What adds up over the updates between two evaluations, on the device, without waiting for it."""

    def __init__(self, parts: Parts) -> None:
        device = parts.accelerator.device
        self._parts = parts
        self._losses = {name: torch.zeros((), device=device) for name in parts.tasks}
        self._num_updates = dict.fromkeys(parts.tasks, 0)
        self._num_all_updates = 0
        self._norms, self._num_norms = torch.zeros((), device=device), torch.zeros((), device=device)
        self.agreement = Agreement(tuple(parts.tasks))

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count an update's losses: each task's mean, or this process's part of it."""
        self._num_all_updates += 1
        for name, loss in losses.items():
            self._losses[name] += loss
            self._num_updates[name] += 1

    def add_norm(self, norm: Tensor) -> None:
        """Count the norm of an update's gradient, unless fp16 overflowed in it: that update is then skipped."""
        self._norms += torch.where(norm.isfinite(), norm, 0.0)
        self._num_norms += norm.isfinite()

    def check_finite(self, step: int) -> None:
        """Whether all losses so far were finite: a sum keeps the first NaN or infinity that was added to it.

        Raises:
            NotFiniteError: one was not.
        """
        for name, loss in sum_tensors(self._losses, self._parts.accelerator).items():
            if not torch.isfinite(loss):
                raise NotFiniteError(f"the training loss of {name} became {float(loss)} by update {step}")

    def measurements(self) -> tuple[Measurement, ...]:
        """Means over the stretch, and how things stand after it."""
        config, state = self._parts.config, self._parts.state
        totals = sum_tensors(self._losses, self._parts.accelerator)
        found = [
            Measurement(name, "train", "loss", float(totals[name]) / count)
            for name, count in self._num_updates.items()
            if count
        ]
        if config.sampler.mixed:  # with shares far from even few updates have several tasks to weigh or compare
            per_update = sum(self._num_updates.values()) / self._num_all_updates
            found.append(Measurement("", "train", "tasks_per_update", per_update))
        # Of several depths with rates of their own the top one's is told.
        rates = {group["part"]: group["lr"] for group in state.optimizer.param_groups}
        found += [Measurement("", "train", f"{part}_lr", rate) for part, rate in rates.items()]
        if num_norms := float(self._num_norms):
            found.append(Measurement("", "train", "gradient_norm", float(self._norms) / num_norms))
        if config.weighting.name != "static":
            found += [Measurement(task, "train", "loss_weight", w) for task, w in state.weighting.measured().items()]
        if config.unfreezing.name != "none":
            found += [Measurement("", "train", name, value) for name, value in state.thawing.measured().items()]
        for _, extension in state.model.each_extension():
            found += [Measurement(task, "train", name, value) for task, name, value in extension.measured()]
        if state.pruning is not None:
            found += [Measurement(task, "train", name, value) for task, name, value in state.pruning.measured()]
        optimizer = state.optimizer.optimizer
        told = [regularizer.measured() for regularizer in state.regularizers]
        told += [optimizer.measured()] if isinstance(optimizer, NeedsCurvature) else []
        found += [Measurement("", "train", name, value) for values in told for name, value in values.items()]
        return tuple(found)


def _lots(parts: Parts, update: PlannedUpdate, share: float = 1.0) -> dict[str, list[_Lot]]:
    """An update's batches by task, in the order of the config; ``share`` of their rows.

    The loss of an update is the sum over its tasks of their weights times the mean over the task's rows in it,
    so that batches of different sizes, or with class weights, count as they would in one pass.
    """
    lots: dict[str, list[_Lot]] = {}
    for name, task in parts.tasks.items():
        batches = [_spread(batch.rows, share) for batch in update if batch.task == name]
        if not batches:
            continue
        targets = task.splits["train"].targets
        weight = sum(float(task.kind.loss_weight(targets(rows), task.inventory)) for rows in batches)
        per_row = 1.0 / sum(len(rows) for rows in batches)
        passes = [rows for batch in batches for rows in parts.place.micro_batches(batch)]
        lots[name] = [_Lot(task, share_of(rows, parts.accelerator), 1.0 / weight, per_row) for rows in passes]
    return lots


def _spread(rows: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """That share of the rows, at least one, from all over the batch: it lies in the order of its rows' lengths."""
    count = max(1, round(share * len(rows)))
    return rows[np.arange(count) * len(rows) // count]


def _differentiate_update(parts: Parts, lots: Mapping[str, list[_Lot]]) -> dict[str, Tensor]:
    """Fill ``grad`` of all parameters with the update's gradient; gives this process's part of each mean loss."""
    state, accelerator = parts.state, parts.accelerator
    if state.surgery is None or len(lots) < 2 or not _shared(parts):
        losses = {name: _differentiate(parts, own) for name, own in lots.items()}
        sum_gradients(_serving(state.model, lots), accelerator)
        return losses
    gradients = parts.task_gradients
    losses = {}
    for row, (name, own) in enumerate(lots.items()):
        gradients.receive(row)
        losses[name] = _differentiate(parts, own)
    if accelerator.num_processes > 1:
        gradients.reduce(torch.distributed.all_reduce)
    shared = {id(parameter) for parameter in state.model.shared_parameters}
    sum_gradients((p for p in _serving(state.model, lots) if id(p) not in shared), accelerator)
    gradients.combine(state.surgery.coefficients(gradients.gramian(), list(lots)))
    return losses


def _step(parts: Parts, tasks: Sequence[str]) -> bool:
    """One step of the optimizer, and of the gates beside it; whether fp16 overflowed, so that it changed nothing.

    Accelerate's ``step_was_skipped`` misses that where the optimizer is fused and skips the step by itself.
    """
    scaler, optimizer, pruning = parts.accelerator.scaler, parts.state.optimizer, parts.state.pruning
    before = 0.0 if scaler is None else scaler.get_scale()
    if pruning is not None:
        pruning.step(tasks, parts.state.progress.step, scaler)
    if scaler is None or _stepped(parts):
        optimizer.step()  # and with it the scaler's update
    else:  # which steps no optimizer that has no gradients
        scaler.update()
    return scaler is not None and scaler.get_scale() < before


def _stepped(parts: Parts) -> list[nn.Parameter]:
    """The optimizer's parameters that train now; there are none where the gates alone learn."""
    groups = parts.state.optimizer.param_groups
    return [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]


def _shared(parts: Parts) -> list[nn.Parameter]:
    """The parameters that the tasks share, and that train now."""
    return [parameter for parameter in parts.state.model.shared_parameters if parameter.requires_grad]


def _differentiate(parts: Parts, lots: Sequence[_Lot]) -> Tensor:
    """Add one task's gradient; gives this process's part of the task's mean loss, without weights and penalties."""
    total = torch.zeros((), device=parts.accelerator.device)
    for lot in lots:
        if not len(lot.rows):
            continue
        with parts.accelerator.autocast():
            loss, penalty = _loss(parts, lot, with_penalties=True)
        weight = lot.task.kind.weight * parts.state.weighting.weight(lot.task.name)
        parts.accelerator.backward(loss * weight if penalty is None else loss * weight + penalty)
        total += loss.detach()
    return total


def _loss(parts: Parts, lot: _Lot, *, with_penalties: bool) -> tuple[Tensor, Tensor | None]:
    """A lot's part of its task's mean loss, and of the mean penalty of its rows."""
    state, task = parts.state, lot.task
    batch = parts.prefix.batch(task.splits["train"], lot.rows)
    regularizers = state.regularizers if with_penalties else []
    random = RandomState.now(parts.accelerator.device) if regularizers else None
    logits = state.model(batch)
    loss = task.kind.loss(logits, batch.targets, task.inventory) * lot.per_loss
    # Taken in any case: what a pass leaves must not be found by a later one.
    of_pass = [extension.penalty() for _, extension in state.model.each_extension()]
    if not with_penalties:
        return loss, None
    penalties = [penalty * len(lot.rows) for penalty in of_pass if penalty is not None]
    if random is not None:
        penalties += [
            one.penalty(state.model, batch, task.kind, task.inventory, logits, random) for one in regularizers
        ]
        for _, extension in state.model.each_extension():
            extension.penalty()  # of the regularizers' own passes, which are not the data's
    return loss, torch.stack(penalties).sum() * lot.per_row if penalties else None


def _estimate_curvature(parts: Parts, update: PlannedUpdate) -> None:
    """Show the optimizer the loss of some of the update's rows, if it wants to see it before the coming step."""
    optimizer = parts.state.optimizer.optimizer
    if not isinstance(optimizer, NeedsCurvature) or not optimizer.curvature_is_due() or not _stepped(parts):
        return
    lots = _lots(parts, update, optimizer.hessian_batch_ratio)

    def loss() -> Tensor:
        total = torch.zeros((), device=parts.accelerator.device)
        for name, own in lots.items():
            for lot in own:
                if len(lot.rows):
                    weight = lot.task.kind.weight * parts.state.weighting.weight(name)
                    total = total + _loss(parts, lot, with_penalties=False)[0] * weight
        return total

    several = parts.accelerator.num_processes > 1
    optimizer.estimate_curvature(loss, (lambda tensors: sum_list(tensors, parts.accelerator)) if several else None)


def _is_due(parts: Parts) -> bool:
    """Whether the coming update measures how far the tasks agree."""
    interval = parts.config.training.interference_interval
    return interval is not None and len(parts.tasks) > 1 and (parts.state.progress.step + 1) % interval == 0


def _one_batch_each(updates: Sequence[PlannedUpdate]) -> PlannedUpdate:
    """The first batch of each task."""
    first: dict[str, PlannedBatch] = {}
    for update in updates:
        for batch in update:
            first.setdefault(batch.task, batch)
    return tuple(first.values())


def _compare_tasks(parts: Parts, batches: PlannedUpdate) -> tuple[list[str], Tensor]:
    """The tasks, and the Gramian of their gradients on a batch of each; training does not notice.

    The losses are the tasks' own, without weights and penalties, so that trials with different methods compare.
    """
    shared = _shared(parts)
    lots = _lots(parts, batches)
    device, scaler = parts.accelerator.device, parts.accelerator.scaler
    gradients_KP = torch.zeros(len(lots), sum(parameter.numel() for parameter in shared), device=device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for row_P, own in zip(gradients_KP, lots.values(), strict=True):
            for lot in own:
                if not shared or not len(lot.rows):
                    continue
                with parts.accelerator.autocast():
                    loss, _ = _loss(parts, lot, with_penalties=False)
                loss = loss if scaler is None else scaler.scale(loss)
                found = torch.autograd.grad(loss, shared, materialize_grads=True)
                row_P += torch.cat([gradient.reshape(-1) for gradient in found])
    sum_list([gradients_KP], parts.accelerator)
    return list(lots), gradients_KP @ gradients_KP.T


def _serving(model: MultitaskModel, tasks: Iterable[str]) -> Iterator[nn.Parameter]:
    """The parameters that a pass for one of these tasks uses."""
    served = tuple(tasks)
    return (parameter for name, parameter in model.named_parameters() if model.serves(name, served))
