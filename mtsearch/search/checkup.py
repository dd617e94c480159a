"""What ``mtsearch doctor`` wants to know of Ray and its machines."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtsearch.errors import ResourceError
from mtsearch.search.cluster import connected, has_token, is_open_to_all

__all__ = ["check_up", "versions"]

_PACKAGES = ("mtsearch", "torch", "transformers", "ray", "numpy", "pyarrow")
_NODE_SECONDS = 60.0


def check_up(address: str | None, shared: Path | None) -> dict[str, Any]:
    """Ray's version and token, the versions here, what each machine tells, and if all may come in: plain JSON values.

    ``problem``, of all or of a machine, is empty if there is none.

    Args:
        address: of a cluster; None starts one here.
        shared: a folder that all machines are to see.
    """
    found: dict[str, Any] = {"version": ray.__version__, "here": versions(), "problem": "", "is_open": False}
    try:
        with connected(address):
            found["nodes"] = [_node(node, shared) for node in ray.nodes() if node["Alive"]]
            found["is_open"] = is_open_to_all()
    except ResourceError as error:
        found["problem"] = str(error)
    return {**found, "token": _token()}  # which a Ray that is started here has made


def _token() -> str:
    """How Ray is told who may use a cluster."""
    mode = os.environ.get("RAY_AUTH_MODE")
    token = "a token is there" if has_token() else "no token yet (ray get-auth-token --generate makes one)"
    return f"RAY_AUTH_MODE={mode}, {token}" if mode else token


def versions() -> dict[str, str]:
    """Of Python, and of the packages that all machines must agree on; ``none`` where one is not installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "none"
    return versions


def _seen_from(path: str | None, content: str) -> dict[str, Any]:
    """On a machine: its clock, its versions, and whether the file is there."""
    try:
        sees = path is None or Path(path).read_text(encoding="utf-8") == content
    except OSError:
        sees = False
    return {"time": time.time(), "versions": versions(), "sees": sees}


def _node(node: dict[str, Any], shared: Path | None) -> dict[str, Any]:
    resources = node["Resources"]
    facts: dict[str, Any] = {
        "host": node["NodeManagerHostname"],
        "cpus": resources.get("CPU", 0),
        "gpus": resources.get("GPU", 0),
        "memory": resources.get("memory", 0),
        "problem": "",
    }
    content = uuid.uuid4().hex
    path = shared / f".mtsearch-doctor-{content}" if shared else None
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(_seen_from).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    try:
        if path is not None:
            path.write_text(content, encoding="utf-8")
        ray.get(task.remote(None, content), timeout=_NODE_SECONDS)  # a worker is started, and what it needs imported
        begun = time.time()
        told = ray.get(task.remote(str(path) if path else None, content), timeout=_NODE_SECONDS)
        ended = time.time()
    except (OSError, ray.exceptions.RayError) as error:
        return {**facts, "problem": " ".join(str(error).split())[-300:]}
    finally:
        if path is not None:
            path.unlink(missing_ok=True)
    return {
        **facts,
        "versions": told["versions"],
        "sees": told["sees"],
        "skew": told["time"] - (begun + ended) / 2,
        "uncertainty": (ended - begun) / 2,
    }
