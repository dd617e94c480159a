"""Of which shape the fields of an event are, whoever wrote it down.

Whoever takes events up (state, tables, proposals, replication) relies on it, and checks nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    with_config,
)
from typing_extensions import TypedDict

from mtsearch.config.constraints import Constraint
from mtsearch.config.inside import is_inside

__all__ = [
    "Amount",
    "Config",
    "ConstraintText",
    "Count",
    "DataFound",
    "Finite",
    "Identity",
    "Inside",
    "Long",
    "Observations",
    "Offset",
    "Pid",
    "ReportValues",
    "Scores",
    "Seconds",
    "Seed",
]

_LAST_MOMENT = 253_402_214_400  # the last day that has a date
_OPEN = ConfigDict(extra="allow")  # further keys are those of other versions


def _inside(recorded: str) -> str:
    if not is_inside(recorded):
        raise ValueError(f"must stay in the run folder, but is {recorded!r}")
    return recorded


def _constraint(text: str) -> str:
    Constraint.parse(text)
    return text


Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=_LAST_MOMENT, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
"""As wide as the tables' columns of counts; so are :data:`Long`'s."""
Long = Annotated[int, Field(ge=0, lt=2**63)]
Offset = Annotated[int, Field(gt=-(2**31), lt=2**31)]
Pid = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Scores = Mapping[str, Finite]
Inside = Annotated[str, AfterValidator(_inside)]
"""A path in the run folder, or what the name of a folder in it is made of."""
ConstraintText = Annotated[str, AfterValidator(_constraint)]


@with_config(_OPEN)
class _Identity(TypedDict):
    plugins: NotRequired[Sequence[str]]
    search: NotRequired[Mapping[str, Any]]


@with_config(_OPEN)
class _Task(TypedDict):
    data: Any
    metrics: Annotated[Sequence[str], Field(min_length=1)]


@with_config(_OPEN)
class _Training(TypedDict):
    seed: Seed
    batch_size: NotRequired[Annotated[Count, Field(gt=0)]]


@with_config(_OPEN)
class _Config(TypedDict):
    tasks: Mapping[str, _Task]
    training: _Training
    pruning: NotRequired[Mapping[str, Any]]


@with_config(_OPEN)
class _DataFound(TypedDict):
    hash: str
    where: str


class _Measurement(TypedDict):
    task: str
    split: str
    metric: str
    value: Finite | None


class _Interference(TypedDict):
    task_a: str
    task_b: str
    cosine: Finite | None
    num_measurements: Count


@with_config(_OPEN)
class _Report(TypedDict):
    evaluation: Annotated[Count, Field(ge=1)]
    step: Long
    epoch: Finite
    examples_seen: Long
    seconds: Seconds
    scores: Scores
    score: Finite | None
    best_score: Finite | None
    best_evaluation: Count
    measurements: Sequence[_Measurement]
    outcome: Literal["running", "finished", "diverged"]
    facts: Mapping[str, Finite | None]
    warnings: NotRequired[Sequence[str]]
    interference: NotRequired[Sequence[_Interference]]
    held_out: NotRequired[Scores]
    held_out_score: NotRequired[Finite | None]
    gates: NotRequired[Mapping[str, Sequence[Sequence[Finite | None]]]]


class _Observation(TypedDict):
    trial_id: str
    params: Mapping[str, Any]
    status: Literal["completed", "pruned"]
    best_so_far: NotRequired[Sequence[tuple[Count, Finite]]]
    scores: NotRequired[Sequence[tuple[Count, Finite]]]  # what older runs called it
    best_scores: Scores


def _consistent(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if values["outcome"] != "diverged" and (values["score"] is None or values["best_score"] is None):
        raise ValueError("a report must have a score and a best_score unless its outcome is diverged")
    if values.get("held_out") and values.get("held_out_score") is None:
        raise ValueError("a report with held_out must have a held_out_score")
    if values["best_evaluation"] > values["evaluation"]:
        raise ValueError(
            f"best_evaluation must be at most evaluation, {values['evaluation']}, but is {values['best_evaluation']}"
        )
    return values


def _observed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if not (values.get("best_so_far") or values.get("scores")):
        raise ValueError("an observation must have best_so_far")
    return values


def _as_given(values: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """These values, with keys in their own order: pydantic puts a TypedDict's first, and tables follow a config's."""
    checked = check(values)
    return values if checked == values else checked


def _shaped(shape: Any) -> GetPydanticSchema:
    """Plain values that must be of this shape."""
    kept = Annotated[shape, WrapValidator(_as_given)]
    return GetPydanticSchema(lambda _source, handler: handler.generate_schema(kept))


Identity = Annotated[Mapping[str, Any], _shaped(_Identity)]
Config = Annotated[Mapping[str, Any], _shaped(_Config)]
DataFound = Annotated[Mapping[str, Mapping[str, str]], _shaped(Mapping[str, _DataFound])]
ReportValues = Annotated[Mapping[str, Any], _shaped(Annotated[_Report, AfterValidator(_consistent)])]
Observations = Annotated[
    Sequence[Mapping[str, Any]], _shaped(Sequence[Annotated[_Observation, AfterValidator(_observed)]])
]
