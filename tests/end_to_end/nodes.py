"""Virtual machines on this one: a network, process, mount and host name space each, joined by a bridge.

Killing one is a node crash: nothing in it survives, and nothing of it says goodbye. Wants root and Linux.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Node", "bridge", "why_no_nodes"]

_SETUP = """
hostname "$1"; shift
mkdir -p /tmp/ray; mount -t tmpfs tmpfs /tmp/ray; mount -t tmpfs tmpfs /dev/shm
"$@" & wait $!
"""  # the shell is process 1 of the node: it must reap

_RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_py_gcs_connect_timeout_s": "120",
}


def why_no_nodes() -> str | None:
    """Why there can be no virtual nodes here; None if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "virtual nodes want root on Linux"
    missing = [name for name in ("ip", "nsenter", "unshare", "hostname") if shutil.which(name) is None]
    if missing:
        return f"virtual nodes want the program {missing[0]}"
    allowed = subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], capture_output=True, check=False)
    return "virtual nodes want the right to make name spaces" if allowed.returncode else None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def bridge(name: str, network: str) -> Iterator[str]:
    """A bridge for nodes, with an address of its own: ``10.77.0`` gives 10.77.0.254."""
    _ip("link", "add", name, "type", "bridge")
    try:
        _ip("address", "add", f"{network}.254/24", "dev", name)
        _ip("link", "set", name, "up")
        yield name
    finally:
        _ip("link", "delete", name)


class Node:
    """A machine with one core for Ray.

    Args:
        name: its host name, and that of its network name space.
        address: its own.
        bridge: that it is joined to.
        head: address of the head node; None for the head.
        environment: further variables of all that runs there.
    """

    def __init__(
        self,
        name: str,
        address: str,
        bridge: str,
        head: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        self._name = name
        _ip("netns", "add", name)
        _ip("link", "add", f"{name}-out", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"{name}-out", "master", bridge, "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", name, "link", "set", device, "up")
        where = ["--head", "--port=6379", "--include-dashboard=false"] if head is None else [f"--address={head}:6379"]
        ray = [str(Path(sys.executable).with_name("ray")), "start", *where, f"--node-ip-address={address}", "--block"]
        ray += ["--num-cpus=1", "--object-store-memory=100000000"]
        space = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--mount-proc"]
        self._process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{name}", *space, "bash", "-c", _SETUP, "_", name, *ray],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **_RAY, **(environment or {})},
        )
        while not self._children():  # the first process of the node
            assert self._process.poll() is None, "the node has not begun"
            time.sleep(0.01)

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What starts a command inside."""
        return ("nsenter", f"--target={self._children()[0]}", "--net", "--pid", "--mount", "--uts", "--")

    def _children(self) -> list[str]:
        return Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, to its end."""
        return subprocess.run(
            [*self.wrapper, *command],
            env={**os.environ, **_RAY},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def wait_for_nodes(self, number: int, seconds: float = 240) -> None:
        """Until the cluster that this one is in has so many."""
        count = "print(sum(node['Alive'] for node in ray.nodes()))"
        ask = f"import ray; ray.init('{self.address}:6379', logging_level=40); {count}"
        end = time.monotonic() + seconds
        while (told := self.run(sys.executable, "-c", ask)).stdout.split()[-1:] != [str(number)]:
            assert self._process.poll() is None, "the node has ended"
            assert time.monotonic() < end, f"{told.stdout}\n{told.stderr}"
            time.sleep(1)

    def crash(self) -> None:
        """End everything in it at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def remove(self) -> None:
        """Crash it, and leave nothing of its network."""
        self.crash()
        subprocess.run(["ip", "netns", "delete", self._name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", f"{self._name}-out"], check=False, capture_output=True)
