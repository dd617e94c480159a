from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from mtsearch.cli import app
from mtsearch.errors import MtsearchError, ResourceError
from mtsearch.launching.files import launch_file
from mtsearch.launching.kuberay import name_of

Launch = Callable[..., Result]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_config: Callable[..., dict[str, Any]]) -> Launch:
    """``launch("--workers", 2)`` writes the manifest for a space with a plugin beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("METRICS = ()\n", encoding="utf-8")
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(tiny_config(plugins=["mine.py"])), encoding="utf-8")

    def call(*arguments: object) -> Result:
        named = ["launch", "kuberay", "space.yaml", "--image", "registry/mtsearch:1", *map(str, arguments)]
        return CliRunner().invoke(app, named)

    return call


def objects(path: Path) -> dict[str, Any]:
    """The objects of a manifest, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))}


def arguments_of(entrypoint: str) -> list[str]:
    """What mtsearch is given."""
    words = shlex.split(entrypoint)
    return words[words.index("mtsearch") + 1 :]


@pytest.fixture(scope="session")
def crd(real_data: Path) -> dict[str, Any]:
    """The schema of a RayJob, in which unknown keys are refused."""
    path = real_data / "kuberay_crds" / "ray.io_rayjobs.yaml"
    if not path.is_file():
        pytest.skip("MTSEARCH_DATA has no kuberay_crds")
    versions = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["versions"]
    (schema,) = (each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1")
    return strict(schema)


def strict(schema: Any) -> Any:
    """A schema of Kubernetes' as JSON Schema has it: its own words understood, unknown keys refused."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    plain = {key: strict(value) for key, value in schema.items()}
    if "properties" in plain and isinstance(plain.get("type"), str):
        plain = {**plain, "properties": {key: strict(value) for key, value in schema["properties"].items()}}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            plain["additionalProperties"] = False
        defaults = {
            key for key, value in schema["properties"].items() if isinstance(value, dict) and "default" in value
        }
        plain["required"] = [key for key in schema.get("required", ()) if key not in defaults]
    return plain


def check(job: dict[str, Any], crd: dict[str, Any]) -> None:
    crd["properties"]["metadata"] = {"type": "object"}
    jsonschema.validate(job, crd)


def test_the_shipped_manifest_is_what_the_operator_takes(crd: dict[str, Any]) -> None:
    check(objects(launch_file("kuberay.yaml"))["RayJob"], crd)


def test_the_manifest_of_a_space_is_what_the_operator_takes(
    launch: Launch, tmp_path: Path, crd: dict[str, Any]
) -> None:
    assert launch("--namespace", "lab").exit_code == 0
    job = objects(tmp_path / "tiny.kuberay.yaml")["RayJob"]
    check(job, crd)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["imagee"] = ""
    with pytest.raises(jsonschema.ValidationError, match="'imagee' was unexpected"):
        check(job, crd)


def test_a_job_is_what_was_asked_for(launch: Launch, tmp_path: Path) -> None:
    size = ("--workers", 3, "--gpus-per-worker", 2, "--cpus-per-worker", 8, "--memory", "64Gi")
    what = ("--set", "optimizer.lr=2e-3", "--data", "/shared/data")
    said = launch(*size, *what, "--storage-class", "nfs", "--out", "job.yaml")
    assert said.exit_code == 0, said.output
    found = objects(tmp_path / "job.yaml")
    spec = found["RayJob"]["spec"]
    assert arguments_of(spec["entrypoint"]) == [
        *("run", "/etc/mtsearch/space.yaml", "--name", "tiny", "--runs", "/shared/runs"),
        *("--address", "auto", "--set", "optimizer.lr=2e-3"),
        *("--set", 'plugins=["/etc/mtsearch/mine.py"]', "--data", "/shared/data", "--nodes", "4"),
    ]
    (workers,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert [workers[key] for key in ("replicas", "minReplicas", "maxReplicas")] == [3, 3, 3]
    (container,) = workers["template"]["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "8", "memory": "64Gi"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "2"},
    }
    assert workers["rayStartParams"]["num-cpus"] == "8"  # or else some operators have Ray count the machine's
    assert container["image"] == "registry/mtsearch:1"
    assert found["PersistentVolumeClaim"]["spec"]["storageClassName"] == "nfs"
    assert "3 pods with 8 cores and 2 GPUs each: at most " in said.output
    assert "kubectl apply -f job.yaml" in said.output


def as_the_operator_runs(entrypoint: str, folder: Path, exit_code: int) -> tuple[int, list[str]]:
    """How an entrypoint ends whose mtsearch ends with a code, and what that was given.

    The operator has a shell read it for ``ray job submit``, which gives the words, quoted anew, to the head's shell.
    """
    programs = {
        "ray": "import shlex\nargs = sys.argv\nprint(shlex.join(args[args.index('--') + 1 :]))",
        "mtsearch": f"import json\nprint(json.dumps(sys.argv[1:]))\nsys.exit({exit_code})",
    }
    for name, code in programs.items():
        (folder / name).write_text(f"#!{sys.executable}\nimport sys\n{code}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    found = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    submit = f"ray job submit --no-wait -- {entrypoint.strip()} ;"
    submitted = subprocess.run(
        ["/bin/bash", "-ce", "--", submit], env=found, capture_output=True, text=True, check=True
    )
    ended = subprocess.run(submitted.stdout, shell=True, env=found, capture_output=True, text=True, check=False)
    return ended.returncode, json.loads(ended.stdout)


def test_a_search_that_was_stopped_has_not_failed_since_the_operator_would_begin_it_again(
    launch: Launch, tmp_path: Path
) -> None:
    launch("--set", "optimizer.lr={loguniform: [1e-5, 1e-3]}")
    for path in (tmp_path / "tiny.kuberay.yaml", launch_file("kuberay.yaml")):
        entrypoint = objects(path)["RayJob"]["spec"]["entrypoint"]
        for of_mtsearch, of_the_job in ((0, 0), (1, 1), (2, 2), (130, 0)):
            code, given = as_the_operator_runs(entrypoint, tmp_path, of_mtsearch)
            assert code == of_the_job
            assert given == arguments_of(entrypoint)


def test_the_space_and_its_plugins_travel_to_every_pod(launch: Launch, tmp_path: Path) -> None:
    launch()
    found = objects(tmp_path / "tiny.kuberay.yaml")
    assert found["ConfigMap"]["data"] == {name: (tmp_path / name).read_text() for name in ("space.yaml", "mine.py")}
    cluster = found["RayJob"]["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        mounted = {mount["mountPath"]: mount.get("subPath") for mount in container["volumeMounts"]}
        assert mounted["/etc/mtsearch/space.yaml"] == "space.yaml"
        assert mounted["/etc/mtsearch/mine.py"] == "mine.py"
        assert "/shared" in mounted


def test_a_claim_that_is_there_is_taken(launch: Launch, tmp_path: Path) -> None:
    launch("--claim", "ours", "--gpus-per-worker", 0)
    found = objects(tmp_path / "tiny.kuberay.yaml")
    assert "PersistentVolumeClaim" not in found
    (workers,) = found["RayJob"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    volumes = {volume["name"]: volume for volume in workers["template"]["spec"]["volumes"]}
    assert volumes["shared"]["persistentVolumeClaim"] == {"claimName": "ours"}
    assert "nvidia.com/gpu" not in workers["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_nobody_without_the_token_is_let_in_and_nothing_runs_as_root(launch: Launch, tmp_path: Path) -> None:
    launch()
    for path in (launch_file("kuberay.yaml"), tmp_path / "tiny.kuberay.yaml"):
        spec = objects(path)["RayJob"]["spec"]
        cluster = spec["rayClusterSpec"]
        assert cluster["authOptions"] == {"mode": "token"}
        assert spec["shutdownAfterJobFinishes"] is True
        assert spec["ttlSecondsAfterFinished"] > 0
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            pod = group["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["automountServiceAccountToken"] is False
            assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


def test_ray_is_the_one_that_is_here(launch: Launch, tmp_path: Path) -> None:
    launch()
    cluster = objects(tmp_path / "tiny.kuberay.yaml")["RayJob"]["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == version("ray")


def test_ray_of_the_shipped_manifest_is_the_one_that_ci_tests() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={objects(launch_file('kuberay.yaml'))['RayJob']['spec']['rayClusterSpec']['rayVersion']}" in pinned


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "optimizer.lr=fast"),
        ("--image", "an image"),
        ("--name", "../else"),
        ("--namespace", "Lab_1"),
        ("--claim", "a/b"),
        ("--memory", "much"),
        ("--claim", "ours", "--storage-class", "nfs"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_in_one_line(
    launch: Launch, tmp_path: Path, arguments: tuple[Any]
) -> None:
    error = launch(*arguments).exception
    assert isinstance(error, MtsearchError), error
    assert not (tmp_path / "tiny.kuberay.yaml").exists()


def test_a_trial_that_no_pod_has_room_for_is_told_at_once(launch: Launch) -> None:
    assert isinstance(launch("--set", "resources={cpus: 64}").exception, ResourceError)


def test_plugins_are_named_as_the_pods_see_them_wherever_they_lay(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "installed_in_image.py").write_text("METRICS = ()\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "other" / "yours.py").write_text("TASKS = ()\n", encoding="utf-8")
    assert launch("--set", "plugins=[mine.py, other/yours.py, installed_in_image]").exit_code == 0
    found = objects(tmp_path / "tiny.kuberay.yaml")
    assert set(found["ConfigMap"]["data"]) == {"space.yaml", "mine.py", "yours.py"}
    arguments = arguments_of(found["RayJob"]["spec"]["entrypoint"])
    last = max(i for i, argument in enumerate(arguments) if argument == "--set")
    assert arguments[last + 1] == 'plugins=["/etc/mtsearch/mine.py", "/etc/mtsearch/yours.py", "installed_in_image"]'


@pytest.mark.parametrize("name", ["other/mine.py", "my plugin.py"])
def test_plugins_that_cannot_be_told_apart_or_have_no_key_cannot_travel(
    launch: Launch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / name).write_text("METRICS = ()\n", encoding="utf-8")
    error = launch("--set", f"plugins=[mine.py, {name}]").exception
    assert isinstance(error, MtsearchError)
    assert "must have different names of letters, digits" in str(error)


@pytest.mark.parametrize("place", ["space", "override"])
def test_a_password_does_not_travel(launch: Launch, tmp_path: Path, place: str) -> None:
    storage = "postgresql://me:hunter2@host/db"
    if place == "space":
        space = yaml.safe_load((tmp_path / "space.yaml").read_text(encoding="utf-8"))
        (tmp_path / "space.yaml").write_text(
            yaml.safe_dump({**space, "search": {"storage": storage}}), encoding="utf-8"
        )
    error = launch(*(("--set", f"search.storage={storage}") if place == "override" else ())).exception
    assert isinstance(error, MtsearchError)
    assert "a URL that travels must have no password" in str(error)
    assert not list(tmp_path.glob("*.kuberay.yaml"))


@pytest.mark.parametrize(
    ("run", "name"), [("tiny", "mtsearch-tiny"), ("My.Run_1", "mtsearch-my-run-1"), ("x" * 99, f"mtsearch-{'x' * 38}")]
)
def test_names_are_such_as_kubernetes_takes(run: str, name: str) -> None:
    assert name_of(run) == name
