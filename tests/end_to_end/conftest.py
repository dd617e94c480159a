"""The command line, called as a person calls it, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtsearch.cli import main


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]
WriteSpace = Callable[..., Path]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """``cli("check", "space.yaml")`` in a working folder of its own, without MTSEARCH_DATA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTSEARCH_DATA", raising=False)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["mtsearch", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def write_space(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> WriteSpace:
    """Write the tiny trial, with these sections changed, as a YAML file."""

    def write(name: str = "space.yaml", **sections: Any) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(tiny_config(**sections), sort_keys=False), encoding="utf-8")
        return path

    return write
