"""The cluster files for "ray up", held to Ray's own checks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

import mtsearch
from mtsearch.launching.files import launch_file

ROOT = Path(__file__).parents[2]


def on_gcp(text: str) -> str:
    """The cloud's file with the sections for GCP in the place of those for AWS."""
    above, _, comment = text.partition("# On GCP, ")
    for_gcp = yaml.safe_load("\n".join(line.removeprefix("# ") for line in comment.splitlines()[2:]))
    return yaml.safe_dump({**yaml.safe_load(above), **for_gcp})


def shipped() -> dict[str, str]:
    files = {name: launch_file(f"{name}.yaml").read_text(encoding="utf-8") for name in ("ray_local", "ray_cluster")}
    return {**files, "on GCP": on_gcp(files["ray_cluster"])}


@pytest.fixture(params=["ray_local", "ray_cluster", "on GCP"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A shipped file as Ray reads it."""
    read: dict[str, Any] = yaml.safe_load(shipped()[request.param])
    return read


def test_ray_takes_the_file(config: dict[str, Any]) -> None:
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]
    validate_config(prepare_config({**copy.deepcopy(config), "cluster_name": "other"}))
    with pytest.raises(jsonschema.ValidationError, match="'max_wokers' was unexpected"):
        validate_config(prepare_config({**copy.deepcopy(config), "max_wokers": 1}))


def test_all_workers_are_there_from_the_beginning(config: dict[str, Any]) -> None:
    types = prepare_config(copy.deepcopy(config))["available_node_types"]
    assert sum(each.get("min_workers", 0) for each in types.values()) == config["max_workers"] == 2


def test_nobody_without_the_token_is_let_in(config: dict[str, Any]) -> None:
    starts = [
        command
        for commands in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[commands]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 700 ~/.ray && chmod 600 ~/.ray/auth_token" in config["setup_commands"]


def test_the_dashboard_listens_to_the_head_alone(config: dict[str, Any]) -> None:
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]


def test_the_cloud_gets_the_wheel_of_this_version_and_the_versions_that_ci_tests() -> None:
    cluster = yaml.safe_load(shipped()["ray_cluster"])
    wheel = f"mtsearch-{mtsearch.__version__}-py3-none-any.whl"  # as pip names it
    assert cluster["file_mounts"][f"~/{wheel}"] == f"dist/{wheel}"
    assert (ROOT / cluster["file_mounts"]["~/constraints.txt"]).is_file()
    (install,) = (command for command in cluster["setup_commands"] if "pip install" in command)
    assert install.endswith(f' --constraint ~/constraints.txt "$HOME/{wheel}[offline,hub]"')
