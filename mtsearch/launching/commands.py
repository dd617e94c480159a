"""``mtsearch launch``: each command reads its arguments, and writes and submits one file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mtsearch.errors import RunError
from mtsearch.options import DataOption, FromOption, NameOption, RunsOption, SetOption, SpaceArgument
from mtsearch.terminal import Terminal

__all__ = ["launch"]

launch = typer.Typer(
    name="launch",
    help="Give a search to a cluster's scheduler; the same command goes on with an unfinished one.",
    no_args_is_help=True,
)
console = Terminal()


@launch.callback()
def _launch() -> None:
    """A group, also while it has one command."""


@launch.command()
def slurm(
    space: SpaceArgument,
    nodes: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    gpus_per_node: Annotated[str, typer.Option(metavar="N|TYPE:N", help="On each node.")] = "0",
    time: Annotated[str | None, typer.Option(metavar="LIMIT", help="Such as 12:00:00 or 2-00:00:00.")] = None,
    partition: Annotated[str | None, typer.Option(help="Where.")] = None,
    account: Annotated[str | None, typer.Option(help="To whose cost.")] = None,
    cpus_per_task: Annotated[
        int | None, typer.Option(min=1, help="Cores on each node; by default what the trials there take.")
    ] = None,
    mem: Annotated[str | None, typer.Option(metavar="SIZE", help="On each node, such as 64G.")] = None,
    notice: Annotated[int, typer.Option(min=1, help="So many seconds before its limit the search is stopped.")] = 180,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION", help="Any other option of sbatch: constraint=a100. May be repeated."),
    ] = None,
    set_: SetOption = None,
    name: NameOption = None,
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
    from_: FromOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the script here, and do not submit it.")] = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the script, and do not submit it.")] = False,
) -> None:
    """Search on the nodes of a Slurm job: writes the batch script for a space, and submits it.

    The folder of runs must be one that all nodes share, as must be the environment that this runs in.
    """
    from mtsearch.launching.request import read_request
    from mtsearch.launching.slurm import SlurmJob, batch_script, footprint_of, needed_cpus, port_of_dashboard, submit

    request = read_request(space, set_ or (), name, runs, data, from_)
    job = SlurmJob(
        name=f"mtsearch-{request.folder.name}",
        nodes=nodes,
        cpus_per_node=cpus_per_task or needed_cpus(request.space.resources, gpus_per_node),
        gpus_per_node=gpus_per_node,
        time=time,
        partition=partition,
        account=account,
        memory=mem,
        notice_seconds=notice,
        further=tuple(sbatch or ()),
    )
    footprint = footprint_of(request.space, job)  # before anything waits for room that never comes
    logs = request.folder.parent / "slurm"
    script = batch_script(job, request.arguments, logs, Path.cwd())
    if print_:
        sys.stdout.write(script)
        return
    path = logs / f"{request.folder.name}.sbatch" if out is None else out
    _write(path, script, beside=logs)
    asked = f"{nodes} node{'s' * (nodes > 1)} with {job.cpus_per_node} cores and {gpus_per_node} GPUs each"
    _print("script", os.path.relpath(path))
    _print("asks for", f"{asked}: at most {footprint.concurrency} trials at a time")
    _print("run", f"{os.path.relpath(request.folder)} ({request.so_far})")
    if out is not None:
        _print("submit it", f"sbatch {path}")
        return
    number = submit(path)
    folder = os.path.relpath(request.folder)
    _print(
        "job", f"{number}; what it says: tail -F {os.path.relpath(logs)}/{number}.out, of Ray on each node: {number}/"
    )
    _print("watch", f"mtsearch watch {folder}")
    _print("stop", f"mtsearch stop {folder}, or scancel --batch --signal=USR1 {number}; the same command goes on")
    _print(
        "dashboard",
        f"ssh -L 8265:127.0.0.1:{port_of_dashboard(number)} $(squeue -h -o %B -j {number}) from here; "
        f"its token is in {os.path.relpath(logs)}/{number}/token",
    )


@launch.command()
def kuberay(
    space: SpaceArgument,
    image: Annotated[str, typer.Option(help="With mtsearch in it, as launch/Dockerfile makes it.")],
    workers: Annotated[int, typer.Option(min=1, help="Pods on which trials run.")] = 2,
    gpus_per_worker: Annotated[int, typer.Option(min=0, help="Of each.")] = 1,
    cpus_per_worker: Annotated[int, typer.Option(min=1, help="Cores of each.")] = 4,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Of each, such as 64Gi.")] = "16Gi",
    claim: Annotated[
        str | None, typer.Option(help="A volume claim that is there, ReadWriteMany; by default one is made.")
    ] = None,
    storage_class: Annotated[str | None, typer.Option(help="Of the claim that is made.")] = None,
    storage: Annotated[str, typer.Option(metavar="SIZE", help="Of the claim that is made.")] = "100Gi",
    namespace: Annotated[str | None, typer.Option(help="Where; kubectl's own by default.")] = None,
    set_: SetOption = None,
    name: NameOption = None,
    data: Annotated[
        str | None, typer.Option(help="The folder of data sets, as the pods see it, such as /shared/data.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The manifest to write; NAME.kuberay.yaml by default.")] = None,
) -> None:
    """Search on Kubernetes: writes the manifest of a RayJob for a space, which travels in it.

    Run folders are written to /shared/runs of the claim. Paths in the space are those that the pods see.
    """
    from mtsearch.launching.kuberay import KubeRayJob, footprint_of, manifest, name_of, read_travelling

    job = KubeRayJob(
        image=image,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        cpus_per_worker=cpus_per_worker,
        memory_per_worker=memory,
        claim=claim,
        storage_class=storage_class,
        storage=storage,
        namespace=namespace,
    )
    search = read_travelling(space, set_ or (), name, data)
    footprint = footprint_of(search.space, job)  # before anything waits for room that never comes
    path = Path(f"{search.name}.kuberay.yaml") if out is None else out
    _write(path, manifest(job, search))
    called = name_of(search.name)
    kubectl = "kubectl" if namespace is None else f"kubectl --namespace {namespace}"
    asked = f"{workers} pods with {cpus_per_worker} cores and {gpus_per_worker} GPUs each"
    _print("manifest", os.path.relpath(path))
    _print("asks for", f"{asked}: at most {footprint.concurrency} trials at a time")
    _print("submit it", f"{kubectl} apply -f {path}")
    _print("what it says", f"{kubectl} logs --follow --selector job-name={called}")
    _print("dashboard", f"{kubectl} port-forward service/$({kubectl} get rayjob {called} "
           "-o jsonpath={.status.rayClusterName})-head-svc 8265, then http://127.0.0.1:8265")  # fmt: skip
    _print("go on", f"{kubectl} delete rayjob {called}, and apply again; the volume claim stays")


def _write(path: Path, text: str, beside: Path | None = None) -> None:
    """Write a file, and make a folder that it wants to be there."""
    try:
        for folder in (path.parent, beside or path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: must be writable, but got: {error.strerror}") from error


def _print(name: str, text: str) -> None:
    from mtsearch.console import print_pairs

    print_pairs(console, [(name, text)])
