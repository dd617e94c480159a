"""docs/GALLERY.md has every figure, and the lines beside each are those that drew it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import plotly.graph_objects as go
import pytest

import mtsearch_analysis

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = module  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "GALLERY.md").read_text(encoding="utf-8")


def test_every_figure_is_in_it(page: str) -> None:
    figures = [name for name in mtsearch_analysis.__all__ if name.endswith("_figure")]
    assert [name for name in figures if f"mta.{name}(" not in page] == []


def test_it_shows_the_lines_that_drew_it(gallery: ModuleType, page: str) -> None:
    entries = [entry for section in gallery.SECTIONS.values() for entry in section]
    assert [entry.name for entry in entries if f"```python\n{entry.lines}\n```" not in page] == []
    assert len({entry.name for entry in entries}) == len(entries)


def test_its_images_are_there_and_no_others_and_small(page: str) -> None:
    shown = set(re.findall(r"\(gallery/(.+?)\)", page))
    images = {path.name: path.stat().st_size for path in (DOCS / "gallery").iterdir()}
    assert shown == set(images)
    assert max(images.values()) < 150_000


def test_the_figures_of_studies_are_drawn_from_tables_in_the_documented_schema(
    gallery: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made-up").mkdir()
    gallery.write_made_up_tables(tmp_path / "made-up")
    monkeypatch.chdir(tmp_path)
    for entry in [*gallery.SECTIONS["Probes"], *gallery.SECTIONS["Transfer"]]:
        figure = gallery.evaluated(entry.lines)
        assert isinstance(figure, go.Figure)
        assert figure.data, entry.name
        assert entry.data == gallery.MADE_UP
