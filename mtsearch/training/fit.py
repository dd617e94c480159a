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

from mtsearch.pruning.contract import open_ratio
from mtsearch.training.checkpoint import checkpoint_name, random_state, retain, save_checkpoint, set_random_state
from mtsearch.training.evaluate import NotFiniteError, evaluate_trial, prediction_table
from mtsearch.training.holdout import TrialSplit
from mtsearch.training.latency import latency_ratio
from mtsearch.training.memory import peak_memory_bytes, reset_peak_memory
from mtsearch.training.parts import Parts
from mtsearch.training.pretraining import pretrain_heads
from mtsearch.training.ranks import agree, gather
from mtsearch.training.report import Measurement, Report
from mtsearch.training.trace import Trace
from mtsearch.training.updates import start_epoch, train_updates

__all__ = ["fit"]


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
    _start_random(parts)
    reset_peak_memory(parts.place.device)
    seconds_before, begun = progress.seconds, time.perf_counter()
    facts = {"start_seconds": begun - parts.started, **_sizes(parts)}
    if state.report is not None and not (yield from _tell(state.report, parts)):
        return
    is_first = parts.accelerator.is_main_process
    pretrained = () if progress.step else pretrain_heads(parts)
    with Trace(parts.place.folder if is_first else None, config) as trace:
        while not progress.finished:
            start_epoch(parts)
            updates, positions_after = parts.plan.epoch(progress.epoch, progress.positions)
            end = _next_evaluation(progress.update_in_epoch, len(updates), training.evaluations_per_epoch)
            try:
                trained = train_updates(parts, updates[progress.update_in_epoch : end])
                evaluations, predictions = _evaluate(parts, "dev")
                evaluations += [*_open_heads(parts), *_latency(parts)]
                held_out: list[Measurement] = []
                if parts.objective.holdout_ratio:
                    held_out, of_holdout = _evaluate(parts, "holdout")
                    predictions = pd.concat([predictions, of_holdout], ignore_index=True)
                seconds = seconds_before + time.perf_counter() - begun
                evaluations += _asked_costs(parts, evaluations, seconds)
                held_out += _asked_costs(parts, held_out, seconds)
            except NotFiniteError as error:
                progress.seconds = seconds_before + time.perf_counter() - begun
                yield _diverged(parts, str(error), facts)
                return

            progress.update_in_epoch = end
            if end == len(updates):
                progress.epoch, progress.update_in_epoch, progress.positions = progress.epoch + 1, 0, positions_after
                state.weighting.after_epoch()
            progress.evaluation += 1
            scores, held_out_scores = _scores(evaluations), _scores(held_out)
            score = scores[parts.objective.metric]
            is_met = parts.objective.is_met(scores)
            if (is_met, score) > (progress.best_is_met, progress.best_score):
                progress.best_is_met, progress.best_score = is_met, score
                progress.best_evaluation = progress.evaluation
            state.schedule.after_evaluation(score)
            progress.finished = _why_finished(parts)
            parts.prefix.publish()
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
                measurements=(*pretrained, *trained.measurements, *evaluations, *held_out),
                interference=trained.interference,
                warnings=parts.prefix.take_warnings(),
                outcome="finished" if progress.finished else "running",
                reason=progress.finished,
                facts={**facts, **_costs(parts)},
                checkpoint=checkpoint_name(progress.evaluation) if parts.place.folder else None,
                held_out=held_out_scores,
                held_out_score=held_out_scores.get(parts.objective.metric),
                gates={task: _rounded(gates_NH) for task, gates_NH in _gates(parts).items()},
            )
            pretrained = ()
            _save(parts, predictions)
            trace.write(state.report)
            if not (yield from _tell(state.report, parts)):
                return


def _tell(report: Report, parts: Parts) -> Generator[Report, None, bool]:
    """Yield a report; gives whether to go on, by the first process's word."""
    go_on = False
    try:
        yield report
        go_on = True
    finally:
        go_on = agree(go_on, parts.accelerator)
    return go_on


def _evaluate(parts: Parts, split: TrialSplit) -> tuple[list[Measurement], pd.DataFrame]:
    """Every task's metrics on a split, the mean score and the least one, and every example's prediction."""
    measurements, tables, main = [], [], {}
    for name, task in parts.tasks.items():
        result = evaluate_trial(parts, task, split)
        measurements += [Measurement(name, split, metric, value) for metric, value in result.metrics.items()]
        tables.append(prediction_table(name, split, task.examples[split], result.predictions))
        main[name] = result.metrics[task.kind.metrics[0]]
    scored = parts.objective.scored_tasks or tuple(parts.tasks)
    mean_score = sum(main[name] for name in scored) / len(scored)
    measurements += [
        Measurement("", split, "mean_score", mean_score),
        Measurement("", split, "worst_task", min(main[name] for name in scored)),
    ]
    return measurements, pd.concat(tables, ignore_index=True)


def _open_heads(parts: Parts) -> Iterator[Measurement]:
    """The share of attention heads that are open: for any task, since those stay, and for each with its own gates."""
    gates = _gates(parts)
    if gates:
        yield Measurement("", "dev", "open_heads", open_ratio(torch.stack(list(gates.values())).amax(0)))
        yield from (Measurement(task, "dev", "open_heads", open_ratio(own)) for task, own in gates.items() if task)


def _latency(parts: Parts) -> Iterator[Measurement]:
    """What is left of the time of a forward pass; the only number of a report that is another one each time."""
    ratio = latency_ratio(parts.state.model, parts.accelerator)
    if ratio is not None:
        yield Measurement("", "dev", "latency_ratio", ratio)


def _asked_costs(parts: Parts, evaluations: Sequence[Measurement], seconds: float) -> list[Measurement]:
    """What the training takes, as far as it is searched for; all processes decide by what the first one measures."""
    if not parts.objective.costs or not evaluations:
        return []
    mean_score = next(m for m in evaluations if m.metric == "mean_score")
    own = {**_sizes(parts), **_costs(parts), "score_per_second": mean_score.value / seconds}
    costs: dict[str, float] = gather(own, parts.accelerator)[0]
    return [Measurement("", mean_score.split, name, costs[name]) for name in parts.objective.costs]


def _scores(evaluations: Sequence[Measurement]) -> dict[str, float]:
    """As :attr:`mtsearch.training.report.Report.scores`."""
    return {f"{m.task}.{m.metric}".lstrip("."): m.value for m in evaluations if m.metric != "loss"}


def _gates(parts: Parts) -> dict[str, Tensor]:
    """By task, or under "" where all share them, [N, H]; none without pruning."""
    pruning = parts.state.pruning
    return {} if pruning is None else {task: pruning.gates.evaluated(task) for task in pruning.gates.tasks}


def _rounded(gates_NH: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(gate, 6) for gate in gates_H) for gates_H in gates_NH.tolist())


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
    waited = progress.evaluation - max(progress.best_evaluation, progress.thawed_evaluation)
    if patience is not None and waited > patience:
        return f"no better score for {waited} evaluations"
    return ""


def _epoch(parts: Parts) -> float:
    progress = parts.state.progress
    if not progress.update_in_epoch:  # the last epoch has none after it
        return float(progress.epoch)
    return progress.epoch + progress.update_in_epoch / parts.plan.updates_per_epoch[progress.epoch]


def _sizes(parts: Parts) -> dict[str, float]:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in parts.state.model.parameters()]
    return {
        "parameters": sum(size for size, _ in sizes),
        "trainable_parameters": sum(size for size, trains in sizes if trains),
    }


def _costs(parts: Parts) -> dict[str, float]:
    progress = parts.state.progress
    return {
        "peak_memory_bytes": max(gather(peak_memory_bytes(parts.place.device), parts.accelerator)),
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
