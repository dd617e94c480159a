from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mtsearch import doctor
from mtsearch.cli import app
from mtsearch.doctor import Finding


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("warning", 0), ("failure", 1)])
def test_a_line_for_each_finding_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, verdict: doctor.Verdict, code: int
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *args: iter([Finding("torch", verdict, "there [it] is", "do this")]))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == code
    assert done.stdout == f"{verdict:<7} torch           there [it] is; do this\n"
