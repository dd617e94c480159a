from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch_analysis.load import Run, load_run
from tests.analysis.run_folders import write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of 40 trials; tests only read it."""
    return load_run(write_run(tmp_path_factory.mktemp("runs") / "baseline"))


@pytest.fixture
def running_run(tmp_path: Path) -> Run:
    """A run of 12 trials, of which the last two are under way."""
    return load_run(write_run(tmp_path / "running", num_trials=12, running=True))
