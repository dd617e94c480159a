"""The Prometheus config and the Grafana board: they ask for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mtsearch.launching.files import launch_file
from mtsearch.search.gauges import readings
from mtsearch.search.state import fold
from tests.search.conftest import Story

RAY = ("node_gpus_utilization", "node_gram_used", "node_cpu_utilization", "node_mem_used")


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    """The Grafana board."""
    read: dict[str, Any] = json.loads(launch_file("monitoring/grafana.json").read_text(encoding="utf-8"))
    return read


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What each panel asks for, and what it calls that."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def published() -> dict[str, set[str]]:
    """The gauges of a search in which everything has happened, and their labels."""
    facts = {"peak_memory_bytes": 2e9, "examples_per_second": 40.0}
    story = Story().begun().suggested(0).started(0).reported(0, 1, 0.5, facts=facts)
    return {f"ray_{name}": {"run", *labels} for name, labels, _ in readings(fold(story.events))}


def test_every_panel_asks_for_a_gauge_that_there_is(board: dict[str, Any]) -> None:
    ours, asked = published(), set()
    for expression, legend in expressions(board):
        names = set(re.findall(r"ray_\w+", expression))
        assert len(names) == 1, expression
        asked |= names
        for label in {*re.findall(r"\{\{(\w+)\}\}", legend), *re.findall(r"(\w+)=~", expression)} & {"run", "trial"}:
            assert label in ours[min(names)], expression
        for label in re.findall(r"by \((\w+)\)", expression):
            assert label in ours[min(names)], expression
    assert asked == {*ours, *(f"ray_{name}" for name in RAY)}


def test_the_gauges_of_ray_s_are_such_as_it_has() -> None:
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    assert METRICS_GAUGES.keys() >= {*RAY}


def test_panels_lie_side_by_side(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len({panel["title"] for panel in board["panels"]}) == len(board["panels"])


def test_the_board_is_of_whatever_prometheus_and_run_are_chosen(board: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["run"]["query"]["query"] == "label_values(ray_mtsearch_trials, run)"
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${source}"}
    assert variables["source"]["query"] == "prometheus"


def test_prometheus_shows_the_token() -> None:
    path = launch_file("monitoring/prometheus.yml")
    (scrape,) = yaml.safe_load(path.read_text(encoding="utf-8"))["scrape_configs"]
    (discovery,) = scrape["http_sd_configs"]
    assert discovery["authorization"] == {"type": "Bearer", "credentials_file": "auth_token"}
    assert discovery["url"].startswith("http://127.0.0.1:8265/")


def test_prometheus_takes_the_config() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    command = ["promtool", "check", "config", "--syntax-only", launch_file("monitoring/prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
