"""Warm start: what an earlier run found, for a search that begins.

Its best points are tried first, as far as they lie in the new space: the new search measures them itself, under its own
settings. Its other trials are told to Optuna as if this search had run them, but only where this search would have come
to the very same config, on the same data and for the same objectives.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mtsearch.config.algorithms import Auto, Gp, Grid, Tpe
from mtsearch.config.schema import trial_schema
from mtsearch.config.search import SearchConfig
from mtsearch.config.space import Dimension, Draw, Infeasible, SearchSpace, diff
from mtsearch.errors import ConfigError, RunError
from mtsearch.search.events import EVENTS, Imported, read_events
from mtsearch.search.state import RunState, TrialState, fold
from mtsearch.training.preflight import DataHashes

__all__ = ["read_warm_start"]

_NUM_STARTS = 3


def read_warm_start(source: Path, space: SearchSpace, data_hashes: DataHashes) -> Imported:
    """What a new search can take over from an earlier run.

    Args:
        source: the earlier run's folder; it is only read, and may still be running.
        space: of the new search.
        data_hashes: of the data that the new search will see.

    Raises:
        RunError: the folder is no run, or nothing of it can be used.
    """
    if not (source / EVENTS).is_file():
        raise RunError(f"--from: must name a run folder, but {source} holds no {EVENTS}")
    if isinstance(space.search.algorithm, Grid):
        raise RunError("--from: a grid takes every point in its own order; leave it out, or choose another algorithm")
    earlier = fold(read_events(source))
    unused: Counter[str] = Counter()
    starts = dict(_starts(earlier, space, unused))
    observed = (
        []
        if (why := _why_not_observed(earlier, space))
        else list(_observed(earlier, space, data_hashes, unused, starts))
    )
    if not starts and not observed:
        reasons = ", ".join(_counted(unused)) or why or "no trial of it has a score"
        raise RunError(
            f"--from: {source} must have something in common with this space, but nothing can be used: {reasons}"
        )
    return Imported(
        time=time.time(),
        source=str(source),
        starts=list(starts.values()),
        observations=observed,
        notes=list(_notes(source, starts, observed, why, unused)),
    )


def _starts(earlier: RunState, space: SearchSpace, unused: Counter[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The best trials' points by the trials' ids, without the values that the space has no place for."""
    found: list[dict[str, Any]] = []
    for trial in earlier.ranking():
        point = dict(trial.params)
        while broken := {key for key, _ in space.read_start(point)[0]}:
            point = {key: value for key, value in point.items() if key not in broken}
        params = space.read_start(point)[1]
        if not params or params in found:
            continue
        try:
            space.config(space.draw(lambda dimension, at=params: at.get(dimension.name, dimension.domain.middle)))  # type: ignore[misc]
        except Infeasible:
            continue
        found.append(params)
        yield trial.trial_id, params
        if len(found) == _NUM_STARTS:
            return


def _why_not_observed(earlier: RunState, space: SearchSpace) -> str:
    """Why no trial can be an observation here; empty if some may be."""
    if not isinstance(space.search.algorithm, Tpe | Gp | Auto):
        return f"{space.search.algorithm.name} learns nothing from trials that it did not propose"
    before = (earlier.identity or {}).get("search", {})
    decisive = {"metric", "scored_tasks", "constraints", "holdout_ratio"}
    here, unsaid = (json.loads(search.model_dump_json(include=decisive)) for search in (space.search, SearchConfig()))
    differing = [name for name, value in here.items() if before.get(name, unsaid[name]) != value]
    return f"search.{differing[0]} is another one there" if differing else ""


def _observed(
    earlier: RunState, space: SearchSpace, data_hashes: DataHashes, unused: Counter[str], starts: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for trial in earlier.trials.values():
        if trial.trial_id in starts or trial.status not in ("completed", "pruned") or not trial.best_scores:
            continue
        try:
            draw = _same_point(trial, space, data_hashes)
        except _Differs as difference:
            unused[str(difference)] += 1
            continue
        yield {
            "trial_id": trial.trial_id,
            "params": dict(draw.params),
            "status": trial.status,
            "best_so_far": [list(pair) for pair in sorted(trial.best_so_far.items())],
            "best_scores": dict(trial.best_scores),
        }


class _Differs(Exception):  # noqa: N818  (no error: what it says is counted)
    """Why a trial of the earlier run is none that the new search could have run."""


def _same_point(trial: TrialState, space: SearchSpace, data_hashes: DataHashes) -> Draw:
    """The point of the space that is this trial's config."""

    def recorded(dimension: Dimension) -> Any:
        value = trial.params.get(dimension.name, _at(trial.config, dimension.path))
        if dimension.domain.problem(value) is not None:
            raise _Differs(f"{dimension.path} lies outside this space")
        return value

    try:
        there = trial_schema(space.plugins).model_validate_json(json.dumps(trial.config))
        draw = space.draw(recorded)
        here = space.config(draw)
    except (ValidationError, ConfigError) as error:
        raise _Differs("their configs are not legal here") from error
    if here.config_hash() != there.config_hash():
        differences = diff(
            there.model_dump(mode="json", exclude={"name"}), here.model_dump(mode="json", exclude={"name"})
        )
        names = [line.partition(": ")[0] for line in differences]
        raise _Differs(f"{names[0]} is another one" + (f", and {len(names) - 1} more settings" if names[1:] else ""))
    for task, kind in here.tasks.items():
        asked = json.dumps(kind.model_dump(mode="json")["data"], sort_keys=True)
        if trial.data.get(task, {}).get("hash") != data_hashes.get((task, asked), ""):
            raise _Differs(f"the data of {task} is not the same")
    return draw


def _at(config: Mapping[str, Any], path: str) -> Any:
    """What stands at a place of a config; of a section its name, which is how options are called."""
    found: Any = config
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found.get("name", found.get("kind")) if isinstance(found, Mapping) else found


def _notes(
    source: Path,
    starts: Mapping[str, Mapping[str, Any]],
    observed: list[dict[str, Any]],
    why: str,
    unused: Counter[str],
) -> Iterator[str]:
    if starts:
        points = "; ".join(f"{trial_id} ({', '.join(params)})" for trial_id, params in starts.items())
        yield f"from {source}, tried first: {points}"
    counts = Counter(each["status"] for each in observed)
    told = " and ".join(f"{number} {status}" for status, number in counts.items())
    yield f"from {source}, told to the search algorithm: {told or 'no'} trials" + (f", since {why}" if why else "")
    for reason in _counted(unused):
        yield f"from {source}, not used: {reason}"


def _counted(unused: Counter[str]) -> list[str]:
    return [f"{number} trial{'s' if number > 1 else ''}: {reason}" for reason, number in unused.most_common()]
