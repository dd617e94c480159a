"""``ray up`` with launch/ray_local.yaml, for real: three virtual machines with sshd, of which one is the laptop."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mtsearch.launching.files import launch_file
from mtsearch.search.events import EVENTS
from mtsearch.search.status import look
from tests.end_to_end.nodes import Network, Node, why_no_nodes

SSHD = "/usr/sbin/sshd"
ENVIRONMENT = "/nfs/mtsearch/.venv/bin"  # that the file names


def why_no_ssh() -> str | None:
    """Why this cannot be tried here; None if it can."""
    missing = [name for name in ("ssh", "ssh-keygen", "rsync", "tmux") if shutil.which(name) is None]
    if not Path(SSHD).is_file() or missing:
        return "ssh clusters want openssh-server, openssh-client, rsync and tmux"
    return why_no_nodes()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("nodes"),
    pytest.mark.skipif(why_no_ssh() is not None, reason=why_no_ssh() or "there can be nodes"),
]

# The home folder of a login is the node's own.
_SERVE = """
mount --bind "$1/passwd" /etc/passwd
exec /usr/sbin/sshd -D -e -f /dev/null -h "$2/host_key" -o AuthorizedKeysFile="$2/key.pub" -o StrictModes=no \
  -o PidFile=none -o UsePAM=no -o PasswordAuthentication=no -o ListenAddress=0.0.0.0 2> "$1/sshd.log"
"""


class Login(Node):
    """A machine that can be logged in to.

    Args:
        network: that it is joined to.
        number: see `Node`.
        place: a folder with the keys; its home folder is made there.
    """

    def __init__(self, network: Network, number: int, place: Path) -> None:
        self.home = place / f"n{number}"
        self.home.mkdir()
        lines = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
        root = f"root:x:0:0:root:{self.home}:/bin/bash"
        others = [line for line in lines if not line.startswith("root:")]
        (self.home / "passwd").write_text("\n".join([root, *others]) + "\n", encoding="utf-8")
        passed = ("PYTHONPATH", "MTSEARCH_CACHE", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
        exports = [f"export {name}={shlex.quote(os.environ[name])}" for name in passed if name in os.environ]
        exports += ["export RAY_raylet_start_wait_time_s=120 RAY_py_gcs_connect_timeout_s=120"]
        exports += ["export RAY_gcs_rpc_server_reconnect_timeout_s=20"]  # after which a raylet without a head ends
        exports += [f"export TMUX_TMPDIR={self.home}"]  # /tmp is that of all nodes
        (self.home / ".bashrc").write_text("\n".join(exports) + "\n", encoding="utf-8")
        environment = {"HOME": str(self.home), "RAY_AUTH_MODE": "token"}
        super().__init__(
            network, number, "bash", "-c", _SERVE, "_", str(self.home), str(place), environment=environment
        )

    def programs(self) -> list[str]:
        """What runs there, by name."""
        return self.run("ps", "-e", "-o", "comm=").stdout.split()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Login]]:
    """The laptop, the head and a worker."""
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    network = Network("10.78.0")
    made: list[Login] = []
    try:
        for number in (9, 1, 2):
            made.append(Login(network, number, tmp_path))
        yield made
    finally:
        for node in made:
            node.crash()
        network.crash()


def ray(laptop: Login, *arguments: object) -> str:
    """What a command of Ray's says on the laptop."""
    done = laptop.run(str(Path(sys.executable).with_name("ray")), *map(str, arguments))
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def wait_until_finished(run: Path, said: Path) -> str:
    """What a search has said when it is finished."""
    end = time.monotonic() + 900
    while not ((run / EVENTS).is_file() and look(run).is_finished):
        assert time.monotonic() < end, said.read_text(encoding="utf-8") if said.exists() else "nothing was said"
        time.sleep(1)
    return said.read_text(encoding="utf-8")


def test_a_search_runs_on_machines_that_are_reached_by_ssh_and_nothing_is_left_behind(
    nodes: list[Login], tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path
) -> None:
    laptop, head, worker = nodes
    text = launch_file("ray_local.yaml").read_text(encoding="utf-8")
    assert text.count(ENVIRONMENT) == 2
    cluster = yaml.safe_load(text.replace(ENVIRONMENT, str(Path(sys.executable).parent)))
    cluster["provider"] |= {"head_ip": head.address, "worker_ips": [worker.address]}
    cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(tmp_path / "key")}
    cluster |= {"min_workers": 1, "max_workers": 1}
    for role in ("head", "worker"):
        cluster[f"{role}_start_ray_commands"][-1] += " --num-cpus=1 --object-store-memory=100000000"
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(cluster), encoding="utf-8")
    optimizer = {"name": "adamw", "lr": {"choice": [1e-3, 2e-3, 3e-3, 4e-3]}}
    search = {"algorithm": {"name": "grid"}, "scheduler": {"name": "none"}}
    space = tiny_config(optimizer=optimizer, search=search)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space), encoding="utf-8")

    generate = f"umask 077; {Path(sys.executable).with_name('ray')} get-auth-token --generate"
    assert laptop.run("bash", "-c", generate).returncode == 0
    try:
        ray(laptop, "up", "--yes", "--no-config-cache", tmp_path / "cluster.yaml")
        options = f"--data {tiny_data} --runs {tmp_path / 'runs'} --address auto --nodes 2"
        run = f"mtsearch run {tmp_path / 'space.yaml'} {options} &> {tmp_path / 'said.txt'}"
        ray(laptop, "exec", "--tmux", tmp_path / "cluster.yaml", run)
        said = wait_until_finished(tmp_path / "runs" / "tiny", tmp_path / "said.txt")
        rows = pd.read_parquet(tmp_path / "runs" / "tiny" / "trials.parquet")
        assert list(rows["status"]) == ["completed"] * 4, said
        assert set(rows["node"]) == {"n1", "n2"}
        assert "gcs_server" in head.programs()
        assert "raylet" in worker.programs()
        tokens = [node.home / ".ray" / "auth_token" for node in nodes]
        assert len({token.read_text(encoding="utf-8") for token in tokens}) == 1
        assert [token.stat().st_mode & 0o777 for token in tokens] == [0o600] * 3
        ask = f"import ray; ray.init('{head.address}:6379')"
        stranger = laptop.run("env", "RAY_AUTH_MODE=disabled", sys.executable, "-c", ask)
        assert stranger.returncode != 0
    finally:
        ray(laptop, "down", "--yes", tmp_path / "cluster.yaml")
    assert "gcs_server" not in head.programs()
    end = time.monotonic() + 600  # "ray down" ends the head; a worker's raylet gives up when it has not heard of it
    for node in (head, worker):
        while any("ray" in program for program in node.programs()):
            assert time.monotonic() < end, node.programs()
            time.sleep(1)
