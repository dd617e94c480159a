"""Two processes on one trial come to what one process comes to, and stop when the first one is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.trial import TrialConfig
from mtsearch.training.fit import fit
from mtsearch.training.parts import build
from mtsearch.training.place import Place
from tests.ports import free_port

pytestmark = pytest.mark.slow

RANK = """
import json, os, sys
import torch.distributed
from pathlib import Path
from mtsearch.config.trial import TrialConfig
from mtsearch.training.fit import fit
from mtsearch.training.parts import build
from mtsearch.training.place import Place

config, folder, data, stop_after = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
parts = build(TrialConfig.model_validate(config), Place(folder, data))
trial = fit(parts)
told = []
for report in trial:
    told.append(report.to_json())
    if len(told) == stop_after and parts.accelerator.is_main_process:
        trial.close()  # the other process is told so by this one
        break
print(json.dumps(told), flush=True)
torch.distributed.barrier()  # a process that ends while another still talks to it aborts
os._exit(0)  # as the processes of a search end: gloo's threads may abort one that takes Python down around them
"""


def run_ranks(config: dict[str, Any], folder: Path, data: Path, stop_after: int = 0) -> list[list[dict[str, Any]]]:
    port = str(free_port())
    processes = []
    for rank in range(2):
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(rank)}
        environment = {
            **os.environ,
            **address,
            "LOCAL_RANK": str(rank),
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "1",
        }
        command = [sys.executable, "-c", RANK, json.dumps(config), str(folder), str(data), str(stop_after)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    said = [process.communicate(timeout=600) for process in processes]
    assert all(process.returncode == 0 for process in processes), said[0][1].decode() + said[1][1].decode()
    return [json.loads(out.decode().strip().splitlines()[-1]) for out, _ in said]


@pytest.fixture
def config(tiny_config: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    still = {"dropout": 0.0, "attention_dropout": 0.0}  # each process draws its own dropout
    tasks = {
        "sentiment": {"kind": "classification", "data": "sst5", "class_weights": "balanced", "head": {"dropout": 0.0}},
        "similarity": {"kind": "pair_regression", "data": "stsb", "head": {"dropout": 0.0}},
    }
    # 48 examples in batches of 5: the last batch has 3 rows, of which the second process gets one
    training = {"batch_size": 5, "accumulation": 2, "precision": "fp32", "interference_interval": 2}
    return tiny_config(encoder=still, tasks=tasks, training=training)


MIXED = {"sampler": {"name": "uniform", "mixed": True}}
METHODS: dict[str, dict[str, Any]] = {
    "plain": {},
    "surgery": {**MIXED, "surgery": {"name": "pcgrad"}},
    "curvature": {"optimizer": {"name": "sophiah", "lr": 1e-3, "hessian_interval": 2}},
    "weighting": {**MIXED, "weighting": {"name": "uncertainty", "lr": 0.05}},
    "regularizers": {"regularizers": {"proximal": {}}},
    # each process balances its own rows
    "experts": {"experts": {"name": "feed_forward", "balance_weight": 0.0}},
    # each process draws its own gates, here hardly ever others than 1
    "gates": {"pruning": {"name": "l0", "target_sparsity": 0.5, "initial_open_ratio": 0.99999, "scope": "per_task"}},
}


@pytest.mark.parametrize("sections", METHODS.values(), ids=METHODS)
def test_two_processes_come_to_what_one_comes_to(
    config: dict[str, Any], sections: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    config = {**config, **sections}
    alone = list(fit(build(TrialConfig.model_validate(config), Place(None, tiny_data))))
    first, second = run_ranks(config, tmp_path / "two", tiny_data)
    assert [report["scores"] for report in first] == [report["scores"] for report in second]
    for together, by_itself in zip(first, alone, strict=True):
        assert together["examples_seen"] == by_itself.examples_seen
        for measured, expected in zip(together["measurements"], by_itself.measurements, strict=True):
            name = f"{expected.task}.{expected.split}.{expected.metric}"
            assert name == f"{measured['task']}.{measured['split']}.{measured['metric']}"
            if not expected.metric.startswith(("proximal_", "expert_")):  # means over the first process's rows
                assert measured["value"] == pytest.approx(expected.value, abs=2e-4), name
        assert by_itself.interference
        for pair, expected_pair in zip(together["interference"], by_itself.interference, strict=True):
            assert pair == {**asdict(expected_pair), "cosine": pytest.approx(expected_pair.cosine, abs=1e-3)}
    assert (tmp_path / "two/checkpoints/evaluation-0002/model.safetensors").is_file()


def test_all_stop_when_the_first_is_told_to(config: dict[str, Any], tiny_data: Path, tmp_path: Path) -> None:
    first, second = run_ranks(config, tmp_path / "stopped", tiny_data, stop_after=1)
    assert len(first) == len(second) == 1
