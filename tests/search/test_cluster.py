from __future__ import annotations

import os

import pytest

from mtsearch.config.search import Resources
from mtsearch.errors import ResourceError
from mtsearch.search import cluster
from mtsearch.search.cluster import environment, find_footprint
from mtsearch.search.driver import Footprint

CPU_BOX = {"CPU": 8.0, "memory": 1e9}
GPU_BOX = {"CPU": 32.0, "GPU": 4.0}


def test_auto_gives_a_trial_one_core_where_there_are_no_gpus() -> None:
    assert find_footprint("auto", [CPU_BOX, CPU_BOX], 100, "auto") == Footprint(1, 0.0, 16)


def test_auto_gives_a_trial_one_gpu_and_its_share_of_the_cores() -> None:
    assert find_footprint("auto", [GPU_BOX], 100, "auto") == Footprint(8, 1.0, 4)
    # The machine with fewest cores for each GPU says how many; the one without GPUs runs none.
    assert find_footprint("auto", [GPU_BOX, {"CPU": 8.0, "GPU": 2.0}, CPU_BOX], 100, "auto") == Footprint(4, 1.0, 6)


def test_a_trial_must_fit_on_one_machine() -> None:
    assert find_footprint(Resources(cpus=5), [CPU_BOX, CPU_BOX], 100, "auto").concurrency == 2
    with pytest.raises(
        ResourceError, match=r"asks for 9 cores and 0 GPUs on one machine, but there is 8 cores and 0 GPUs"
    ):
        find_footprint(Resources(cpus=9), [CPU_BOX, CPU_BOX], 100, "auto")
    with pytest.raises(ResourceError, match="1 cores and 1 GPUs on one machine"):
        find_footprint(Resources(gpus=1), [CPU_BOX, CPU_BOX], 100, "auto")


def test_fractions_share_a_gpu_and_are_never_split_over_two() -> None:
    assert find_footprint(Resources(gpus=0.25), [GPU_BOX], 100, "auto").concurrency == 16
    assert find_footprint(Resources(gpus=0.4), [GPU_BOX], 100, "auto").concurrency == 8


def test_concurrency_is_capped_by_trials_and_by_what_is_asked_for() -> None:
    assert find_footprint("auto", [CPU_BOX], 3, "auto").concurrency == 3
    assert find_footprint("auto", [CPU_BOX], 100, 2).concurrency == 2
    assert find_footprint("auto", [CPU_BOX], 100, 50).concurrency == 8


def test_environment_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_TEST_A", "before")
    with environment({"MTSEARCH_TEST_A": "1", "MTSEARCH_TEST_B": "2"}):
        assert (os.environ["MTSEARCH_TEST_A"], os.environ["MTSEARCH_TEST_B"]) == ("1", "2")
    assert os.environ["MTSEARCH_TEST_A"] == "before"
    assert "MTSEARCH_TEST_B" not in os.environ


def test_a_machine_too_busy_to_start_ray_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)

    def init(**settings: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because ..")  # as Ray does

    monkeypatch.setattr(cluster.ray, "init", init)
    said = r"Ray must start here, but got Exception: .*; is this machine too busy\?"
    with pytest.raises(ResourceError, match=said), cluster.connected(None):
        pass
