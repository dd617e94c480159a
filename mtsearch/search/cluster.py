"""Ray: started or joined quietly, and how many trials find room in it."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import ray

from mtsearch.config.search import Resources
from mtsearch.errors import ResourceError
from mtsearch.search.driver import Footprint

__all__ = [
    "connected",
    "environment",
    "find_footprint",
    "has_room",
    "has_token",
    "head_elsewhere",
    "is_open_to_all",
    "nodes",
    "this_machine",
]

# Read by Ray and Tune in the driver, and by workers where they inherit or are given them.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the future default; without it Ray tips so at every start
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
_OBJECT_STORE_BYTES = 200_000_000  # what passes through it are configs and reports
_SECONDS_BETWEEN_LOOKS = 0.5
_CONNECT_SECONDS = 10.0
_JOINING_SECONDS = 1800.0  # for a node: one in a cloud is booted and set up first


@contextmanager
def connected(
    address: str | None, num_nodes: int = 1, say: Callable[[str], None] | None = None
) -> Iterator[str | None]:
    """A connection to Ray: the one there is; or to the cluster at ``address``; or to one of our own.

    A cluster of our own asks everybody for the user's token (one is made where there is none), and a cluster that is
    joined is shown it if it does not take us in without. ``RAY_AUTH_MODE`` is obeyed where it is set.

    Args:
        address: of a cluster, as ``auto`` or ``HOST:PORT``; None starts one here, unless ``RAY_ADDRESS`` is set.
        num_nodes: so many must have joined it first.
        say: told which have, while others are waited for.

    Yields:
        The address of Ray's dashboard; None where it has none, or the connection was there before.

    Raises:
        ResourceError: there is no cluster at the address, it does not take us in, or nodes are missing.
    """
    if ray.is_initialized():
        if num_nodes > 1:
            _await_nodes(num_nodes, say)
        yield None
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if num_nodes > 1 and not address:
        raise ResourceError(
            f"--nodes: {num_nodes} join a cluster, but there is no --address of one; add --address auto, "
            "or leave --nodes out"
        )
    _require_head(address)
    quiet = {name: value for name, value in _QUIET.items() if name not in os.environ}
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": quiet},
        "address": address or "local",
    }
    if not address:
        settings |= {"dashboard_host": "127.0.0.1", "object_store_memory": _OBJECT_STORE_BYTES}
        if "RAY_TMPDIR" not in os.environ:
            settings["_temp_dir"] = str(_own_folder())
    _guard_token(make=not address)
    with environment(quiet), ExitStack() as leaving:
        if not address:
            leaving.enter_context(_token_in_use())
        try:
            try:
                context = ray.init(**settings)
            except ConnectionError:
                # Shown to a cluster that wants none, a token would break the workers there: hence second.
                if not address or "RAY_AUTH_MODE" in os.environ or not has_token():
                    raise
                leaving.enter_context(_token_in_use())
                context = ray.init(**settings)
        except Exception as error:  # a bare one where a busy machine takes longer to start Ray than it waits: 30 s
            reason = " ".join(str(error).split())[:300]
            what = f"the Ray cluster at {address} must take us in" if address else "Ray must start here"
            remedy = "; is it up, and is its token in ~/.ray/auth_token or RAY_AUTH_TOKEN_PATH?" if address else ""
            remedy = "; is this machine too busy? try again" if "timed out during startup" in reason else remedy
            raise ResourceError(f"{what}, but got {type(error).__name__}: {reason}{remedy}") from error
        try:
            if num_nodes > 1:
                _await_nodes(num_nodes, say)
            yield f"http://{context.dashboard_url}" if context.dashboard_url else None
        finally:
            ray.shutdown()


def _require_head(address: str | None) -> None:
    """See that something listens where a cluster's head is to be: Ray would look for minutes.

    Raises:
        ResourceError: it is no such address, or nothing does.
    """
    if not address or address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ResourceError(
            f"--address: must be auto or HOST:PORT of Ray's head, but got {address!r}; "
            "run the search on a machine of the cluster"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ResourceError(f"--address: a Ray head must listen at {address}, but got: {error}; is it up?") from error


def _own_folder(under: Path = Path("/tmp")) -> Path:
    """Where Ray keeps its sockets and logs: in /tmp/ray anybody on the machine could put others in their place.

    Args:
        under: a short path, since that of a socket may have 107 characters.

    Raises:
        ResourceError: somebody else has it.
    """
    folder = under / f"mtsearch-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ResourceError(
            f"{folder}: must be a folder of yours, but is another's; have it removed, or set RAY_TMPDIR"
        )
    folder.chmod(0o700)
    return folder / "ray"  # which Ray opens to everybody, as it does with all of its own


def _guard_token(make: bool) -> None:
    """See that the user's token, if it lies where Ray looks for it by itself, can be read by the user alone.

    Ray makes one that everybody on the machine can read, unless the umask forbids it.

    Args:
        make: whether to make one where there is none.
    """
    set_otherwise = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or any(name in os.environ for name in set_otherwise):
        return
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # Ray will say what is wrong with it
        if path.exists():
            path.chmod(path.stat().st_mode & 0o700)
        elif make:
            path.parent.mkdir(exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))


def head_elsewhere() -> str | None:
    """The address of the cluster's head node; None if it is this machine."""
    head: str = ray.get_runtime_context().gcs_address.rpartition(":")[0]
    return None if head in (ray.util.get_node_ip_address(), "127.0.0.1") else head


def _await_nodes(number: int, say: Callable[[str], None] | None) -> None:
    end, told = time.monotonic() + _JOINING_SECONDS, 0
    while len(there := [node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]]) < number:
        if say is not None and len(there) != told:
            told = len(there)
            say(f"{told} of {number} nodes have joined the cluster: {', '.join(there)}")
        if time.monotonic() > end:
            raise ResourceError(
                f"--nodes: {number} must join the cluster, but after {_JOINING_SECONDS / 60:.0f} min there are "
                f"{len(there)}: {', '.join(there)}; see what Ray says on the others, or ask for fewer"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def has_token() -> bool:
    """Whether the user has a token where Ray looks for one."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser().is_file()


def is_open_to_all() -> bool:
    """Whether the Ray that is connected takes in whoever reaches it, without a token."""
    return os.environ.get("RAY_AUTH_MODE", "disabled").lower() != "token"  # which :func:`connected` sets for a while


@contextmanager
def _token_in_use() -> Iterator[None]:
    """Have Ray ask for tokens, and show the user's, for a while; it stays as it is where ``RAY_AUTH_MODE`` is set."""
    if "RAY_AUTH_MODE" in os.environ:
        yield
        return
    try:
        with environment({"RAY_AUTH_MODE": "token"}):
            ray._raylet.Config.initialize("")  # the variable is read on import, and when Ray is told to
            yield
    finally:
        ray._raylet.Config.initialize("")


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that are set for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def nodes() -> list[dict[str, float]]:
    """The resources of each machine of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def this_machine() -> dict[str, float]:
    """The resources of this machine, as Ray names them, without Ray: the cores that we may use, and the GPUs."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"CPU": cores, "GPU": torch.cuda.device_count()}


def find_footprint(
    asked: Resources | Literal["auto"], machines: list[dict[str, float]], most: int, concurrency: int | Literal["auto"]
) -> Footprint:
    """What each trial holds, and how many run at a time.

    ``auto`` gives a trial one GPU and its share of that machine's cores where the cluster has GPUs, else one core.

    Args:
        asked: what the space says.
        machines: the resources of each, as Ray names them.
        most: trials that there will ever be at a time.
        concurrency: what the space says.

    Raises:
        ResourceError: no machine has room for one trial.
    """
    if asked == "auto":
        with_gpus = [machine for machine in machines if machine.get("GPU", 0) >= 1]
        cores_per_gpu = [int(machine.get("CPU", 1) // machine["GPU"]) for machine in with_gpus]
        asked = Resources(cpus=max(1, min(cores_per_gpu)), gpus=1) if with_gpus else Resources()
    cpus, gpus = asked.workers * asked.cpus, asked.workers * asked.gpus
    room = sum(_room(machine, cpus, gpus) for machine in machines)
    if room == 0:
        has = ", ".join(f"{m.get('CPU', 0):g} cores and {m.get('GPU', 0):g} GPUs" for m in machines) or "no machine"
        several = asked.workers > 1
        whose = f" for its {asked.workers} workers together" if several else ""
        remedy = "--set resources.workers=N or resources.cpus=N" if several else "--set resources.cpus=N"
        raise ResourceError(
            f"resources: a trial asks for {cpus} cores and {gpus:g} GPUs on one machine{whose}, but there is {has}; "
            f"ask for less with {remedy} or resources.gpus=0, or add machines"
        )
    wanted = room if concurrency == "auto" else min(room, concurrency)
    return Footprint(cpus, gpus, max(1, min(wanted, most)), asked.workers)


def has_room(machine: Mapping[str, float], footprint: Footprint) -> bool:
    """Whether a machine has room for a trial."""
    return _room(machine, footprint.cpus, footprint.gpus) > 0


def _room(machine: Mapping[str, float], cpus: int, gpus: float) -> int:
    room = int(machine.get("CPU", 0) // cpus)
    if gpus == 0:
        return room
    available = machine.get("GPU", 0)
    # Ray does not split one trial's fraction over two GPUs.
    on_gpus = int(available) * int(1 / gpus + 1e-9) if gpus < 1 else int(available // gpus)
    return min(room, on_gpus)
