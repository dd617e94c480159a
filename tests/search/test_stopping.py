from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mtsearch.search import stopping
from mtsearch.search.stopping import STOP_REQUEST, ask_to_stop, drop_request, is_asked_to_stop, stop_requests


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_SECONDS_BETWEEN_LOOKS", 0.01)


class Heard:
    """Keeps the reasons, and says when there is one."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.is_there = threading.Event()

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)
        self.is_there.set()


def test_a_request_is_taken_up_once_and_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    with stop_requests(tmp_path, heard):
        ask_to_stop(tmp_path)
        assert heard.is_there.wait(10)
        assert not is_asked_to_stop(tmp_path)
    (reason,) = heard.reasons
    assert reason.startswith("stopped by mtsearch stop on ")
    assert reason in capfd.readouterr().err


def test_a_file_made_by_hand_is_a_request_too(tmp_path: Path) -> None:
    heard = Heard()
    with stop_requests(tmp_path, heard):
        (tmp_path / STOP_REQUEST).touch()
        assert heard.is_there.wait(10)
    assert heard.reasons == [f"stopped by the file {STOP_REQUEST}"]


def test_a_request_that_a_driver_did_not_come_to_is_not_left_to_the_next(tmp_path: Path) -> None:
    ask_to_stop(tmp_path)
    drop_request(tmp_path)  # as every driver does first
    drop_request(tmp_path)
    heard = Heard()
    with stop_requests(tmp_path, heard):
        pass
    assert heard.reasons == []


def test_a_folder_that_is_out_of_reach_for_a_while_ends_nothing(tmp_path: Path) -> None:
    heard = Heard()
    folder, away = tmp_path / "run", tmp_path / "away"
    folder.mkdir()
    with stop_requests(folder, heard):
        folder.rename(away)
        threading.Event().wait(0.05)
        away.rename(folder)
        ask_to_stop(folder)
        assert heard.is_there.wait(10)
