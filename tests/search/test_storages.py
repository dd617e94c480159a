"""Whole searches, without Ray, whose study is shown elsewhere and whose run folder is copied."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from mtsearch.config.load import load_space
from mtsearch.search.events import Event, Reported, Warned, read_events
from mtsearch.search.state import RunState
from mtsearch.search.tuner import Outcome, run_search
from tests.ports import free_port
from tests.search.postgresql import PostgreSQL

Run = Callable[..., Outcome]

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path) -> Run:
    def search(settings: dict[str, Any], observer: Any = None, trials: int = 2) -> Outcome:
        config = tiny_config(
            training={"epochs": 2},
            tasks={"sentiment": {"kind": "classification", "data": "sst5"}},
            optimizer={"name": "adamw", "lr": {"loguniform": [1e-4, 1e-2]}},
            search={"trials": trials, "scheduler": {"name": "none"}, "keep": {"best": 1}, **settings},
        )
        return run_search(
            load_space(config), tmp_path / "runs" / "one", data_root=tiny_data, observer=observer, in_process=True
        )

    return search


class Saboteur:
    """Calls these at the reports, one after the other."""

    def __init__(self, *then: Callable[[], None]) -> None:
        self._then = list(then)

    def on_event(self, event: Event, state: RunState) -> None:
        if isinstance(event, Reported) and self._then:
            self._then.pop(0)()


def studies(url: str, journal: Path) -> tuple[list[Any], list[Any]]:
    """The trials of the database, and of the journal."""

    def trials(storage: RDBStorage | JournalStorage) -> list[Any]:
        (study,) = storage.get_all_studies()
        return [
            (t.number, t.state, t.values, t.params, t.intermediate_values, t.user_attrs)
            for t in storage.get_all_trials(study._study_id)
        ]

    database = RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    found = trials(database), trials(JournalStorage(JournalFileBackend(str(journal))))
    database.remove_session()
    database.engine.dispose()
    return found


def test_a_search_shows_its_study_and_copies_its_folder(run: Run, tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/dev/shm") as memory:
        url = f"sqlite:///{memory}/study.db"
        outcome = run({"storage": url, "copy_to": (tmp_path / "there").as_uri()})
        there, ours = studies(url, outcome.folder / "study.journal")
    assert there == ours
    assert len(there) == 2
    copy = tmp_path / "there" / "one"
    trials = pd.read_parquet(copy / "trials.parquet")
    assert trials["status"].tolist() == ["completed", "completed"]
    assert (copy / "events.jsonl").read_bytes() == (outcome.folder / "events.jsonl").read_bytes()
    kept = set(trials["checkpoint"].dropna())
    assert all((copy / checkpoint / "model.safetensors").is_file() for checkpoint in kept)
    weights = {path.relative_to(copy) for path in copy.rglob("*.safetensors")}
    assert weights == {path.relative_to(outcome.folder) for path in outcome.folder.rglob("*.safetensors")}


def test_a_search_survives_a_postgresql_that_goes_down_and_comes_back(run: Run) -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
    server = PostgreSQL()
    try:
        server.start()
        outcome = run({"storage": server.url}, Saboteur(server.stop), trials=2)
        assert outcome.counts == {"completed": 2}
        told = [event.text for event in read_events(outcome.folder) if isinstance(event, Warned)]
        assert [text for text in told if "does not answer" in text] == told[:1]
        assert "not reached the study" in told[-1]
        for path in outcome.folder.glob("*.*"):
            assert server.secret.encode() not in path.read_bytes(), path
        server.start()
        outcome = run({"storage": server.url, "trials": 3})
        there, ours = studies(server.url, outcome.folder / "study.journal")
        assert there == ours
        assert len(there) == 3
    finally:
        server.remove()


def test_optuna_dashboard_opens_the_journal(run: Run) -> None:
    program = shutil.which(
        "optuna-dashboard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if program is None:
        pytest.skip("optuna-dashboard is not installed (the extra 'test' has it)")
    outcome = run({})
    port = free_port()
    server = subprocess.Popen(
        [program, str(outcome.folder / "study.journal"), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        (study,) = asked(port, "/api/studies")["study_summaries"]
        assert study["directions"] == ["maximize"]
        details = asked(port, f"/api/studies/{study['study_id']}")
    finally:
        server.terminate()
        server.wait()
    scores = pd.read_parquet(outcome.folder / "trials.parquet")["score"].tolist()
    assert [trial["state"] for trial in details["trials"]] == ["Complete", "Complete"]
    assert [trial["values"] for trial in details["trials"]] == [[score] for score in scores]
    assert [trial["params"][0]["name"] for trial in details["trials"]] == ["optimizer.lr", "optimizer.lr"]


def asked(port: int, path: str) -> Any:
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return json.load(answer)
        except OSError:  # it has not begun to listen
            assert time.monotonic() < deadline
            time.sleep(0.1)
