"""Weights & Biases itself, off line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("wandb", reason="the extra 'wandb' is not installed")

from mtsearch.config.trackers import Wandb
from mtsearch.search.events import EventLog
from mtsearch.search.trackers import Tracking
from tests.search.conftest import Story

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of its own libraries


def tell(folder: Path, story: Story) -> list[str]:
    """Have a driver of these events track them; gives the trials of the files for ``wandb sync``, sorted."""
    (folder / "events.jsonl").unlink(missing_ok=True)
    with EventLog(folder) as log:
        for event in story.events:
            log.append(event)
    with Tracking(folder, [Wandb(project="films")], pytest.fail):
        pass
    return sorted(path.name.split("-")[-1] for path in folder.glob("wandb/offline-run-*"))


def test_what_a_run_was_told_is_not_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    story = Story().begun().suggested(0).started(0).reported(0, 1, 0.5).stopped(0, "interrupted")
    assert tell(tmp_path, story) == ["t0000"]
    assert json.loads((tmp_path / "wandb/told.json").read_text()) == {"t0000": 10}
    story = story.begun()
    assert tell(tmp_path, story) == ["t0000"]  # nothing new
    story = story.started(0, attempt=2).reported(0, 2, 0.75).stopped(0, "completed")
    assert tell(tmp_path, story) == ["t0000", "t0000"]  # a second part of the same run
    assert json.loads((tmp_path / "wandb/told.json").read_text()) == {"t0000": -1}
    assert tell(tmp_path, story) == ["t0000", "t0000"]


def test_somebody_who_is_not_logged_in_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with EventLog(tmp_path) as log:
        log.append(Story().begun().events[0])
    said: list[str] = []
    with Tracking(tmp_path, [Wandb()], said.append):
        pass
    (line,) = said
    assert "nobody is logged in; run wandb login, or set WANDB_MODE=offline" in line
