from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtsearch.doctor import Finding
from mtsearch.doctor.folders import folder

Usage = namedtuple("Usage", "total used free")


def told(path: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in folder("runs", path)}


def test_a_good_folder_has_space_speed_and_locks_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    found = told(tmp_path)
    assert list(found) == ["runs, space", "runs, speed", "runs, locks"]
    assert found["runs, locks"].verdict == "ok"
    assert list(tmp_path.iterdir()) == []


def test_of_a_folder_that_is_not_there_yet_its_parent_is_looked_at(tmp_path: Path) -> None:
    assert str(tmp_path) in told(tmp_path / "runs" / "deep")["runs, space"].found
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    assert told(tmp_path / "runs")["runs"] == Finding(
        "runs", "failure", f"{tmp_path / 'runs'} is a file", "name a folder"
    )


def test_a_folder_that_cannot_be_written_is_a_failure() -> None:
    found = told(Path("/proc/self/task"))["runs"]
    assert found.verdict == "failure"
    assert found.found.startswith("/proc/self/task cannot be written: ")
    assert "--runs" in found.remedy


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "full"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_a_failure(full: Path) -> None:
    found = told(full)
    assert found["runs, space"].verdict == "failure"
    assert "0.0 GB" in found["runs, space"].found
    assert found["runs"].found == f"{full} cannot be written: No space left on device"
    assert found["runs"].remedy == "make room"


@pytest.mark.parametrize(("free", "verdict"), [(4e8, "failure"), (4e9, "warning"), (4e10, "ok")])
def test_little_space_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, verdict: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1e11, 0, free))
    assert told(tmp_path)["runs, space"].verdict == verdict


def test_a_file_system_without_locks_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = told(tmp_path)["runs, locks"]
    assert (found.verdict, found.found) == ("warning", "there are no file locks: No locks available")


def test_locks_that_keep_nobody_out_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda file, kind: None)
    assert told(tmp_path)["runs, locks"].found == "file locks are granted twice"
