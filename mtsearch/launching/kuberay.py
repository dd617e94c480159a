"""A search on Kubernetes: the shipped manifest with a space's own values in it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mtsearch.config.load import load_space, locate
from mtsearch.config.space import SearchSpace
from mtsearch.config.yaml12 import dump
from mtsearch.errors import ConfigError
from mtsearch.launching.files import launch_file
from mtsearch.launching.request import refuse_passwords

__all__ = ["KubeRayJob", "Travelling", "manifest", "name_of", "read_travelling"]

_MOST_BYTES = 900_000  # of what a ConfigMap holds; it may have 1 MiB with all around it
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEY = re.compile(r"[A-Za-z0-9._-]+")
_IMAGE = re.compile(r"[\w.:/@-]+")
_QUANTITY = re.compile(r"[1-9]\d*(\.\d+)?([KMGTP]i?|m)?")
_MOST_IN_NAME = 38  # KubeRay makes longer names of it, and a label may have 63 characters
_FOLDER, _SHARED = "/etc/mtsearch", "/shared"


@dataclass(frozen=True)
class KubeRayJob:
    """What is asked of Kubernetes.

    Attributes:
        image: with mtsearch in it, as ``launch/Dockerfile`` makes it.
        workers: pods on which trials run.
        gpus_per_worker: of each.
        cpus_per_worker: cores of each.
        memory_per_worker: of each, as Kubernetes writes it: ``16Gi``.
        claim: a volume claim that is there, and that several pods can write; None makes one.
        storage_class: of the claim that is made; None takes the cluster's default.
        storage: size of the claim that is made, as Kubernetes writes it.
        namespace: None leaves it to kubectl.
    """

    image: str
    workers: int = 2
    gpus_per_worker: int = 1
    cpus_per_worker: int = 4
    memory_per_worker: str = "16Gi"
    claim: str | None = None
    storage_class: str | None = None
    storage: str = "100Gi"
    namespace: str | None = None

    def __post_init__(self) -> None:
        """Refuse what Kubernetes would, here where it can be told in one line."""
        if not _IMAGE.fullmatch(self.image):
            raise ConfigError(f"--image: must be an image such as registry/mtsearch:0.1.0, but got {self.image!r}")
        for option, name in (("--claim", self.claim), ("--namespace", self.namespace)):
            if name is not None and not _LABEL.fullmatch(name):
                raise ConfigError(f"{option}: must be a name of a-z, 0-9 and -, but got {name!r}")
        for option, quantity in (("--memory", self.memory_per_worker), ("--storage", self.storage)):
            if not _QUANTITY.fullmatch(quantity):
                raise ConfigError(f"{option}: must be a quantity such as 16Gi, but got {quantity!r}")
        if self.claim is not None and self.storage_class is not None:
            raise ConfigError("--storage-class: is of a claim that is made, but --claim names one that is there")


@dataclass(frozen=True)
class Travelling:
    """What a search takes along.

    Attributes:
        space: what to search, as it is read here.
        name: of the run folder.
        files: the space and the modules that it names as plugins, by their names in one folder.
        arguments: of ``mtsearch run`` there.
    """

    space: SearchSpace
    name: str
    files: Mapping[str, str]
    arguments: tuple[str, ...]


def read_travelling(space: str, overrides: Sequence[str], name: str | None, data: str | None) -> Travelling:
    """The search that these arguments of ``mtsearch run`` mean.

    Args:
        space: a YAML file, or the name of a shipped space.
        overrides: ``KEY=VALUE``, as after ``--set``.
        name: of the run folder; None takes the space's.
        data: the folder of data sets, as the pods see it.

    Raises:
        ConfigError: the space is not valid, or it cannot be taken along.
    """
    loaded = load_space(space, overrides)
    files = {"space.yaml": locate(space).read_text(encoding="utf-8-sig")}
    plugins = []
    for plugin in loaded.plugins:
        module = Path(plugin)
        if not plugin.endswith(".py"):
            plugins.append(plugin)  # the image has it, or the job will say that it does not
            continue
        if module.name in files or not _KEY.fullmatch(module.name):
            raise ConfigError(
                "plugins: files that travel together must have different names of letters, digits and . _ -, "
                f"but got {module.name!r}; rename {module}"
            )
        files[module.name] = module.read_text(encoding="utf-8")
        plugins.append(f"{_FOLDER}/{module.name}")
    refuse_passwords([*overrides, files["space.yaml"]])
    if sum(len(text.encode()) for text in files.values()) > _MOST_BYTES:
        raise ConfigError(f"{space}: a space that travels may have {_MOST_BYTES // 1000} kB with its plugins")
    name = loaded.name if name is None else name
    if not _RUN.fullmatch(name):
        raise ConfigError(f"--name: must be letters, digits and . _ -, a letter or digit first, but got {name!r}")
    arguments = [f"{_FOLDER}/space.yaml", "--name", name, "--runs", f"{_SHARED}/runs", "--address", "auto"]
    for override in overrides:
        arguments += ["--set", override]
    arguments += ["--set", f"plugins={json.dumps(plugins)}"] if plugins else []
    arguments += ["--data", data] if data is not None else []
    return Travelling(loaded, name, files, tuple(arguments))


def name_of(run: str) -> str:
    """What Kubernetes calls the job of a run."""
    plain = re.sub(r"[^a-z0-9]+", "-", run.lower())[:_MOST_IN_NAME].strip("-")
    return f"mtsearch-{plain}"


def manifest(job: KubeRayJob, search: Travelling) -> str:
    """What ``kubectl apply`` takes.

    Args:
        job: what is asked of Kubernetes.
        search: what to run.
    """
    config_map, claim, ray_job = yaml.safe_load_all(launch_file("kuberay.yaml").read_text(encoding="utf-8"))
    name = name_of(search.name)
    config_map["metadata"]["name"] = f"{name}-space"
    config_map["data"] = dict(search.files)
    claim["metadata"]["name"] = job.claim or f"{name}-shared"
    claim["spec"]["resources"]["requests"]["storage"] = job.storage
    if job.storage_class is not None:
        claim["spec"]["storageClassName"] = job.storage_class
    ray_job["metadata"]["name"] = name
    nodes = job.workers + 1  # the head is one: a search counts the room for trials when it starts
    shipped = shlex.split(ray_job["spec"]["entrypoint"])
    until_arguments = shipped[: shipped.index("run") + 1]
    ray_job["spec"]["entrypoint"] = shlex.join([*until_arguments, *search.arguments, "--nodes", str(nodes)])
    cluster = ray_job["spec"]["rayClusterSpec"]
    cluster["rayVersion"] = importlib.metadata.version("ray")
    (workers,) = cluster["workerGroupSpecs"]
    workers["replicas"] = workers["minReplicas"] = workers["maxReplicas"] = job.workers
    workers["rayStartParams"]["num-cpus"] = str(job.cpus_per_worker)
    asked = {"cpu": str(job.cpus_per_worker), "memory": job.memory_per_worker}
    limits = {"memory": job.memory_per_worker}
    if job.gpus_per_worker:
        limits["nvidia.com/gpu"] = str(job.gpus_per_worker)
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        container["image"] = job.image
        # A file of its own each: in the folder that Kubernetes makes of them they would be links, whose ends differ.
        others = [mount for mount in container["volumeMounts"] if mount["name"] != "space"]
        container["volumeMounts"] = [*map(_mount, search.files), *others]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        volumes["space"]["configMap"]["name"] = config_map["metadata"]["name"]
        volumes["shared"]["persistentVolumeClaim"]["claimName"] = claim["metadata"]["name"]
    container["resources"] = {"requests": asked, "limits": limits}
    objects = [config_map, *([] if job.claim else [claim]), ray_job]
    for each in objects:
        if job.namespace is not None:
            each["metadata"]["namespace"] = job.namespace
    return "---\n".join(map(dump, objects))


def _mount(file: str) -> dict[str, Any]:
    return {"name": "space", "mountPath": f"{_FOLDER}/{file}", "subPath": file, "readOnly": True}
