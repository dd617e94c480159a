"""The training loop: a generator that yields one report per evaluation.

Read from top to bottom. It knows neither Ray nor pruning: whoever iterates stops a trial by closing the
generator, and goes on later by building the parts from its last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

import pandas as pd
import torch
from torch import Tensor

from mtsearch.data.plan import PlannedBatch, PlannedUpdate, plan_epoch
from mtsearch.training.checkpoint import checkpoint_name, random_state, retain, save_checkpoint, set_random_state
from mtsearch.training.evaluate import NotFiniteError, evaluate, prediction_table
from mtsearch.training.memory import peak_memory_bytes, reset_peak_memory
from mtsearch.training.parts import Parts
from mtsearch.training.ranks import agree, gather, share_of, sum_gradients, sum_tensors
from mtsearch.training.report import Measurement, Report
from mtsearch.training.trace import Trace

__all__ = ["fit", "train_updates"]

_CHECK_EVERY_UPDATES = 16  # looking at a loss waits for the device


def fit(parts: Parts) -> Generator[Report, None, None]:
    """Train, evaluate, save and report, until there is nothing left to do.

    Args:
        parts: from :func:`mtsearch.training.parts.build`; its ``state`` is what changes.

    Yields:
        A report after each evaluation, written to a checkpoint before it is told. The last one has the outcome
        ``finished`` or ``diverged``. Parts that were built from a checkpoint give its report once more first,
        since whoever was to hear it may have been gone. Of several processes each yields the report; the
        others then wait until the first one is asked for the next, or closed.
    """
    config, state, progress = parts.config, parts.state, parts.state.progress
    training = config.training
    train_splits = {name: task.splits["train"] for name, task in parts.tasks.items()}
    _start_random(parts)
    reset_peak_memory(parts.place.device)
    seconds_before, begun = progress.seconds, time.perf_counter()
    facts = {"start_seconds": begun - parts.started, **_sizes(parts)}
    if state.report is not None:
        yield state.report
    is_first = parts.accelerator.is_main_process
    with Trace(parts.place.folder if is_first else None, config) as trace:
        while not progress.finished:
            updates, positions_after = plan_epoch(
                config.sampler,
                train_splits,
                training.batch_size,
                training.accumulation,
                seed=training.seed,
                epoch=progress.epoch,
                epochs=training.epochs,
                positions=progress.positions,
            )
            end = _next_evaluation(progress.update_in_epoch, len(updates), training.evaluations_per_epoch)
            try:
                measurements = train_updates(parts, updates[progress.update_in_epoch : end])
                evaluations, predictions = _evaluate(parts)
            except NotFiniteError as error:
                progress.seconds = seconds_before + time.perf_counter() - begun
                yield _diverged(parts, str(error), facts)
                return

            progress.update_in_epoch = end
            if end == len(updates):
                progress.epoch, progress.update_in_epoch, progress.positions = progress.epoch + 1, 0, positions_after
            progress.evaluation += 1
            scores = {f"{m.task}.{m.metric}".lstrip("."): m.value for m in evaluations if m.metric != "loss"}
            score = scores[parts.objective.metric]
            if score > progress.best_score:
                progress.best_score, progress.best_evaluation = score, progress.evaluation
            state.schedule.after_evaluation(score)
            progress.finished = _why_finished(parts)
            progress.seconds = seconds_before + time.perf_counter() - begun
            state.report = Report(
                evaluation=progress.evaluation,
                step=progress.step,
                epoch=_epoch(parts),
                examples_seen=progress.examples_seen,
                seconds=progress.seconds,
                scores=scores,
                score=score,
                best_score=progress.best_score,
                best_evaluation=progress.best_evaluation,
                measurements=(*measurements, *evaluations),
                outcome="finished" if progress.finished else "running",
                reason=progress.finished,
                facts={**facts, **_costs(parts)},
                checkpoint=checkpoint_name(progress.evaluation) if parts.place.folder else None,
            )
            _save(parts, predictions)
            trace.write(state.report)
            go_on = False
            try:
                yield state.report
                go_on = True
            finally:
                go_on = agree(go_on, parts.accelerator)
            if not go_on:
                return


def train_updates(parts: Parts, updates: Sequence[PlannedUpdate]) -> list[Measurement]:
    """Do these updates; gives each task's mean loss over them and the learning rates after them."""
    state, progress, accelerator = parts.state, parts.state.progress, parts.accelerator
    begun = time.perf_counter()
    losses = {name: torch.zeros((), device=accelerator.device) for name in parts.tasks}
    num_batches = dict.fromkeys(parts.tasks, 0)
    gradient_norms = torch.zeros((), device=accelerator.device)
    state.model.train()
    for number, update in enumerate(updates, start=1):
        for name, loss in _backward(parts, update):
            losses[name] += loss
            num_batches[name] += 1
        used = ("encoder.", *(f"heads.{batch.task}." for batch in update))
        sum_gradients((p for name, p in state.model.named_parameters() if name.startswith(used)), accelerator)
        if parts.config.training.gradient_clip is not None:
            gradient_norms += accelerator.clip_grad_norm_(state.model.parameters(), parts.config.training.gradient_clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if not state.optimizer.step_was_skipped:  # by fp16's scaler, which saw an overflow
            state.schedule.after_update()
        progress.step += 1
        progress.examples_seen += sum(len(batch.rows) for batch in update)
        if number % _CHECK_EVERY_UPDATES == 0 or number == len(updates):
            total_losses = sum_tensors(losses, accelerator)
            _check_finite(total_losses, progress.step)
    progress.training_seconds += time.perf_counter() - begun
    measurements = [
        Measurement(name, "train", "loss", float(total_losses[name]) / count)
        for name, count in num_batches.items()
        if count
    ]
    rates = {group["part"]: group["lr"] for group in state.optimizer.param_groups}
    measurements += [Measurement("", "train", f"{part}_lr", rate) for part, rate in rates.items()]
    if parts.config.training.gradient_clip is not None:
        measurements.append(Measurement("", "train", "gradient_norm", float(gradient_norms) / len(updates)))
    return measurements


def _backward(parts: Parts, update: PlannedUpdate) -> Iterator[tuple[str, Tensor]]:
    """Accumulate an update's gradients; gives this process's part of the mean loss of each batch.

    The loss of an update is the sum over its tasks of the static weight times the mean over the task's rows
    in it, so that batches of different sizes, or with class weights, count as they would in one pass.
    """
    weights = [_loss_weight(parts, planned) for planned in update]
    totals: dict[str, float] = {}
    for planned, weight in zip(update, weights, strict=True):
        totals[planned.task] = totals.get(planned.task, 0.0) + weight
    for planned, weight in zip(update, weights, strict=True):
        rows = share_of(planned.rows, parts.accelerator)
        if not len(rows):
            yield planned.task, torch.zeros((), device=parts.accelerator.device)
            continue
        task = parts.tasks[planned.task]
        batch = task.splits["train"].batch(rows).to(parts.accelerator.device)
        with parts.accelerator.autocast():
            logits = parts.state.model(batch)
        loss = task.kind.loss(logits, batch.targets, task.inventory)
        parts.accelerator.backward(loss * (task.kind.weight / totals[planned.task]))
        yield planned.task, loss.detach() / weight


def _loss_weight(parts: Parts, planned: PlannedBatch) -> float:
    """What the summed loss of a batch is divided by, over all processes' rows of it."""
    task = parts.tasks[planned.task]
    return float(task.kind.loss_weight(task.splits["train"].targets(planned.rows), task.inventory))


def _check_finite(losses: dict[str, Tensor], step: int) -> None:
    # A sum keeps the first NaN or infinity that was added to it.
    for name, loss in losses.items():
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the training loss of {name} became {float(loss)} by update {step}")


def _evaluate(parts: Parts) -> tuple[list[Measurement], pd.DataFrame]:
    """Every task's metrics on dev, the mean score, and every example's prediction."""
    measurements, tables, main = [], [], {}
    for name, task in parts.tasks.items():
        result = evaluate(
            parts.state.model,
            task.kind,
            task.inventory,
            task.splits["dev"],
            task.examples["dev"],
            parts.metrics,
            parts.accelerator,
            parts.config.training.evaluation_batch_size,
        )
        measurements += [Measurement(name, "dev", metric, value) for metric, value in result.metrics.items()]
        tables.append(prediction_table(name, "dev", task.examples["dev"], result.predictions))
        main[name] = result.metrics[task.kind.metrics[0]]
    scored = parts.objective.scored_tasks or tuple(parts.tasks)
    mean_score = sum(main[name] for name in scored) / len(scored)
    return [*measurements, Measurement("", "dev", "mean_score", mean_score)], pd.concat(tables, ignore_index=True)


def _save(parts: Parts, predictions: pd.DataFrame) -> None:
    if parts.place.folder is None:
        return
    state, folder = parts.state, parts.place.folder / "checkpoints"
    random = gather(random_state(parts.place.device), parts.accelerator)
    if parts.accelerator.is_main_process:
        last = checkpoint_name(state.progress.evaluation)
        save_checkpoint(folder / last, state, random, parts.description(), predictions)
        retain(folder, last=last, best=checkpoint_name(state.progress.best_evaluation))


def _diverged(parts: Parts, reason: str, facts: dict[str, float]) -> Report:
    progress = parts.state.progress
    return Report(
        evaluation=progress.evaluation + 1,
        step=progress.step,
        epoch=_epoch(parts),
        examples_seen=progress.examples_seen,
        seconds=progress.seconds,
        scores={},
        score=float("nan"),
        best_score=progress.best_score,
        best_evaluation=progress.best_evaluation,
        measurements=(),
        outcome="diverged",
        reason=reason,
        facts={**facts, **_costs(parts)},
        checkpoint=None,
    )


def _next_evaluation(done: int, num_updates: int, evaluations: int) -> int:
    """The update of the epoch after which the next evaluation comes; the last one is at its end."""
    points = (-(-num_updates * k // evaluations) for k in range(1, evaluations + 1))
    return next(point for point in points if point > done)


def _why_finished(parts: Parts) -> str:
    progress, training = parts.state.progress, parts.config.training
    if progress.epoch >= training.epochs:
        return f"all {training.epochs} epochs done"
    patience = training.early_stopping_patience
    if patience is not None and progress.evaluation - progress.best_evaluation > patience:
        return f"no better score for {progress.evaluation - progress.best_evaluation} evaluations"
    return ""


def _epoch(parts: Parts) -> float:
    progress = parts.state.progress
    if not progress.update_in_epoch:  # the last epoch has none after it
        return float(progress.epoch)
    return progress.epoch + progress.update_in_epoch / parts.updates_per_epoch[progress.epoch]


def _sizes(parts: Parts) -> dict[str, float]:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in parts.state.model.parameters()]
    return {
        "parameters": sum(size for size, _ in sizes),
        "trainable_parameters": sum(size for size, trains in sizes if trains),
    }


def _costs(parts: Parts) -> dict[str, float]:
    progress = parts.state.progress
    return {
        "peak_memory_bytes": peak_memory_bytes(parts.place.device),
        "examples_per_second": progress.examples_seen / max(progress.training_seconds, 1e-9),
    }


def _start_random(parts: Parts) -> None:
    """Dropout draws from torch's own generators: seed them here, or set them as the checkpoint has them."""
    rank = parts.accelerator.process_index
    random = parts.state.random
    if rank < len(random):
        set_random_state(random[rank])
    else:
        torch.manual_seed(parts.config.training.seed + 1_000_003 * rank)
