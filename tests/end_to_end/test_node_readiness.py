"""A cluster of which some nodes lack something: told before the first trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtsearch.search.events import Suggested, read_events
from tests.end_to_end.faulty import SEARCH, Search, assert_sound, write_space
from tests.end_to_end.nodes import Network, RayNode, why_no_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("nodes"),
    pytest.mark.skipif(why_no_nodes() is not None, reason=why_no_nodes() or "there can be nodes"),
]

CACHE = "/tmp/ray/cache"  # where each node has its own


@pytest.fixture
def nodes() -> Iterator[list[RayNode]]:
    """Three of one core each; the first is the head."""
    network = Network("10.79.0")
    environment = {"MTSEARCH_CACHE": CACHE}
    head = RayNode(network, 1, environment=environment)
    head.wait_for_nodes(1)
    nodes = [head, *(RayNode(network, number, head, environment) for number in (2, 3))]
    head.wait_for_nodes(3)
    yield nodes
    for node in reversed(nodes):
        node.crash()
    network.crash()


def test_nodes_that_lack_something_are_named_before_the_first_trial(
    nodes: list[RayNode], tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path
) -> None:
    head, without_data, without_runs = nodes
    config = tiny_config(tasks={"mood": {"kind": "classification", "data": "sst5"}})
    optimizer = {"name": "adamw", "lr": {"choice": [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3]}}
    space = write_space(tmp_path / "space.yaml", config, tasks=config["tasks"], optimizer=optimizer, search=SEARCH)
    runs = tmp_path / "runs"
    runs.mkdir()
    hidden = ((without_data, tiny_data), (without_runs, runs))
    for node, folder in hidden:
        assert node.run("mount", "-t", "tmpfs", "tmpfs", str(folder)).returncode == 0

    def search() -> Search:
        options = ("--data", tiny_data, "--runs", runs, "--address", f"{head.address}:6379", "--nodes", 3)
        cache = {"MTSEARCH_CACHE": CACHE}
        return Search("run", space, *options, faults=tmp_path, wrapper=head.wrapper, environment=cache)

    refused = search()
    try:
        assert refused.wait() == 2, refused.said
    finally:
        refused.end()
    lines = [line for line in refused.said.splitlines() if line.startswith("node ")]
    assert len(lines) == 2, refused.said
    assert lines[0].startswith("node n2: ")
    assert "sst5" in lines[0]
    assert (
        lines[1] == f"node n3: it does not see the run folder {runs / 'tiny'}, which must be on storage that every "
        "node shares"
    )
    assert "2 of 3 do not: n2, n3" in refused.said.splitlines()[-1]
    assert not any(isinstance(event, Suggested) for event in read_events(runs / "tiny"))

    for node, folder in hidden:
        assert node.run("umount", str(folder)).returncode == 0
    accepted = search()
    try:
        accepted.wait_until_said("t0000 suggested", seconds=300)
        tokens = {node.name: node.run("stat", "-c", "%n %i", *_tokens(node)).stdout for node in nodes}
        assert accepted.wait() == 0, accepted.said
    finally:
        accepted.end()
    assert_sound(runs / "tiny")
    # What was made before the first trial is all that there is, for two trials or more on each node.
    assert {node.name: node.run("stat", "-c", "%n %i", *_tokens(node)).stdout for node in nodes} == tokens
    assert all(told.count(".arrow") == 2 for told in tokens.values()), tokens


def _tokens(node: RayNode) -> list[str]:
    return node.run("find", f"{CACHE}/tokens", "-name", "*.arrow").stdout.split()
