from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from mtsearch.search.journal import JournalFile


def test_a_disk_that_takes_half_a_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = JournalFile(path)
    try:
        journal.append_logs([{"op_code": 0}])
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            journal.append_logs([{"op_code": 1}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        journal.close()
    assert json.loads(path.read_text().splitlines()[0]) == {"op_code": 0}
