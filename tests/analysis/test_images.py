from __future__ import annotations

import shutil
import sys
from pathlib import Path

import plotly.graph_objects as go
import pytest

from mtsearch_analysis.images import save_figures


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "google-chrome", "chrome"))), reason="there is no Chrome or Chromium"
)
def test_each_figure_becomes_a_file_in_each_format(tmp_path: Path) -> None:
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4])).update_layout(height=300)
    paths = save_figures({"a": figure, "b": figure}, tmp_path / "figures", ("png", "pdf"), width_px=400, scale=2)
    assert [path.name for path in paths] == ["a.png", "a.pdf", "b.png", "b.pdf"]
    png = paths[0].read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (800, 600)
    assert paths[1].read_bytes()[:4] == b"%PDF"


def test_without_kaleido_the_remedy_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(ImportError, match=r"need kaleido; pip install 'mtsearch\[figures\]'") as caught:
        save_figures({"a": go.Figure()}, tmp_path)
    assert "\n" not in str(caught.value)
