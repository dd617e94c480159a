"""What a search would do, without doing it: trials, resources, concurrency, disk and time."""

from __future__ import annotations

import itertools

from mtsearch.config.space import SearchSpace
from mtsearch.config.trial import Asha
from mtsearch.console import duration, size
from mtsearch.search.cluster import connected, find_footprint, nodes
from mtsearch.search.schedulers import most_evaluations, rungs
from mtsearch.training.parts import build
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.probe import Probe, probe
from mtsearch.training.report import Objective

__all__ = ["expected_evaluations", "plan_search"]

_STATE_RATIO = 3  # weights and AdamW's two moments


def plan_search(space: SearchSpace, place: Place, address: str | None) -> list[tuple[str, str]]:
    """What a run would do, as pairs of a name and what is to be said of it.

    The probe trains the space's default trial for a few updates on this machine.

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
        footprint = find_footprint(space.resources, machines, search.trials, search.concurrency)
    lines = [("found", line) for line in preflight([space.config(space.default)], place)]
    most = most_evaluations(space)
    asha = search.scheduler if isinstance(search.scheduler, Asha) else None
    at = rungs(asha, most) if asha else ()
    evaluations = expected_evaluations(at, asha.reduction_factor if asha else 1.0, most)
    trial = Place(None, place.data_root, footprint.cpus, "cuda" if footprint.gpus else "cpu")
    probed = probe(build(space.config(space.default), trial, Objective(search.metric, search.scored_tasks)))
    gpus = f" and {footprint.gpus:g} GPUs" if footprint.gpus else ""
    cores = sum(machine.get("CPU", 0) for machine in machines)
    return [
        *lines,
        ("trials", f"{search.trials}, of at most {most} evaluations each"),
        ("placed", f"{footprint.concurrency} at a time with {footprint.cpus} cores{gpus} each, of {cores:g} cores"),
        ("stopping", _stopping(at, asha, evaluations)),
        ("disk", _disk(probed, search.keep.best, footprint.concurrency)),
        ("time", _time(probed, evaluations, search.trials, footprint.concurrency, search.time)),
    ]


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


def _stopping(at: tuple[int, ...], asha: Asha | None, evaluations: float) -> str:
    if asha is None or not at:
        return "every trial runs to its end"
    rung_list = ", ".join(map(str, at))
    return (
        f"ASHA after evaluations {rung_list}, one in {asha.reduction_factor:g} goes on; "
        f"{evaluations:.1f} evaluations a trial if the rungs stop as many as they can"
    )


def _disk(probed: Probe, best: int, concurrency: int) -> str:
    kept = 2 * best * probed.weight_bytes
    running = concurrency * (2 + _STATE_RATIO) * probed.weight_bytes
    return f"at most {size(kept)} for the best {best} trials' weights, and {size(running)} more while trials run"


def _time(probed: Probe, evaluations: float, trials: int, concurrency: int, limit: float | None) -> str:
    rounds = -(-trials // concurrency)
    least, most = (rounds * probed.seconds(number) for number in (evaluations, probed.num_evaluations))
    line = (
        f"about {duration(probed.seconds(probed.num_evaluations))} for a whole default trial by a short probe of this "
        f"machine; {duration(least)} to {duration(most)} for the search"
    )
    return line + (f", which stops at {duration(limit)}" if limit is not None and limit < most else "")
