from __future__ import annotations

import os
import socket
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ValidationError
from ray._raylet import AuthenticationMode, Config, get_authentication_mode

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


def test_the_workers_of_a_trial_are_all_on_one_machine() -> None:
    assert find_footprint(Resources(cpus=3, workers=2), [CPU_BOX, CPU_BOX], 100, "auto") == Footprint(6, 0.0, 2, 2)
    # GPUs // workers on each machine: the third GPU of each is left over
    three = {"CPU": 32.0, "GPU": 3.0}
    assert find_footprint(Resources(gpus=1, workers=2), [three, three], 100, "auto") == Footprint(2, 2.0, 2, 2)
    assert find_footprint(Resources(cpus=8, gpus=1, workers=4), [GPU_BOX], 100, "auto") == Footprint(32, 4.0, 1, 4)


def test_workers_that_no_machine_has_room_for_are_refused_in_one_line() -> None:
    with pytest.raises(ResourceError) as refused:
        find_footprint(Resources(gpus=1, workers=3), [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}], 100, "auto")
    assert str(refused.value) == (
        "resources: a trial asks for 3 cores and 3 GPUs on one machine for its 3 workers together, but there is "
        "8 cores and 2 GPUs, 8 cores and 2 GPUs; ask for less with --set resources.workers=N or resources.cpus=N or "
        "resources.gpus=0, or add machines"
    )


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"workers": 0}, "greater than 0"),
        ({"workers": 1.5}, "integer"),
        ({"workers": 2, "gpus": 0.5}, "gpus must be 0 or 1 .* but got 0.5 with 2 workers; set gpus: 1, or workers: 1"),
        ({"gpus": 2}, "less than or equal to 1"),
    ],
)
def test_resources_that_no_trial_can_have_are_refused(asked: dict[str, float], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        Resources.model_validate(asked)


def test_a_fraction_is_of_one_worker_alone() -> None:
    assert find_footprint(Resources(gpus=0.5, workers=1), [GPU_BOX], 100, "auto") == Footprint(1, 0.5, 8)


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


@dataclass(frozen=True)
class Context:
    """Of a Ray without a dashboard."""

    dashboard_url: str | None = None


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder without a token, in which Ray is not started."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster.ray, "init", lambda **_: Context())
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    monkeypatch.setattr(cluster, "_require_head", lambda address: None)
    Config.initialize("")  # without RAY_AUTH_MODE, which it reads then
    return tmp_path


def test_the_token_of_a_cluster_of_our_own_is_the_user_s_alone(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    before = os.umask(0)
    try:
        with cluster.connected(None):
            made = token.read_text(encoding="utf-8")
    finally:
        os.umask(before)
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(made) == 64
    with cluster.connected(None):
        assert token.read_text(encoding="utf-8") == made


def test_a_token_that_everybody_can_read_is_shut(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("a" * 64, encoding="utf-8")
    token.chmod(0o644)
    with cluster.connected("10.0.0.1:6379"):
        pass
    assert token.stat().st_mode & 0o777 == 0o600


def test_a_cluster_of_our_own_asks_for_tokens_whichever_ray_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[object] = []
    monkeypatch.setattr(cluster.ray, "init", lambda **_: modes.append(get_authentication_mode()) or Context())
    with cluster.connected(None):
        assert os.environ["RAY_AUTH_MODE"] == "token"  # for all that Ray starts
        assert not cluster.is_open_to_all()
    assert modes == [AuthenticationMode.TOKEN]
    assert "RAY_AUTH_MODE" not in os.environ
    assert get_authentication_mode() == AuthenticationMode.DISABLED


def test_a_cluster_that_takes_us_in_without_a_token_is_open_to_all(home: Path) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("a" * 64, encoding="utf-8")
    with cluster.connected("10.0.0.1:6379"):
        assert cluster.is_open_to_all()


@pytest.mark.parametrize("has_token", [True, False])
def test_a_cluster_is_shown_the_token_if_it_does_not_take_us_in_without(
    home: Path, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    modes: list[object] = []

    def init(**_: object) -> Context:
        modes.append(get_authentication_mode())
        if len(modes) == 1:
            raise ConnectionError("it wants a token")
        return Context()

    monkeypatch.setattr(cluster.ray, "init", init)
    if has_token:
        (home / ".ray").mkdir()
        (home / ".ray" / "auth_token").write_text("a" * 64, encoding="utf-8")
    refusal = pytest.raises(ResourceError, match="it wants a token; is it up, and is its token in")
    with nullcontext() if has_token else refusal, cluster.connected("10.0.0.1:6379"):
        assert not cluster.is_open_to_all()
    assert modes == [AuthenticationMode.DISABLED, AuthenticationMode.TOKEN][: 1 + has_token]
    assert get_authentication_mode() == AuthenticationMode.DISABLED


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "http://127.0.0.1:8265", "10.0.0.1", ":6379", "head:"])
def test_what_is_no_address_of_a_head_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    said = f"--address: must be auto or HOST:PORT of Ray's head, but got '{address}'"
    with pytest.raises(ResourceError, match=said), cluster.connected(address):
        pass


def test_a_head_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nothing listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = f"--address: a Ray head must listen at {address}, but got: .*refused; is it up"
        with pytest.raises(ResourceError, match=said), cluster.connected(address):
            pass


def test_nodes_are_not_waited_for_without_a_cluster_that_they_could_join(home: Path) -> None:
    said = "--nodes: 3 join a cluster, but there is no --address"
    with pytest.raises(ResourceError, match=said), cluster.connected(None, num_nodes=3):
        pass


def test_no_token_is_made_where_it_is_not_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cluster.connected("10.0.0.1:6379"):
        pass
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with cluster.connected(None):
        pass
    assert not (home / ".ray").exists()


def test_nobody_else_can_enter_the_folder_of_ray_s_sockets(tmp_path: Path) -> None:
    folder = cluster._own_folder(tmp_path).parent
    assert folder == cluster._own_folder(tmp_path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    cluster._own_folder(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to("/")
    with pytest.raises(ResourceError, match="must be a folder of yours, but is another's"):
        cluster._own_folder(tmp_path)


def test_nodes_that_do_not_join_are_told_by_those_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [{"Alive": True, "NodeManagerHostname": "n1"}, {"Alive": False}])
    monkeypatch.setattr(cluster, "_JOINING_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "_SECONDS_BETWEEN_LOOKS", 0.0)
    with cluster.connected(None, num_nodes=1):
        pass
    said = "--nodes: 2 must join the cluster, but after 0 min there are 1: n1"
    lines: list[str] = []
    with pytest.raises(ResourceError, match=said), cluster.connected(None, num_nodes=2, say=lines.append):
        pass
    assert lines == ["1 of 2 nodes have joined the cluster: n1"]
