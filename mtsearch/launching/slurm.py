"""A search as a Slurm job: the shipped batch script with a space's own lines in it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mtsearch.config.search import Resources
from mtsearch.errors import ConfigError, ResourceError, RunError
from mtsearch.launching.files import launch_file

__all__ = ["SlurmJob", "batch_script", "needed_cpus", "num_gpus", "port_of_dashboard", "submit"]

_CPUS_PER_GPU = 4
_CPUS_WITHOUT_GPU = 8
_GPUS = re.compile(r"(?:[\w.-]+:)?(\d+)")
_LIMIT = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_FURTHER = re.compile(r"[a-z][a-z-]*(=.+)?")


@dataclass(frozen=True)
class SlurmJob:
    """What is asked of Slurm.

    Attributes:
        name: of the job; of several with the same one runs at a time.
        nodes: how many.
        cpus_per_node: cores on each.
        gpus_per_node: on each: a number, or ``TYPE:NUMBER``.
        time: its limit, as Slurm writes it: ``12:00:00``, ``2-00:00:00``; None takes the partition's.
        partition: None takes the cluster's default, as with the following.
        account: to whose cost.
        memory: on each node, as Slurm writes it: ``64G``.
        notice_seconds: before its end the search is told to stop.
        further: other options of sbatch, such as ``constraint=a100``.
    """

    name: str
    nodes: int
    cpus_per_node: int
    gpus_per_node: str = "0"
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    memory: str | None = None
    notice_seconds: int = 180
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would be another line, or another option, of the script."""
        for option in self.further:
            if not _FURTHER.fullmatch(option):
                raise ConfigError(
                    f"--sbatch: must be an option without its dashes, such as constraint=a100, but got {option!r}"
                )
        for option in self._options(Path()):
            if not option.isprintable() or '"' in option:
                raise ConfigError(f"{option.partition('=')[0]}: must be one line without quotes, but got {option!r}")
        if self.time is not None and (limit := _limit_seconds(self.time)) is not None and limit <= self.notice_seconds:
            raise ConfigError(
                f"--time: must be more than --notice, or the search is stopped as it starts, but got {self.time} "
                f"({limit} s) and {self.notice_seconds} s; ask for more time, or less notice"
            )

    def _options(self, logs: Path) -> list[str]:
        asked = {
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "mem": self.memory,
            "gpus-per-node": self.gpus_per_node if num_gpus(self.gpus_per_node) else None,
        }
        return [
            f"--job-name={self.name}",
            f"--nodes={self.nodes}",
            "--ntasks-per-node=1",
            f"--cpus-per-task={self.cpus_per_node}",
            *(f"--{option}={value}" for option, value in asked.items() if value is not None),
            f"--output={logs}/%j.out",
            "--requeue",
            "--no-kill",
            f"--signal=B:USR1@{self.notice_seconds}",
            "--dependency=singleton",
            "--open-mode=append",
            *(f"--{option}" for option in self.further),
        ]

    def header(self, logs: Path) -> list[str]:
        """The script's lines for sbatch.

        Args:
            logs: the folder of what the jobs say.
        """
        return [f'#SBATCH "{option}"' if " " in option else f"#SBATCH {option}" for option in self._options(logs)]


def _limit_seconds(limit: str) -> int | None:
    """What Slurm understands by ``90`` (minutes), ``90:00``, ``1:30:00``, ``0-1:30``; None where it has other words."""
    match = _LIMIT.fullmatch(limit)
    if match is None:
        return None
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is None and len(numbers) < 3:
        numbers.insert(0, 0)  # it begins with minutes
    hours, minutes, seconds = [*numbers, 0, 0][:3]
    return int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + seconds


def num_gpus(gpus_per_node: str) -> int:
    """What ``4`` or ``a100:4`` comes to.

    Raises:
        ConfigError: it is neither.
    """
    match = _GPUS.fullmatch(gpus_per_node)
    if match is None:
        raise ConfigError(f"--gpus-per-node: must be a number or TYPE:NUMBER, but got {gpus_per_node!r}")
    return int(match[1])


def needed_cpus(resources: Resources | Literal["auto"], gpus_per_node: str) -> int:
    """How many cores to ask for on each node, where nobody says: what the trials there take at a time.

    Args:
        resources: what the space says of a trial.
        gpus_per_node: as in :class:`SlurmJob`.
    """
    available = num_gpus(gpus_per_node)
    if resources == "auto":
        return _CPUS_PER_GPU * available or _CPUS_WITHOUT_GPU
    cpus, gpus = resources.workers * resources.cpus, resources.workers * resources.gpus
    trials = int(available / gpus + 1e-9) if gpus else _CPUS_WITHOUT_GPU // cpus
    return cpus * max(1, trials)


def batch_script(job: SlurmJob, arguments: Sequence[str], logs: Path, working_folder: Path) -> str:
    """The batch script.

    Args:
        job: what is asked of Slurm.
        arguments: of ``mtsearch run``.
        logs: the folder of what the jobs say.
        working_folder: in which the search is run.
    """
    lines = launch_file("slurm/search.sbatch").read_text(encoding="utf-8").splitlines()
    header = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first, end = header[0], header[-1] + 1
    settings = [
        f"cd {shlex.quote(str(working_folder))}",
        f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
        f"job_folder={shlex.quote(str(logs))}",
        f"set -- {shlex.join(arguments)}",
    ]
    return "\n".join([*lines[:first], *job.header(logs), "", *settings, *lines[end:], ""])


def port_of_dashboard(job_id: str) -> int:
    """On the first node's loopback, as the script chooses it."""
    return 20001 + int(job_id) % 3000 * 4


def submit(script: Path) -> str:
    """Give a script to Slurm.

    Returns:
        The job's id.

    Raises:
        RunError: there is no Slurm here.
        ResourceError: it does not take the job.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise RunError(
            "sbatch: must be here to submit the job, but there is no Slurm on this machine; do it on the cluster's "
            "login node, or write the script alone with --out job.sbatch"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ResourceError(f"sbatch: did not take {script}: {error.stderr.strip() or error.returncode}") from error
    return done.stdout.strip().partition(";")[0]
