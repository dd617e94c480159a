"""A real Slurm whose machines are virtual nodes: without accounting, limits and passwords, but otherwise as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.end_to_end.nodes import Network, Node, why_no_nodes

__all__ = ["UNDER_WAY", "Slurm", "why_no_slurm"]

UNDER_WAY = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")
"""The states of a job that has not ended."""

_CONTROLLER = 250  # which ends its address

_CONFIG = """\
ClusterName=virtual
SlurmctldHost=n{controller}({prefix}.{controller})
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
{nodes}
PartitionName=main Nodes=ALL Default=YES
"""


def why_no_slurm() -> str | None:
    """Why there can be no Slurm here; None if there can."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "srun", "scontrol") if shutil.which(name) is None]
    return f"there is no {missing[0]} (Debian: slurmctld, slurmd, slurm-client)" if missing else why_no_nodes()


class Slurm:
    """A cluster of virtual nodes of one core each.

    Args:
        network: that they are joined to.
        folder: of its files.
        numbers: of the nodes.
    """

    def __init__(self, network: Network, folder: Path, numbers: tuple[int, ...] = (1, 2)) -> None:
        (folder / "state").mkdir(parents=True)
        lines = "\n".join(
            f"NodeName=n{number} NodeAddr={network.prefix}.{number} CPUs=1 RealMemory=4000 State=UNKNOWN"
            for number in numbers
        )
        config = folder / "slurm.conf"
        config.write_text(
            _CONFIG.format(controller=_CONTROLLER, prefix=network.prefix, folder=folder, nodes=lines), encoding="utf-8"
        )
        self._network = network
        self._environment = {"SLURM_CONF": str(config)}
        self.login = Node(network, _CONTROLLER, "slurmctld", "-D", "-i", environment=self._environment)
        self.nodes = {number: self._node(number) for number in numbers}

    def _node(self, number: int) -> Node:
        return Node(self._network, number, "slurmd", "-D", "-N", f"n{number}", environment=self._environment)

    def revive(self, number: int) -> None:
        """Start a node that was crashed."""
        self.nodes[number] = self._node(number)

    def run(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine that people log into."""
        return subprocess.run(
            [*self.login.wrapper, *command],
            env={**os.environ, **self._environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def wait_for_nodes(self, seconds: float = 600) -> None:
        """Until all nodes are idle."""
        end = time.monotonic() + seconds
        while (told := self.run("sinfo", "--noheader", "--format=%D %t")).stdout.split() != [
            str(len(self.nodes)),
            "idle",
        ]:
            assert time.monotonic() < end, f"{told.stdout}\n{told.stderr}"
            time.sleep(0.2)

    def state(self, job: str) -> str:
        """Of a job: RUNNING, COMPLETED, ..; a controller that is busy may be silent for a while."""
        end = time.monotonic() + 300
        while (told := self.run("scontrol", "--oneliner", "show", "job", job)).returncode:
            assert time.monotonic() < end, told.stderr
            time.sleep(0.5)
        return next(word.split("=")[1] for word in told.stdout.split() if word.startswith("JobState="))

    def wait(self, job: str, seconds: float = 900) -> str:
        """The state in which a job has ended; it must within so many seconds."""
        end = time.monotonic() + seconds
        while (state := self.state(job)) in UNDER_WAY:
            assert time.monotonic() < end, f"job {job} is still {state}"
            time.sleep(0.5)
        return state

    def wait_until_pending(self, job: str, seconds: float = 600) -> None:
        """Until a job waits in the queue."""
        end = time.monotonic() + seconds
        while (state := self.state(job)) != "PENDING":
            assert time.monotonic() < end, f"job {job} is still {state}"
            time.sleep(0.2)

    def crash(self) -> None:
        """End all of it."""
        for node in (*self.nodes.values(), self.login):
            node.crash()
