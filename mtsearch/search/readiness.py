"""Whether every node of a cluster can run trials, found out before the first one starts.

What the driver has found on its own machine is looked for on each of the others, once: afterwards the data lies there
tokenised, and encoders are fetched, for all trials of that node.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtsearch.config.schema import trial_schema
from mtsearch.config.trial import TrialConfig
from mtsearch.data.cache import cache_folder
from mtsearch.errors import MtsearchError, ResourceError
from mtsearch.search.checkup import versions
from mtsearch.search.cluster import has_room
from mtsearch.search.driver import Footprint
from mtsearch.training.place import Place
from mtsearch.training.precision import check_precision
from mtsearch.training.preflight import DataHashes, preflight
from mtsearch.training.report import Objective

__all__ = ["Needs", "Readiness", "lacks"]

_MOST_SECONDS = 1800.0  # for encoders that are fetched, and data that is tokenised
_LEAST_FREE_BYTES = 500_000_000  # two checkpoints of the default encoder with their optimizer's state
_EQUAL = ("python", "mtsearch", "ray", "torch", "transformers")  # what numbers depend on, and Ray's messages


@dataclass(frozen=True)
class Needs:
    """What trials need of their node, as the driver has it.

    Attributes:
        proof: a file that the driver has just written into the run folder; holds its own name.
        versions: of the driver's packages.
        plugins: by the name of each the hash of its code, as of `_code_hash`.
        configs: trials between which encoders, tasks and their data differ, as JSON.
        data_root: as in :class:`mtsearch.training.place.Place`.
        data_hashes: of what data was found.
        objective: what is searched for.
        device: what trials run on.
    """

    proof: str
    versions: Mapping[str, str]
    plugins: Mapping[str, str]
    configs: tuple[str, ...]
    data_root: str | None
    data_hashes: DataHashes
    objective: Objective
    device: Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Readiness:
    """What is looked for on the other nodes of a cluster.

    Attributes:
        configs: trials between which encoders, tasks and their data differ.
        data_root: as in :class:`mtsearch.training.place.Place`.
        data_hashes: of the data that was found here.
        objective: what is searched for.
        say: told a line for each node that lacks something.
    """

    configs: Sequence[TrialConfig]
    data_root: Path | None
    data_hashes: DataHashes
    objective: Objective
    say: Callable[[str], None]

    def check(self, folder: Path, footprint: Footprint) -> None:
        """Look at each node of the cluster that is connected, but for this one, on which a trial finds room.

        Args:
            folder: the run folder.
            footprint: of a trial.

        Raises:
            ResourceError: trials have no GPU, but a precision that needs one; or a node lacks something, or does not
                answer.
        """
        for config in self.configs:
            check_precision(config.training.precision, _device(footprint))
        here = ray.get_runtime_context().get_node_id()
        others = [
            node
            for node in ray.nodes()
            if node["Alive"] and node["NodeID"] != here and has_room(node["Resources"], footprint)
        ]
        if not others:
            return
        with _proof(folder) as proof:
            told = _ask(others, self._needs(proof, footprint))
        problems = {name: problem for name, problem in sorted(told.items()) if problem}
        for name, problem in problems.items():
            self.say(f"node {name}: {problem}")
        if problems:
            name, problem = next(iter(problems.items()))
            raise ResourceError(
                f"nodes: each must have what a trial needs, but {len(problems)} of {len(others) + 1} do not: "
                f"{', '.join(problems)} ({name}: {problem}); put that right, or leave them out of the cluster"
            )

    def _needs(self, proof: Path, footprint: Footprint) -> Needs:
        return Needs(
            proof=str(proof),
            versions=versions(),
            plugins={plugin: _code_hash(plugin) for plugin in self.configs[0].plugins},
            configs=tuple(config.model_dump_json() for config in self.configs),
            data_root=str(self.data_root.absolute()) if self.data_root else None,
            data_hashes=self.data_hashes,
            objective=self.objective,
            device=_device(footprint),
        )


def _device(footprint: Footprint) -> Literal["cpu", "cuda"]:
    return "cuda" if footprint.gpus else "cpu"


def lacks(needs: Needs) -> str:
    """What this machine lacks, in words; empty if it can run trials. Reads and tokenises the data."""
    try:
        return next(_lacking(needs), "")
    except MtsearchError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or 'its disk'}: {error.strerror}"


def _lacking(needs: Needs) -> Iterator[str]:
    here = versions()
    for package in _EQUAL:
        if _public(here[package]) != _public(needs.versions[package]):
            yield f"it has {package} {here[package]}, but the driver {needs.versions[package]}"
    yield from _unshared(Path(needs.proof))
    for folder in (Path(needs.proof).parent, cache_folder()):
        place = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(place).free
        if free < _LEAST_FREE_BYTES:
            yield f"{place}: only {free / 1e6:.0f} MB are free"
    for plugin, code in needs.plugins.items():
        if _code_hash(plugin) != code:
            yield (
                f"it does not have the plugin {plugin} as the driver has it; put it on storage that every node shares, "
                "or install it there"
            )
    if needs.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            yield f"torch {here['torch']} sees no GPU there"
    yield from _other_data(needs)


def _public(version: str) -> str:
    """``2.13.0`` of ``2.13.0+cu126``: a driver without a GPU may have another build."""
    return version.partition("+")[0]


def _unshared(proof: Path) -> Iterator[str]:
    """Why the run folder is not one that the driver and this machine share."""
    try:
        is_seen = proof.read_text(encoding="utf-8") == proof.name
    except OSError:
        is_seen = False
    if not is_seen:
        yield f"it does not see the run folder {proof.parent}, which must be on storage that every node shares"
    try:
        answer = proof.with_name(f"{proof.name}-{uuid.uuid4().hex}")
        answer.touch()
        answer.unlink()
    except OSError as error:
        yield f"it cannot write the run folder {proof.parent}: {error.strerror}"


def _other_data(needs: Needs) -> Iterator[str]:
    schema = trial_schema(tuple(json.loads(needs.configs[0])["plugins"]))
    configs = [schema.model_validate_json(config) for config in needs.configs]
    root = Path(needs.data_root) if needs.data_root else None
    found = preflight(configs, Place(None, root), needs.objective, lambda line: None)
    for asked, content in found.items():
        if content != needs.data_hashes[asked]:
            yield f"its data for {asked[0]} is other than the driver's"


def _code_hash(plugin: str) -> str:
    """Of the file that a plugin is; empty where there is none."""
    try:
        found = None if plugin.endswith(".py") else importlib.util.find_spec(plugin)
        path = found.origin if found is not None else plugin
        return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()
    except (ImportError, OSError, ValueError):
        return ""


@contextmanager
def _proof(folder: Path) -> Iterator[Path]:
    proof = folder / f".seen-{uuid.uuid4().hex}"
    proof.write_text(proof.name, encoding="utf-8")
    try:
        yield proof
    finally:
        proof.unlink(missing_ok=True)


def _ask(nodes: Sequence[Mapping[str, Any]], needs: Needs) -> dict[str, str]:
    """By the name of each node what it lacks; all are asked at once."""
    task = ray.remote(lacks)
    asked = []
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked.append(task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(needs))
    ray.wait(asked, num_returns=len(asked), timeout=_MOST_SECONDS)
    told = {}
    for node, answer in zip(nodes, asked, strict=True):
        name = node["NodeManagerHostname"]
        try:
            told[name] = ray.get(answer, timeout=1)
        except ray.exceptions.GetTimeoutError:
            with suppress(ray.exceptions.RayError):
                ray.cancel(answer, force=True)
            told[name] = f"no answer within {_MOST_SECONDS / 60:.0f} min"
        except ray.exceptions.RayError as error:
            told[name] = f"it cannot run mtsearch: {str(error).strip().splitlines()[-1]}"
    return told
