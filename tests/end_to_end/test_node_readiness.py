"""A cluster of which some nodes lack something: told before the first trial."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtsearch.search.checkup import versions
from tests.end_to_end.faulty import SEARCH, Search, assert_sound, write_space
from tests.end_to_end.nodes import Network, RayNode, why_no_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("nodes"),
    pytest.mark.skipif(why_no_nodes() is not None, reason=why_no_nodes() or "there can be nodes"),
]

CACHE = "/tmp/ray/cache"  # where each node has its own


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[RayNode]]:
    """Seven of one core each; the first is the head, and the last has an older mtsearch, as its packages say."""
    older = tmp_path / "older" / "mtsearch-0.0.9.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: mtsearch\nVersion: 0.0.9\n", encoding="utf-8")
    network = Network("10.79.0")
    environment = {"MTSEARCH_CACHE": CACHE}
    head = RayNode(network, 1, environment=environment)
    head.wait_for_nodes(1)
    nodes = [head, *(RayNode(network, number, head, environment) for number in range(2, 7))]
    path = os.pathsep.join((str(older.parent), *filter(None, [os.environ.get("PYTHONPATH")])))
    nodes.append(RayNode(network, 7, head, {**environment, "PYTHONPATH": path}))
    head.wait_for_nodes(7)
    yield nodes
    for node in reversed(nodes):
        node.crash()
    network.crash()


def test_nodes_that_lack_something_are_named_before_the_first_trial(
    nodes: list[RayNode],
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tiny_encoder: Path,
    tmp_path: Path,
) -> None:
    head, without_data, without_runs, reading, without_weights, full, _ = nodes
    config = tiny_config(tasks={"mood": {"kind": "classification", "data": "sst5"}})
    optimizer = {"name": "adamw", "lr": {"choice": [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3]}}
    space = write_space(tmp_path / "space.yaml", config, tasks=config["tasks"], optimizer=optimizer, search=SEARCH)
    runs = tmp_path / "runs"
    runs.mkdir()
    hidden = ((without_data, tiny_data), (without_runs, runs))
    for node, *mount in (
        *((node, "-t", "tmpfs", "tmpfs", str(folder)) for node, folder in hidden),
        (reading, "--bind", str(runs), str(runs)),
        (reading, "-o", "remount,bind,ro", str(runs)),
        (without_weights, "-t", "tmpfs", "tmpfs", str(tiny_encoder)),
        (full, "-t", "tmpfs", "-o", "size=1m", "tmpfs", "--mkdir", CACHE),
    ):
        done = node.run("mount", *mount)
        assert done.returncode == 0, done.stderr

    def search(num_nodes: int) -> Search:
        options = ("--data", tiny_data, "--runs", runs, "--address", f"{head.address}:6379", "--nodes", num_nodes)
        cache = {"MTSEARCH_CACHE": CACHE}
        return Search("run", space, *options, faults=tmp_path, wrapper=head.wrapper, environment=cache)

    refused = search(7)
    try:
        assert refused.wait() == 2, refused.said
    finally:
        refused.end()
    told = dict(
        line.removeprefix("node ").split(": ", 1) for line in refused.said.splitlines() if line.startswith("node ")
    )
    here = versions()["mtsearch"]
    assert "sst5" in told.pop("n2")
    assert str(tiny_encoder) in told.pop("n5"), refused.said
    assert told == {
        "n3": f"it does not see the run folder {runs / 'tiny'}, which must be on storage that every node shares",
        "n4": f"it cannot write the run folder {runs / 'tiny'}: Read-only file system",
        "n6": f"{CACHE}: only 1 MB are free",
        "n7": f"it has mtsearch 0.0.9, but the driver {here}",
    }
    assert "6 of 7 do not: n2, n3, n4, n5, n6, n7" in refused.said.splitlines()[-1]
    assert not (runs / "tiny").exists()  # nothing has begun

    for node in nodes[3:]:
        node.crash()
    del nodes[3:]
    head.wait_for_nodes(3)
    for node, folder in hidden:
        assert node.run("umount", str(folder)).returncode == 0
    accepted = search(3)
    try:
        accepted.wait_until_said("t0000 suggested")
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
