"""``mtsearch doctor``: looks at what a search stands on, and says what to do about what is not right.

Each check is a function in one of this package's modules, and a line of what is printed. What may crash, hang or be
missing is looked at by a process of its own (:mod:`mtsearch.doctor.probes`), so that a broken torch is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mtsearch.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]


def examine(runs: Path, address: str | None = None, shared: Path | None = None) -> Iterator[Finding]:
    """What is found, one after the other.

    Args:
        runs: the folder of run folders.
        address: of a Ray cluster; None starts one here, unless ``RAY_ADDRESS`` is set.
        shared: a folder that every node of the cluster is to see.
    """
    from mtsearch.doctor import folders, machine

    yield machine.python()
    about_torch = list(machine.torch_and_gpus())
    yield from about_torch
    yield machine.collective("gloo")
    if sum(finding.subject.startswith("gpu ") for finding in about_torch) > 1:
        yield machine.collective("nccl")
    yield from machine.cluster(address, shared)
    yield from folders.folder("runs", runs)
    if shared is not None:
        yield from folders.folder("shared", shared)
    yield machine.hub()
    yield machine.encoder()
    yield machine.extras()
