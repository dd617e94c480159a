from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector, FileSystem, FileType

from mtsearch.search.copies import Copies, copy_report
from mtsearch_analysis.tables import TRIALS
from tests.ports import free_port


class Run:
    """A run folder that changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.statuses: dict[str, str] = {}
        self.write("space.yaml", "name: x\n")
        self.write("events.jsonl", "{}\n")
        self.write(".ray/scratch", "no")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def trial(self, trial_id: str, status: str) -> None:
        """With a checkpoint."""
        self.statuses[trial_id] = status
        self.write(f"trials/{trial_id}/config.yaml", "training: {}\n")
        self.write(f"trials/{trial_id}/log.txt", "no")
        self.write(f"{self.checkpoint(trial_id)}/model.safetensors", f"weights of {trial_id}")
        table = pa.table({"trial_id": [*self.statuses], "status": [*self.statuses.values()]})
        pq.write_table(table, self.folder / ".tmp")
        os.replace(self.folder / ".tmp", self.folder / TRIALS.file)

    def checkpoint(self, trial_id: str) -> str:
        return f"trials/{trial_id}/attempt-1/checkpoints/evaluation-0001"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "runs" / "baseline")


@pytest.fixture
def copies(run: Run) -> Iterator[Callable[..., Copies]]:
    opened: list[Copies] = []

    def begin(url: str, told: list[str] | None = None) -> Copies:
        one = Copies(run.folder, url, [].append if told is None else told.append, seconds_between=0.05)
        opened.append(one)
        return one

    yield begin
    for one in opened:
        one.close()


def listed(url: str) -> dict[str, bytes]:
    """What there is, by its name under the run's."""
    filesystem, path = FileSystem.from_uri(url)
    found = filesystem.get_file_info(FileSelector(f"{path}/baseline", recursive=True, allow_not_found=True))
    names = [info.path for info in found if info.type == FileType.File and not info.base_name.startswith(".")]
    return {name.partition("/baseline/")[2]: filesystem.open_input_stream(name).read() for name in names}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


KEPT = "trials/t0000/attempt-1/checkpoints/evaluation-0001/model.safetensors"


def follows_the_run(run: Run, copies: Callable[..., Copies], url: str) -> None:
    told: list[str] = []
    kept = copies(url, told)
    run.trial("t0000", "completed")
    run.trial("t0001", "running")
    wait_for(lambda: KEPT in listed(url))
    run.write("events.jsonl", "{}\n{}\n")
    wait_for(lambda: listed(url).get("events.jsonl") == b"{}\n{}\n")
    shutil.rmtree(run.folder / run.checkpoint("t0000"))  # another is better
    run.trial("t0001", "completed")
    run.write("report/figures/curve.html", "<svg>")
    kept.close()
    there = listed(url)
    assert sorted(there) == [
        "events.jsonl",
        "report/figures/curve.html",
        "space.yaml",
        "trials.parquet",
        "trials/t0000/config.yaml",
        "trials/t0001/attempt-1/checkpoints/evaluation-0001/model.safetensors",
        "trials/t0001/config.yaml",
    ]
    assert there["trials.parquet"] == (run.folder / "trials.parquet").read_bytes()
    assert told == []


def test_copies_in_a_folder_follow_the_run(run: Run, copies: Callable[..., Copies], tmp_path: Path) -> None:
    follows_the_run(run, copies, (tmp_path / "there").as_uri())


def test_weights_are_not_copied_while_their_trial_may_go_on(
    run: Run, copies: Callable[..., Copies], tmp_path: Path
) -> None:
    for number, status in enumerate(["running", "interrupted", "pruned"]):
        run.trial(f"t{number:04d}", status)
    url = (tmp_path / "there").as_uri()
    copies(url).close()
    assert [name for name in listed(url) if name.endswith("safetensors")] == [
        "trials/t0002/attempt-1/checkpoints/evaluation-0001/model.safetensors"
    ]


def test_the_next_driver_copies_no_weights_again_and_removes_those_that_are_gone(
    run: Run, copies: Callable[..., Copies], tmp_path: Path
) -> None:
    for number in range(2):
        run.trial(f"t{number:04d}", "completed")
    url = (tmp_path / "there").as_uri()
    copies(url).close()
    place = tmp_path / "there" / "baseline"
    os.utime(place / KEPT, (1, 1))
    run.write("space.yaml", "name: y\n")
    shutil.rmtree(run.folder / run.checkpoint("t0001"))
    copies(url).close()
    assert (place / KEPT).stat().st_mtime == 1
    assert (place / "space.yaml").read_text() == "name: y\n"
    assert not (place / run.checkpoint("t0001") / "model.safetensors").exists()


def test_a_store_that_takes_no_copies_is_told_of_once_and_tried_again(
    run: Run, copies: Callable[..., Copies], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtsearch.search.copies._SECONDS_AFTER_FAILURE", 0.05)
    blocked = tmp_path / "there"
    blocked.write_text("a file where a folder must be")
    told: list[str] = []
    kept = copies(blocked.as_uri(), told)
    wait_for(lambda: bool(told))
    time.sleep(0.3)  # several tries
    assert len(told) == 1
    assert told[0].startswith(f"search.copy_to: {blocked.as_uri()}/baseline must take copies, but got ")
    blocked.unlink()
    wait_for(lambda: len(told) == 2)
    kept.close()
    assert told[1] == f"search.copy_to: {blocked.as_uri()}/baseline takes copies again"
    assert sorted(listed(blocked.as_uri())) == ["events.jsonl", "space.yaml"]


def test_what_was_not_copied_is_said_at_the_end(run: Run, copies: Callable[..., Copies], tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file where a folder must be")
    told: list[str] = []
    copies((tmp_path / "there").as_uri(), told).close()
    assert told[-1].endswith("/there/baseline: space.yaml, events.jsonl")
    assert told[-1].startswith("not copied to file://")


def test_the_report_that_comes_last_is_copied_by_itself(run: Run, tmp_path: Path) -> None:
    run.write("report/index.html", "<html>")
    url = (tmp_path / "there").as_uri()
    assert copy_report(run.folder, url) == f"{url}/baseline"
    assert listed(url) == {"report/index.html": b"<html>"}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket of an S3 server of the test's own."""
    server = shutil.which("moto_server", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if server is None:
        pytest.skip("moto's S3 server is not installed (the extra 'test' has it)")
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    port = free_port()
    process = subprocess.Popen(
        [server, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _listens(port))
        query = f"?endpoint_override=127.0.0.1:{port}&scheme=http"
        FileSystem.from_uri(f"s3://bucket{query}&allow_bucket_creation=true")[0].create_dir("bucket")
        yield f"s3://bucket/prefix{query}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_copies_in_an_s3_bucket_follow_the_run(run: Run, copies: Callable[..., Copies], s3: str) -> None:
    follows_the_run(run, copies, s3)
