"""A real search on several machines, of which some are lost: see docs/RELIABILITY.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch.errors import RunError
from mtsearch.search.events import Event, Reported, Retried, Started, read_events
from tests.end_to_end.faulty import PLUGIN, SEARCH, Search, assert_same_tables, assert_sound, reports, write_space
from tests.end_to_end.nodes import Network, Node, RayNode, why_no_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("nodes"),
    pytest.mark.skipif(why_no_nodes() is not None, reason=why_no_nodes() or "there can be nodes"),
]

Add = Callable[..., RayNode]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.crash()


@pytest.fixture
def add(network: Network) -> Iterator[Add]:
    """``add(1)`` is a head, ``add(2, head)`` joins it; what is left of them at the end is crashed."""
    nodes: list[RayNode] = []

    def start(number: int, head: RayNode | None = None, **environment: str) -> RayNode:
        # Each evaluation takes at least so long; no other fault of the plugin's is asked for.
        slow = {"FAULTS": "/nowhere", "SECONDS": "0" if number == 3 else "2"}
        nodes.append(RayNode(network, number, head, {**slow, **environment}))
        return nodes[-1]

    yield start
    for node in reversed(nodes):
        node.crash()


@pytest.fixture(scope="module")
def config(tiny_config: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    plugin = tmp_path_factory.mktemp("plugin") / "faulty_plugin.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    return tiny_config(plugins=[str(plugin)])


def grid(place: Path, config: dict[str, Any]) -> Path:
    """Four trials of four evaluations."""
    place.mkdir(parents=True, exist_ok=True)
    task = {"kind": "classification", "data": "sst5", "metrics": ["accuracy", "suffering"]}
    optimizer = {"name": "adamw", "lr": {"choice": [1e-3, 2e-3, 3e-3, 4e-3]}}
    return write_space(place / "space.yaml", config, tasks={"mood": task}, optimizer=optimizer, search=SEARCH)


@pytest.fixture(scope="module")
def undisturbed(config: dict[str, Any], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the grid on this machine, to which nothing happens."""
    place = tmp_path_factory.mktemp("undisturbed")
    space = grid(place, config)
    search = Search("run", space, "--data", tiny_data, "--runs", place / "runs", faults=place, seconds=0)
    try:
        assert search.wait() == 0, search.said
    finally:
        search.end()
    return place / "runs" / "tiny"


def until(search: Search, folder: Path, what: Callable[[list[Event]], bool], seconds: float = 900) -> None:
    """Wait for the run's events to come so far."""
    end = time.monotonic() + seconds
    while True:
        with suppress(FileNotFoundError, RunError):
            if what(list(read_events(folder))):
                return
        assert search.process.poll() is None, search.said
        assert time.monotonic() < end, search.said
        time.sleep(0.1)


def told_on(node: str, events: list[Event]) -> set[str]:
    """The trials that have reported from a node."""
    there = {event.trial_id for event in events if isinstance(event, Started) and event.node == node}
    return there & {event.trial_id for event in events if isinstance(event, Reported)}


def start_on(head: Node, space: Path, data: Path, runs: Path) -> Search:
    options = ("--data", data, "--runs", runs, "--address", f"{head.address}:6379")
    return Search("run", space, *options, faults=space.parent, wrapper=head.wrapper)


def test_a_worker_node_that_is_lost_costs_its_trial_what_it_did_since_its_last_report(
    add: Add, config: dict[str, Any], undisturbed: Path, tiny_data: Path, tmp_path: Path
) -> None:
    head = add(1)
    worker = add(2, head)
    head.wait_for_nodes(2)
    space, folder = grid(tmp_path, config), tmp_path / "runs" / "tiny"
    search = start_on(head, space, tiny_data, tmp_path / "runs")
    try:
        until(search, folder, lambda events: bool(told_on("n2", events)))
        worker.crash()
        assert search.wait() == 0, search.said
    finally:
        search.end()
    retried = [event for event in read_events(folder) if isinstance(event, Retried)]
    assert len(retried) == 1
    rows = pd.read_parquet(folder / "trials.parquet").set_index("trial_id")
    assert rows.loc[retried[0].trial_id, "node"] == "n1"
    assert (rows["attempts"] == 1).sum() == 3
    assert_same_tables(folder, undisturbed)
    assert_sound(folder)


OUTLIVES_BEING_LOST = {"RAY_gcs_rpc_server_reconnect_timeout_s": "1200"}  # else a node ends after a minute alone


def test_a_worker_node_that_was_cut_off_and_comes_back_overwrites_nothing(
    network: Network, add: Add, config: dict[str, Any], undisturbed: Path, tiny_data: Path, tmp_path: Path
) -> None:
    gates = [tmp_path / name / "wait" for name in ("n1", "n2")]
    for gate in gates:
        gate.parent.mkdir()
    head_gate, worker_gate = gates
    head = add(1, FAULTS=str(head_gate.parent))
    worker = add(2, head, FAULTS=str(worker_gate.parent), **OUTLIVES_BEING_LOST)
    head.wait_for_nodes(2)
    space, folder = grid(tmp_path, config), tmp_path / "runs" / "tiny"
    search = start_on(head, space, tiny_data, tmp_path / "runs")
    try:
        until(search, folder, lambda events: bool(told_on("n2", events)))
        worker_gate.touch()  # it is in an evaluation, and will be for as long as we like
        network.cut_off(worker)
        (trial_id,) = told_on("n2", list(read_events(folder)))
        until(search, folder, lambda events: told_by(2, trial_id, events) > 0)
        head_gate.touch()  # the newer attempt has gone on, and waits; now the older one wakes
        late = folder / "trials" / trial_id / "attempt-1" / "checkpoints"
        before = set(late.iterdir())
        worker_gate.unlink()
        wait_for(lambda: bool({path for path in late.iterdir() if (path / "model.safetensors").exists()} - before))
        network.let_back(worker)
        wait_for(worker.has_ended)  # as soon as it hears that it was given up
        head_gate.unlink()
        assert search.wait() == 0, search.said
    finally:
        search.end()
    events = list(read_events(folder))
    assert [event.trial_id for event in events if isinstance(event, Retried)] == [trial_id]
    assert [event.node for event in events if isinstance(event, Started) and event.trial_id == trial_id] == ["n2", "n1"]
    assert told_by(1, trial_id, events) + told_by(2, trial_id, events) == 4
    assert_same_tables(folder, undisturbed)
    assert_sound(folder)


def told_by(attempt: int, trial_id: str, events: list[Event]) -> int:
    """How many evaluations of a trial an attempt has told."""
    reported = [event for event in events if isinstance(event, Reported) and event.trial_id == trial_id]
    return sum(f"/attempt-{attempt}/" in (event.checkpoint or "") for event in reported)


def wait_for(what: Callable[[], bool], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_head_that_is_lost_with_its_driver_costs_no_more_than_what_ran(
    add: Add, config: dict[str, Any], undisturbed: Path, tiny_data: Path, tmp_path: Path
) -> None:
    head = add(1)
    worker = add(2, head)
    head.wait_for_nodes(2)
    space, folder = grid(tmp_path, config), tmp_path / "runs" / "tiny"
    search = start_on(head, space, tiny_data, tmp_path / "runs")
    try:
        until(search, folder, lambda events: reports(events) >= 3)
        head.crash()
        search.wait()
    finally:
        search.end()
    worker.crash()
    before = reports(list(read_events(folder)))

    other = add(3)
    other.wait_for_nodes(1)
    again = start_on(other, space, tiny_data, tmp_path / "runs")
    try:
        assert again.wait() == 0, again.said
    finally:
        again.end()
    assert reports(list(read_events(folder))) == 16 > before
    assert_same_tables(folder, undisturbed)
    assert_sound(folder)


def test_a_node_that_loses_the_shared_path_fails_no_trial(
    add: Add, config: dict[str, Any], undisturbed: Path, tiny_data: Path, tmp_path: Path
) -> None:
    head = add(1)
    worker = add(2, head)
    head.wait_for_nodes(2)
    space, folder = grid(tmp_path, config), tmp_path / "runs" / "tiny"
    search = start_on(head, space, tiny_data, tmp_path / "runs")
    try:
        until(search, folder, lambda events: bool(told_on("n2", events)))
        assert worker.run("mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "runs")).returncode == 0
        until(search, folder, lambda events: any(isinstance(event, Retried) for event in events))
        assert worker.run("umount", str(tmp_path / "runs")).returncode == 0
        assert search.wait() == 0, search.said
    finally:
        search.end()
    assert_same_tables(folder, undisturbed)
    assert_sound(folder)
