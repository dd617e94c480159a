"""The report of a run that is still running, served on this machine and made anew as rows arrive."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from contextlib import suppress
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mtsearch_analysis.findings import find
from mtsearch_analysis.load import load_run
from mtsearch_analysis.page import run_page
from mtsearch_analysis.report_figures import run_figures
from mtsearch_analysis.tables import TABLES

__all__ = ["LiveServer"]

_SHARE_OF_TIME = 0.1  # that goes into making pages, at most
_WAITING = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">
<title>mtsearch</title></head>
<body><main><h1>Nothing to show yet</h1><p>{}</p><p>This page looks again every five seconds.</p></main>
<script>
const look = () => fetch("", {{ cache: "no-store" }}).then((answer) => answer.ok && location.reload(), () => {{}});
setInterval(look, 5000);
</script>
</body></html>
"""


class LiveServer:
    """Serves one run's page on the loopback interface, under an address that nobody else can guess.

    The page asks from time to time whether the tables have changed, and is loaded again where they have. It is made
    when it is asked for, and takes a tenth of one core's time at most.

    Args:
        folder: the run folder; its first table may be yet to come.
        port: to listen on; 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, folder: str | Path, port: int = 0) -> None:
        self._page = _LivePage(Path(folder))
        root = f"/{secrets.token_urlsafe(16)}/"
        page = self._page

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == root:
                    status, text = page.text()
                    self._answer(status, text, "text/html")
                elif self.path == f"{root}version":
                    self._answer(HTTPStatus.OK, page.version(), "text/plain")
                else:
                    self._answer(HTTPStatus.NOT_FOUND, "not found", "text/plain")

            def _answer(self, status: HTTPStatus, text: str, kind: str) -> None:
                body = text.encode()
                with suppress(ConnectionError):  # a tab may be closed before it has the page
                    self.send_response(status)
                    self.send_header("Content-Type", f"{kind}; charset=utf-8")
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("Cache-Control", "no-store")
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Requests are nobody's concern."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}{root}"

    def serve(self) -> None:
        """Answers until :meth:`close`, or an interrupt."""
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Ends :meth:`serve` in another thread, and gives the port back."""
        self._server.shutdown()
        self._server.server_close()


class _LivePage:
    """The page as it was last made, and whether it is time for another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._made_of = ""
        self._text = ""
        self._due = 0.0

    def version(self) -> str:
        """What the page would be made of now; that of the last one until it is time for another."""
        found = self._found()
        return self._made_of if self._text and time.monotonic() < self._due else found

    def text(self) -> tuple[HTTPStatus, str]:
        """The page, made anew if the tables have changed since; one that says so where they can't be read."""
        with self._lock:
            version = self.version()
            if version != self._made_of or not self._text:
                begun = time.monotonic()
                try:
                    findings = find(load_run(self._folder))
                except (OSError, ValueError) as error:
                    return HTTPStatus.SERVICE_UNAVAILABLE, _WAITING.format(escape(str(error)))
                self._text = run_page(findings, run_figures(findings), live_version=version)
                self._made_of = version
                ended = time.monotonic()
                self._due = ended + (ended - begun) / _SHARE_OF_TIME
            return HTTPStatus.OK, self._text

    def _found(self) -> str:
        """The tables' sizes and times, as one word."""
        known = hashlib.sha256()
        for table in TABLES:
            path = self._folder / table.file
            if path.exists():
                stat = path.stat()
                known.update(f"{table.file} {stat.st_mtime_ns} {stat.st_size}\n".encode())
        return known.hexdigest()[:16]
