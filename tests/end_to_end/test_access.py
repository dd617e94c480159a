"""Who gets into the Ray of a search that runs: nobody without its token; see docs/SECURITY.md."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mtsearch.launching.files import launch_file
from mtsearch.search.events import Reported, RunStarted, read_events
from tests.end_to_end.faulty import PLUGIN, SEARCH, Search, in_session, write_space
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("access")]

PATHS = ("/api/jobs/", "/api/v0/actors", "/api/v0/tasks", "/api/v0/logs", "/nodes?view=summary", "/api/cluster_status")


@dataclass(frozen=True)
class Running:
    """A search that runs on a Ray of its own, by a user who had no token before."""

    dashboard: str
    gcs: str
    home: Path

    @property
    def token(self) -> str:
        return (self.home / ".ray" / "auth_token").read_text(encoding="utf-8")

    def ask(self, path: str, token: str | None = None, body: dict[str, Any] | None = None) -> int:
        """The status that the dashboard answers with."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.dashboard + path, data, {"Content-Type": "application/json"})
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code


@pytest.fixture(scope="module")
def running(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("access")
    home = place / "home"
    home.mkdir()
    (place / "faulty_plugin.py").write_text(PLUGIN, encoding="utf-8")
    config = tiny_config(plugins=[str(place / "faulty_plugin.py")])
    task = {"kind": "classification", "data": "sst5", "metrics": ["accuracy", "suffering"]}
    space = write_space(
        place / "space.yaml",
        config,
        tasks={"mood": task},
        training={**config["training"], "epochs": 1000},
        optimizer={"name": "adamw", "lr": {"choice": [1e-3, 2e-3]}},
        search={**SEARCH, "concurrency": 1, "scheduler": {"name": "asha", "grace": 1, "reduction_factor": 3}},
    )
    without_mode = ("env", "--unset=RAY_AUTH_MODE")  # as a person has it
    options = ("--data", tiny_data, "--runs", place / "runs")
    search = Search(
        "run", space, *options, faults=place, seconds=1, wrapper=without_mode, environment={"HOME": str(home)}
    )
    try:
        search.wait_for(place / "runs" / "tiny", lambda events: any(isinstance(event, Reported) for event in events))
        (begun,) = (event for event in read_events(place / "runs" / "tiny") if isinstance(event, RunStarted))
        assert begun.dashboard is not None
        assert begun.dashboard.startswith("http://127.0.0.1:")
        assert f"Ray's dashboard, while this runs: {begun.dashboard} (from elsewhere: ssh -N -L " in search.said
        yield Running(begun.dashboard, gcs_of(search), home)
        search.signal(signal.SIGTERM)
        assert search.wait() == 130, search.said
        assert search.left_behind() == []
    finally:
        search.end()


def gcs_of(search: Search) -> str:
    """The address of the search's Ray."""
    told = set()
    for process in in_session(search.process.pid):  # its raylet and what that has started, which comes and goes
        with suppress(OSError):
            arguments = Path(f"/proc/{process.split()[0]}/cmdline").read_text(encoding="utf-8").split("\0")
            told |= {each.partition("=")[2] for each in arguments if each.startswith("--gcs-address=")}
    (address,) = told
    return address


@pytest.mark.parametrize(("token", "refusal"), [(None, 401), ("0" * 64, 403)])
def test_without_the_token_nothing_is_told_and_no_job_is_taken(
    running: Running, token: str | None, refusal: int, tmp_path: Path
) -> None:
    assert {path: running.ask(path, token) for path in PATHS} == dict.fromkeys(PATHS, refusal)
    assert running.ask("/api/jobs/", token, {"entrypoint": f"touch {tmp_path}/code-was-run"}) == refusal
    time.sleep(2)
    assert not (tmp_path / "code-was-run").exists()


def test_with_the_token_it_is_told(running: Running) -> None:
    assert [running.ask(path, running.token) for path in ("/api/jobs/", "/api/v0/actors")] == [200, 200]


@pytest.fixture(scope="module")
def strangers(running: Running) -> dict[str, subprocess.CompletedProcess[str]]:
    """What came of each try to get in; Ray goes on with one for a while, so that all are made at once."""
    code = f"import ray; ray.init({running.gcs!r}, logging_level=50); print('in', ray.get(ray.put(1)), ray.nodes())"
    driver = [sys.executable, "-c", code]
    ray = str(Path(sys.executable).with_name("ray"))
    machine = [ray, "start", f"--address={running.gcs}", "--num-cpus=1", "--block"]
    guessed = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    tries = {
        "another token": (driver, guessed),
        "no token": (driver, {"RAY_AUTH_MODE": "disabled"}),
        "a machine": (machine, guessed),
    }

    def get_in(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)

    with ThreadPoolExecutor(len(tries)) as pool:
        return dict(zip(tries, pool.map(get_in, *zip(*tries.values(), strict=True)), strict=True))


@pytest.mark.parametrize("who", ["another token", "no token"])
def test_without_the_token_nobody_joins_the_cluster(
    strangers: dict[str, subprocess.CompletedProcess[str]], who: str
) -> None:
    done = strangers[who]
    assert done.returncode != 0
    assert "in 1" not in done.stdout
    assert "AuthenticationError" in done.stderr or "ConnectionError" in done.stderr, done.stderr


def test_without_the_token_no_machine_joins_the_cluster(
    strangers: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    done = strangers["a machine"]
    assert done.returncode != 0
    assert "uthenticat" in done.stdout + done.stderr, done.stderr


def test_nobody_else_on_this_machine_can_read_the_token_or_enter_ray_s_folder(running: Running) -> None:
    assert (running.home / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    assert list(Path(f"/tmp/mtsearch-{os.getuid()}/ray").glob("session_*/sockets/raylet"))
    assert Path(f"/tmp/mtsearch-{os.getuid()}").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def prometheus(running: Running, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus with the shipped config, but for the dashboard's port."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian's package prometheus)")
    text = launch_file("monitoring/prometheus.yml").read_text(encoding="utf-8")
    assert "http://127.0.0.1:8265/" in text
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("http://127.0.0.1:8265", running.dashboard), encoding="utf-8")
    shutil.copy(running.home / ".ray" / "auth_token", tmp_path)
    where = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'series'}"]
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen([*command, f"--web.listen-address={where}"], stdout=said, stderr=said)
        try:
            yield f"http://{where}"
        finally:
            process.terminate()
            process.wait(60)


def values(prometheus: str, expression: str) -> list[float]:
    """What a query gives."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}", timeout=60) as answer:
        return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]


def test_prometheus_sees_the_search_while_it_runs(prometheus: str) -> None:
    board = json.loads(launch_file("monitoring/grafana.json").read_text(encoding="utf-8"))
    asked = {target["expr"].replace("$run", "tiny") for panel in board["panels"] for target in panel["targets"]}
    ours = {expression for expression in asked if "ray_mtsearch_" in expression}
    missing, end = {*ours, "ray_node_cpu_utilization", "ray_node_mem_used"}, time.monotonic() + 600
    while missing:
        assert time.monotonic() < end, f"not seen: {missing}"
        time.sleep(2)
        try:
            missing = {expression for expression in missing if not values(prometheus, expression)}
        except OSError:
            continue  # it does not listen yet
    assert values(prometheus, 'ray_mtsearch_trials{run="tiny", status="running"}') == [1]
    (score,) = values(prometheus, 'ray_mtsearch_trial_score{run="tiny"}')
    assert 0 <= score <= 1
