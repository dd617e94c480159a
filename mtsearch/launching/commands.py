"""``mtsearch launch``: each command reads its arguments, and writes and submits one file."""

from __future__ import annotations

import os
import shlex
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
    from mtsearch.console import print_pairs
    from mtsearch.launching.request import read_request, room_in_words
    from mtsearch.launching.slurm import SlurmJob, batch_script, needed_cpus, num_gpus, port_of_dashboard, submit

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
    room = room_in_words(request.space, "node", nodes, job.cpus_per_node, num_gpus(gpus_per_node))
    logs = request.folder.parent / "slurm"
    script = batch_script(job, request.arguments, logs, Path.cwd())
    if print_:
        sys.stdout.write(script)
        return
    path = logs / f"{request.folder.name}.sbatch" if out is None else out
    _write(path, script, beside=logs)
    folder, shown_logs = os.path.relpath(request.folder), os.path.relpath(logs)
    shown = [("script", os.path.relpath(path)), ("asks for", room), ("run", f"{folder} ({request.so_far})")]
    if out is not None:
        print_pairs(console, [*shown, ("submit it", shlex.join(["sbatch", str(path)]))])
        return
    print_pairs(console, shown)
    number = submit(path)
    tunnel = f"ssh -N -L 8265:127.0.0.1:{port_of_dashboard(number)} $(squeue -h -o %B -j {number})"
    print_pairs(
        console,
        [
            ("job", f"{number}; what it says: tail -F {shown_logs}/{number}.out, of Ray on each node: {number}/"),
            ("watch", f"mtsearch watch {folder}"),
            ("stop", f"mtsearch stop {folder}, or scancel --batch --signal=USR1 {number}; the same command goes on"),
            ("dashboard", f"{tunnel} from here; its token is in {shown_logs}/{number}/token"),
        ],
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
    from mtsearch.console import print_pairs
    from mtsearch.launching.kuberay import KubeRayJob, manifest, name_of, read_travelling
    from mtsearch.launching.request import room_in_words

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
    room = room_in_words(search.space, "pod", workers, cpus_per_worker, gpus_per_worker)
    path = Path(f"{search.name}.kuberay.yaml") if out is None else out
    _write(path, manifest(job, search))
    called = name_of(search.name)
    kubectl = "kubectl" if namespace is None else f"kubectl --namespace {namespace}"
    token = f"{kubectl} get secret $CLUSTER -o jsonpath={{.data.auth_token}} | base64 --decode"
    print_pairs(
        console,
        [
            ("manifest", os.path.relpath(path)),
            ("asks for", room),
            ("submit it", f"{kubectl} apply -f {shlex.quote(str(path))}"),
            ("watch", f"{kubectl} logs --follow --selector job-name={called}"),
            ("cluster", f"CLUSTER=$({kubectl} get rayjob {called} -o jsonpath={{.status.rayClusterName}})"),
            ("dashboard", f"{kubectl} port-forward service/$CLUSTER-head-svc 8265, then http://127.0.0.1:8265"),
            ("its token", token),
            ("stop", f"{kubectl} exec service/$CLUSTER-head-svc -- mtsearch stop /shared/runs/{search.name}"),
            ("go on", f"{kubectl} delete rayjob {called}, and apply again; the volume claim stays"),
        ],
    )


def _write(path: Path, text: str, beside: Path | None = None) -> None:
    """Write a file, and make a folder that it wants to be there."""
    try:
        for folder in (path.parent, beside or path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: must be writable, but got: {error.strerror}") from error
