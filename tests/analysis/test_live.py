from __future__ import annotations

import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mtsearch_analysis.live import LiveServer
from tests.analysis.run_folders import trial_row, write_tables


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path / "run")
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.close()
    thread.join()


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=300) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_page_is_renewed_when_rows_arrive(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtsearch_analysis.live._SHARE_OF_TIME", float("inf"))
    write_tables(tmp_path / "run", [trial_row(0, 0.125)], [])
    status, page = _get(server.url)
    assert status == 200
    assert "0.1250" in page
    version = _get(f"{server.url}version")[1]
    assert f'!== "{version}"' in page
    write_tables(tmp_path / "run", [trial_row(0, 0.125), trial_row(1, 0.875)], [])
    assert _get(f"{server.url}version")[1] != version
    assert "0.8750" in _get(server.url)[1]


def test_it_takes_no_more_than_its_share_of_the_time(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtsearch_analysis.live._SHARE_OF_TIME", 1e-6)
    write_tables(tmp_path / "run", [trial_row(0, 0.125)], [])
    page = _get(server.url)[1]
    version = _get(f"{server.url}version")[1]
    write_tables(tmp_path / "run", [trial_row(0, 0.875)], [])
    assert _get(f"{server.url}version")[1] == version  # it is too early for another
    assert _get(server.url)[1] == page


def test_before_the_first_table_it_waits(server: LiveServer) -> None:
    status, page = _get(server.url)
    assert status == 503
    assert "no such run folder" in page
    assert "looks again" in page
    assert "setInterval(look, 5000)" in page


def test_a_tab_that_is_closed_before_it_has_the_page_is_no_error(
    server: LiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path / "run", [trial_row(0, 0.125)], [])
    page = urlsplit(server.url)
    assert page.port is not None
    with socket.create_connection(("127.0.0.1", page.port)) as tab:
        tab.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
        tab.sendall(f"GET {page.path} HTTP/1.0\r\n\r\n".encode())
        tab.recv(1)
    assert _get(server.url)[0] == 200
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "process_request" in thread.name:
            thread.join()
    assert capsys.readouterr().err == ""


def test_nobody_else_can_guess_where_it_is(server: LiveServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    root = server.url.split("/", 3)[3]
    assert len(root) > 20
    assert _get(server.url.removesuffix(root))[0] == 404
    assert _get(f"{server.url}../../etc/passwd")[0] == 404
    assert _get(f"{server.url}trials.parquet")[0] == 404
