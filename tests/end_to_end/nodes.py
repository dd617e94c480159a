"""Virtual machines on this one: a network, process, mount and host name space each, joined by a bridge.

Killing one is a node crash: nothing in it survives, and nothing of it says goodbye. The name spaces have no names, so
that two sets of nodes do not meet, and all end with the process that made them. Wants root and Linux.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Network", "Node", "RayNode", "why_no_nodes"]

_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")

_SETUP = """
hostname "$1"; shift
mkdir -p /tmp/ray; mount -t tmpfs tmpfs /tmp/ray; mount -t tmpfs tmpfs /dev/shm
read -r # until the node is joined to its network
"$@" < /dev/null & wait $!
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
    missing = [name for name in ("ip", "nsenter", "unshare", "setpriv", "hostname") if shutil.which(name) is None]
    if missing:
        return f"virtual nodes want the program {missing[0]}"
    make = ("unshare", "--net", "--pid", "--fork", "ip", "link", "add", "bridge", "type", "bridge")
    made = subprocess.run(make, capture_output=True, text=True, check=False)
    return f"virtual nodes want the right to make name spaces and bridges: {made.stderr}" if made.returncode else None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


class _Spaces:
    """A process in name spaces of its own, which live as long as it does."""

    def __init__(self, kinds: tuple[str, ...], *command: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*_DIES_WITH_US, "unshare", *kinds, "--fork", "--kill-child", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        assert self._process.stdin is not None
        self._gate = self._process.stdin
        while not self._children():
            assert self._process.poll() is None, "the name spaces have not been made"
            time.sleep(0.01)

    def _children(self) -> list[str]:
        return Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()

    @property
    def pid(self) -> str:
        """The first process inside, as the outside numbers it."""
        return self._children()[0]

    def has_ended(self) -> bool:
        """Whether nothing runs inside any more."""
        return self._process.poll() is not None

    def crash(self) -> None:
        """End everything inside at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._gate.close()


class Network(_Spaces):
    """A bridge in a network name space of its own, that nodes are joined to.

    Args:
        prefix: the first three numbers of its addresses; its own ends in 254.
    """

    def __init__(self, prefix: str = "10.77.0") -> None:
        super().__init__(("--net",), "sleep", "infinity")
        self.prefix = prefix
        self.ip("link", "add", "bridge", "type", "bridge")
        self.ip("address", "add", f"{prefix}.254/24", "dev", "bridge")
        for device in ("bridge", "lo"):
            self.ip("link", "set", device, "up")

    def ip(self, *arguments: str) -> None:
        """Run ``ip`` on the bridge's side."""
        _run("nsenter", f"--target={self.pid}", "--net", "ip", *arguments)

    def join(self, pid: str, address: str) -> None:
        """Give a process's network name space an ``eth0`` that is joined to the bridge."""
        device = f"v{pid}"
        self.ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", pid)
        self.ip("link", "set", device, "master", "bridge", "up")
        inside = ("nsenter", f"--target={pid}", "--net", "ip")
        _run(*inside, "address", "add", f"{address}/24", "dev", "eth0")
        for inner in ("eth0", "lo"):
            _run(*inside, "link", "set", inner, "up")
        _run(*inside, "route", "add", "default", "via", f"{self.prefix}.254")

    def cut_off(self, node: Node) -> None:
        """Lose all that a node sends and all that is sent to it, without a word; it goes on by itself."""
        self.ip("link", "set", f"v{node.pid}", "nomaster")

    def let_back(self, node: Node) -> None:
        """Undo :meth:`cut_off`."""
        self.ip("link", "set", f"v{node.pid}", "master", "bridge")


class Node(_Spaces):
    """A machine that runs a command.

    Args:
        network: that it is joined to.
        number: it is named ``n1`` and so on, and its address ends in this.
        command: that it runs; the node ends with it.
        environment: further variables of all that runs there.
    """

    def __init__(
        self, network: Network, number: int, *command: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = f"n{number}"
        self.address = f"{network.prefix}.{number}"
        self._environment = {**_RAY, **(environment or {})}
        kinds = ("--net", "--pid", "--mount", "--uts", "--mount-proc")
        super().__init__(kinds, "bash", "-c", _SETUP, "_", self.name, *command, environment=self._environment)
        network.join(self.pid, self.address)
        self._gate.write(b"\n")
        self._gate.close()

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What starts a command inside."""
        return ("nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--uts", "--")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, to its end."""
        return subprocess.run(
            [*self.wrapper, *command],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )


class RayNode(Node):
    """A machine with one core for Ray.

    Args:
        network: that it is joined to.
        number: see `Node`.
        head: the head node that it joins, once that is up; None for a head.
        environment: further variables of all that runs there.
    """

    def __init__(
        self, network: Network, number: int, head: RayNode | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._is_up = False
        where = ["--head", "--port=6379", "--include-dashboard=false"]
        if head is not None:
            head._wait_until_up()
            where = [f"--address={head.address}:6379"]
        ray = [str(Path(sys.executable).with_name("ray")), "start", *where]
        ray += [f"--node-ip-address={network.prefix}.{number}", "--block"]
        ray += ["--num-cpus=1", "--object-store-memory=100000000"]
        super().__init__(network, number, *ray, environment=environment)

    def _wait_until_up(self) -> None:
        """Until a node may join it: one that finds a head of which the raylet is not there yet gives up."""
        if not self._is_up:
            self._look("not any(node['Alive'] for node in ray.nodes())", 600)
            self._is_up = True

    def wait_for_nodes(self, number: int, seconds: float = 600) -> None:
        """Until the cluster that this one is in has so many; its head may be yet to answer."""
        self._look(f"sum(node['Alive'] for node in ray.nodes()) != {number}", seconds)

    def _look(self, condition: str, seconds: float) -> None:
        """Have a Python inside wait as long as this holds of the cluster."""
        look = (
            f"import time, ray\nray.init('{self.address}:6379', logging_level=40)\n"
            f"while {condition}:\n    time.sleep(0.2)"
        )
        end = time.monotonic() + seconds
        while (told := self.run("timeout", str(seconds), sys.executable, "-c", look)).returncode:
            assert self._process.poll() is None, "the node has ended"
            assert time.monotonic() < end, f"{told.stdout}\n{told.stderr}"
            time.sleep(1)
