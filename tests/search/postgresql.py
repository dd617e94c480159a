"""A PostgreSQL server of a test's own, which can be stopped and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.ports import free_port

_PASSWORD = "correct horse"


class PostgreSQL:
    """A server on a loopback port, run by an unprivileged user; it refuses to be run by root."""

    def __init__(self) -> None:
        self._binaries = _binaries()
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._as = {"user": user.pw_uid, "group": user.pw_gid} if os.geteuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own folders are closed to other users
        password = self.folder / "password"
        password.write_text(_PASSWORD)
        for path in (self.folder, password):
            os.chown(path, user.pw_uid, user.pw_gid)
        self.port = free_port()  # kept over its restarts
        self._data = self.folder / "data"
        self._run(
            "initdb", "-D", str(self._data), "-U", "mtsearch", "-A", "scram-sha-256", "--no-sync",
            f"--pwfile={password}",
        )  # fmt: skip
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For Optuna, with the password."""
        return f"postgresql://mtsearch:{_PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    @property
    def secret(self) -> str:
        """What must not be shown."""
        return _PASSWORD.split()[0]

    def start(self) -> None:
        """Returns when it takes connections."""
        command = ["-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-F"]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", *command], stdout=log, stderr=log, cwd=self.folder, **self._as
            )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            ready = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """At once, as a crash does, connections and all."""
        if self._server is not None:
            self._server.send_signal(3)  # SIGQUIT: immediate shutdown
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._binaries / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, **self._as)
        assert done.returncode == 0, done.stderr


def _binaries() -> Path:
    """The folder of Debian's newest, or of whatever PATH has; skips where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = [*debian[-1:], *(Path(path) for path in [shutil.which("initdb")] if path)]
    if not found:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    return found[0].parent
