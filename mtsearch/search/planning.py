"""What a search would do, without doing it: trials, resources, concurrency, disk and time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from mtsearch.config.rungs import bracket_weights, most_evaluations, rungs_of
from mtsearch.config.schedulers import Asha, Hyperband
from mtsearch.config.space import SearchSpace
from mtsearch.config.words import scheduler_in_words
from mtsearch.search.cluster import connected, find_footprint, nodes
from mtsearch.search.driver import Footprint
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.probe import probe
from mtsearch.training.report import Objective
from mtsearch_analysis.tables import Direction

__all__ = ["Plan", "expected_evaluations", "plan_search"]

_MOMENTS = 2  # AdamW's, each as large as the weights
_RUNNING_WEIGHTS = 1 + 2 * (1 + _MOMENTS)  # the best checkpoint; the last one and the one that is being written


@dataclass(frozen=True)
class Plan:
    """What a search would do.

    Attributes:
        found: lines about the encoder and the data.
        objectives: what is searched for, with its direction; the first one says what is best.
        trials: how many.
        grid_size: how many points the grid has that they are taken from; None where it is no grid.
        most_evaluations: of the longest trial.
        footprint: what a trial holds, and how many run at a time.
        cores: of all machines.
        stopping: which trials are stopped early, in words.
        evaluations: of a trial on average, if the rungs stop as many as they can.
        kept_bytes: of the best trials' weights, at most, when the search is over.
        front_bytes: of each trial's on the Pareto front, beside them; 0 where those are not kept, or there is none.
        running_bytes: of what running trials have on disk beside that, at most.
        trial_seconds: of the default trial, to its end, if its workers share the work evenly.
        least_seconds: of the search, if the rungs stop as many as they can.
        most_seconds: of the search, if they stop none.
        time_limit: of the search, in seconds; None without one.
    """

    found: tuple[str, ...]
    objectives: Mapping[str, Direction]
    trials: int
    grid_size: int | None
    most_evaluations: int
    footprint: Footprint
    cores: float
    stopping: str
    evaluations: float
    kept_bytes: int
    front_bytes: int
    running_bytes: int
    trial_seconds: float
    least_seconds: float
    most_seconds: float
    time_limit: float | None


def plan_search(space: SearchSpace, place: Place, address: str | None) -> Plan:
    """Look at the cluster and the data, and train the default trial for a few updates on this machine.

    Args:
        space: to search.
        place: where the data is.
        address: of a Ray cluster; None for this machine.

    Raises:
        ResourceError: no machine has room for a trial: it can never be placed.
        MtsearchError: whatever would keep the first trial from starting.
    """
    search = space.search
    with connected(address):
        machines = nodes()
        num_trials = space.num_trials()
        footprint = find_footprint(space.resources, machines, num_trials, search.concurrency)
    default = space.config(space.default)
    objective = Objective.of(search)
    workers = footprint.workers
    trial = Place(None, place.data_root, footprint.cpus // workers, "cuda" if footprint.gpus else "cpu")
    found: list[str] = []
    preflight([default], trial, objective, found.append)
    most = most_evaluations(space)
    parts = build(default, trial, objective)
    evaluations = _least_evaluations(space, most, _examples_per_evaluation(parts))
    probed = probe(parts)
    task_sets = space.task_sets()
    # Trials with more tasks take longer: about as many times as they have more.
    size = sum(map(len, task_sets)) / len(task_sets) / len(default.tasks)
    rounds = size * -(-num_trials // footprint.concurrency)
    least_seconds = probed.seconds(min(evaluations, probed.num_evaluations)) / workers
    most_seconds = probed.seconds(probed.num_evaluations) / workers
    num_rankings = len(task_sets) if search.scores_own_tasks else 1
    return Plan(
        found=tuple(found),
        objectives=space.objectives,
        trials=num_trials,
        grid_size=space.grid_size,
        most_evaluations=most,
        footprint=footprint,
        cores=sum(machine.get("CPU", 0) for machine in machines),
        stopping=scheduler_in_words(space),
        evaluations=evaluations,
        # the best and the last checkpoint of each
        kept_bytes=2 * min(num_trials, search.keep.best * num_rankings) * probed.weight_bytes,
        front_bytes=2 * probed.weight_bytes if search.keep.front and len(search.metrics) > 1 else 0,
        running_bytes=footprint.concurrency * _RUNNING_WEIGHTS * probed.weight_bytes,
        trial_seconds=most_seconds,
        least_seconds=rounds * least_seconds,
        most_seconds=rounds * most_seconds,
        time_limit=search.time,
    )


def _examples_per_evaluation(parts: Parts) -> float:
    plan = parts.plan
    sizes = {task: split.num_examples for task, split in plan.splits.items()}
    per_epoch = sum(plan.sampler.quotas(sizes, 0, plan.epochs).values())
    return per_epoch / parts.config.training.evaluations_per_epoch


def _least_evaluations(space: SearchSpace, most: int, examples_per_evaluation: float) -> float:
    """Evaluations of a trial on average, if the rungs of the trial scheduler stop as many as they can."""
    scheduler, at = space.search.scheduler, rungs_of(space)
    if at is None or not isinstance(scheduler, Asha | Hyperband):
        return most
    weights: tuple[float, ...] = (1.0,)
    if isinstance(scheduler, Asha) and scheduler.unit == "examples":
        met = (math.ceil(rung / examples_per_evaluation) for rung in at)
        at = tuple(dict.fromkeys(evaluation for evaluation in met if evaluation < most))
    else:
        weights = bracket_weights(scheduler, len(at))
    each = [expected_evaluations(at[s:], scheduler.factor, most) for s in range(len(weights))]
    return sum(weight * share for weight, share in zip(weights, each, strict=True)) / sum(weights)


def expected_evaluations(at: tuple[int, ...], reduction_factor: float, most: int) -> float:
    """Evaluations of a trial on average, if each rung lets one in ``reduction_factor`` go on.

    Args:
        at: the rungs, in evaluations.
        reduction_factor: of ASHA.
        most: evaluations of a trial that is not stopped.
    """
    points = (0, *at, most)
    return sum(
        (end - start) / reduction_factor**passed for passed, (start, end) in enumerate(itertools.pairwise(points))
    )
