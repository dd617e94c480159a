"""SearchConfig: how a space is searched, and what a trial occupies; nothing of it decides a trial's numbers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mtsearch.config.algorithms import Algorithm, Tpe
from mtsearch.config.base import Frozen
from mtsearch.config.constraints import Constraint
from mtsearch.config.schedulers import Asha, Scheduler
from mtsearch.config.trackers import Trackers
from mtsearch.config.urls import Url

__all__ = ["Keep", "Replicate", "Resources", "SearchConfig", "StartPoint", "seconds"]


class Keep(Frozen):
    """What stays on disk when trials stop."""

    best: int = Field(default=3, ge=0)
    """Weights of the best so many trials of the whole search.

    Where the tasks are searched without ``scored_tasks``: the best so many of each set of tasks.
    """
    running: Literal["last"] = "last"
    """Of a running trial its last state, from which it goes on, and its best weights: fewer cannot be kept."""
    front: bool = True
    """Weights of every trial on the Pareto front, too, where there are several objectives."""
    predictions: bool = True
    """Predictions on every dev example, beside the weights that are kept."""


class Replicate(Frozen):
    """The best configs trained anew with other seeds, and only then scored on test.

    An interval over 3 seeds is wide (2.5 standard deviations to either side), over 5 it is half that, over 10 a third
    of it; a difference as large as the seeds' own standard deviation needs 10 to be found with a chance of 80%.
    """

    top: int = Field(default=3, gt=0)
    """How many of the best configs; where the tasks are searched without ``scored_tasks``, of each set of tasks."""
    seeds: int = Field(default=5, gt=0)
    """How many seeds each; none of them is the search's."""
    singles: bool = True
    """Each task of the winner alone, too, with otherwise the same config and the same seeds."""


_FILESYSTEMS = ("s3", "gs", "abfss", "abfs", "hdfs", "file")  # of pyarrow
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")


def seconds(duration: str) -> float:
    """``"90s"``, ``"30m"``, ``"2h"``, ``"1d"`` -> seconds.

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(duration.strip())
    if not match:
        raise ValueError(f"a duration is a number of seconds or like 90s, 30m, 2h, 1d, but got {duration!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _in_seconds(value: Any) -> Any:
    return seconds(value) if isinstance(value, str) else value


def _limit(value: Any) -> Any:
    """A duration as :func:`_in_seconds` has it, or ``auto``."""
    if value == "auto":
        return value
    seconds = _in_seconds(value)
    if isinstance(seconds, int | float) and seconds <= 0:
        raise ValueError(f"must be greater than 0, but got {value!r}; null waits for ever")
    return seconds


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_start_point(value: Any) -> Any:
    if value != "defaults" and not isinstance(value, dict):
        raise ValueError(f"must be a mapping, or defaults, but got {value!r}")
    return value


StartPoint = Annotated[Literal["defaults"] | dict[str, Any], BeforeValidator(_is_start_point)]
"""A point to try first."""


class SearchConfig(Frozen):
    """How the space is searched."""

    metric: Annotated[str | Annotated[tuple[str, ...], Field(min_length=1)], BeforeValidator(_as_tuple)] = "mean_score"
    """What is searched for: ``mean_score``, ``TASK.METRIC`` or another one; or a list, traded off against each other.

    Others are ``worst_task``, ``open_heads`` and ``latency_ratio`` under pruning, ``score_per_second``,
    ``examples_per_second``, ``parameters`` and ``peak_memory_bytes``.

    The first of a list says what is best: it chooses checkpoints, stops trials, and more of it must be better.
    """
    scored_tasks: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)
    """The tasks in ``mean_score``; null takes all.

    When the set of tasks is itself searched they must be given, unless no trial is chosen or stopped by its score
    (algorithm grid or random, scheduler none): then trials with other tasks are compared task by task.
    """
    holdout_ratio: float = Field(default=0.0, ge=0, lt=1)
    """The share of each task's dev split that stops no training and chooses no evaluation, but ranks trials.

    Early stopping, the schedule ``plateau``, the best evaluation of a trial and the trial scheduler go by what remains
    of dev, and have seen it too often to tell how good a trial is. Scores, the winner, ``goal``, ``constraints``, the
    Pareto front and what the search algorithm is told are then values on the holdout, at the best evaluation on dev.
    Where an example goes depends on its texts alone. ``retrain_best`` trains on all of dev.
    """
    constraints: tuple[str, ...] = Field(default=(), strict=False)
    """What a winner must keep to, such as ``similarity.pearson >= 0.85`` or ``latency_ratio <= 0.7``.

    Any metric that can be searched for. A trial's best evaluation is the best of those that meet all of them, and a
    trial that meets them is better than one that does not. The trial scheduler goes by the score alone.
    """
    trials: int = Field(default=32, gt=0)
    """How many trials; a grid has one for every point, unless fewer are asked for here: the first ones."""
    time: Annotated[float | None, BeforeValidator(_in_seconds, json_schema_input_type=float | str | None)] = Field(
        default=None, gt=0
    )
    """No new trial after this long, and running ones are stopped; seconds, or like ``2h``."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """No new trial once the trials have used this many GPU hours."""
    examples: int | None = Field(default=None, gt=0)
    """No new trial once the trials have been trained on this many examples."""
    patience: int | None = Field(default=None, gt=0)
    """No new trial once this many in a row have ended without a better best score."""
    goal: float | None = None
    """The search ends, running trials with it, once a trial that meets the constraints has this score."""
    scheduler: Scheduler = Asha()
    """Which running trials are stopped early."""
    algorithm: Algorithm = Tpe()
    """How the next trial is chosen."""
    start: tuple[StartPoint, ...] = Field(default=(), strict=False)
    """Points to try first: maps from a dimension's path to its value (or option label), or ``defaults``.

    What a map leaves open the search algorithm chooses. ``defaults`` leaves nothing open: the first option of every
    choice, and the middle of every range.
    """
    seed: int = Field(default=13, ge=0, lt=2**31)
    """Of the search algorithm; not of the training."""
    concurrency: Literal["auto"] | Annotated[int, Field(gt=0)] = "auto"
    """Trials at a time; ``auto`` takes as many as the resources bear."""
    max_retries: int = Field(default=3, ge=0)
    """How often in a row, without an evaluation between, a trial is tried again that failed by no fault of its own.

    That is where its worker died or hung, or storage or the network failed. It goes on from its last checkpoint. What
    a trial raises by itself is never tried again; one that runs out of memory is, once, with half as many examples in
    a forward pass, and then told infeasible.
    """
    hang_limit: Annotated[
        float | Literal["auto"] | None, BeforeValidator(_limit, json_schema_input_type=float | str | None)
    ] = "auto"
    """A trial whose worker says nothing for this long hangs: the worker is killed. Seconds, or like ``30m``.

    ``auto`` takes 20 times the longest wait for an evaluation so far in this search, and at least an hour; null waits
    for ever.
    """
    max_failures_in_a_row: int | None = Field(default=8, gt=0)
    """The search ends with an error when this many trials in a row failed or ran out of memory; null goes on."""
    keep: Keep = Keep()
    """What stays on disk."""
    retrain_best: bool = False
    """Train the winner (by the first objective) once more on train and dev, for as long as its best score took."""
    replicate: Replicate | None = None
    """Train the best configs anew with other seeds when the search is over, for means on dev and on test."""

    storage: Url | None = Field(default=None, repr=False)
    """A database that keeps a copy of Optuna's study, for optuna-dashboard, such as ``postgresql://USER@HOST/NAME``.

    Any that Optuna takes. The study is called like the run folder; the run folder's events stay the truth, and the
    search goes on where the database does not answer. A password is best left out (``PGPASSWORD``, ``~/.pgpass``), or
    given as ``${NAME}``; none is ever written into the run folder.
    """
    copy_to: Url | None = Field(default=None, repr=False)
    """Where the run folder's tables, configs, events, report and kept weights are copied to, under the run's name.

    ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX``, ``file:///FOLDER``, or what else pyarrow's filesystems take. An S3
    server other than Amazon's: ``s3://BUCKET/PREFIX?endpoint_override=HOST:PORT&scheme=http``.
    """
    trackers: Trackers = Field(default=(), strict=False)
    """Who else is told of every trial as it goes: ``[mlflow]``, ``[wandb]``, or both; or with settings."""

    @field_validator("copy_to")
    @classmethod
    def _filesystem_is_known(cls, url: str | None) -> str | None:
        if url is not None and (scheme := url.split("://")[0]) not in _FILESYSTEMS:
            raise ValueError(f"must begin with one of {', '.join(_FILESYSTEMS)}, but got {scheme!r}")
        return url

    @field_validator("metric")
    @classmethod
    def _metrics_differ(cls, metric: str | tuple[str, ...]) -> str | tuple[str, ...]:
        twice = [name for i, name in enumerate(metric) if name in metric[:i]] if isinstance(metric, tuple) else []
        if twice:
            raise ValueError(f"must name each metric once, but {twice[0]!r} is there twice; leave one out")
        return metric

    @field_validator("trackers")
    @classmethod
    def _trackers_differ(cls, trackers: Trackers) -> Trackers:
        names = [tracker.name for tracker in trackers]
        if len(set(names)) < len(names):
            raise ValueError(f"must name each tracker once, but got {', '.join(names)}; leave one out")
        return trackers

    @field_validator("constraints")
    @classmethod
    def _constraints_are_stated(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(Constraint.parse(text)) for text in constraints)

    @property
    def metrics(self) -> tuple[str, ...]:
        """All objectives; the first one says what is best."""
        return self.metric if isinstance(self.metric, tuple) else (self.metric,)

    @property
    def primary(self) -> str:
        """The objective that says what is best."""
        return self.metrics[0]

    @property
    def scores_own_tasks(self) -> bool:
        """Whether a trial's score is the mean over its own tasks, which says nothing across sets of tasks."""
        return self.primary == "mean_score" and self.scored_tasks is None


class Resources(Frozen):
    """What one trial occupies."""

    cpus: int = Field(default=1, gt=0)
    """CPU cores of each worker; also its number of threads."""
    gpus: float = Field(default=0, ge=0, le=1)
    """GPU of each worker, at most one; a fraction shares it among several trials, which share its memory, too."""
    workers: int = Field(default=1, gt=0)
    """Processes of a trial, all on one machine: they share every batch, and come to what one alone comes to.

    But for rounding, and for dropout, which each of them draws by itself.
    """

    @model_validator(mode="after")
    def _workers_have_gpus_of_their_own(self) -> Resources:
        if self.workers > 1 and 0 < self.gpus < 1:
            raise ValueError(
                f"gpus must be 0 or 1 where a trial has several workers, as each needs a GPU of its own, but got "
                f"{self.gpus:g} with {self.workers} workers; set gpus: 1, or workers: 1"
            )
        return self
