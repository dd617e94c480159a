"""Figures as files for papers: PNG, PDF and SVG, drawn by the browser that also draws the report's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import plotly.graph_objects as go

__all__ = ["save_figures"]

ImageFormat = Literal["png", "pdf", "svg"]

_EXTRA = "pip install 'mtsearch[figures]', which brings kaleido and uses the Chrome or Chromium that is there"


def save_figures(
    figures: Mapping[str, go.Figure],
    folder: str | Path,
    formats: Sequence[ImageFormat] = ("png", "pdf"),
    *,
    width_px: int = 720,
    scale: float = 3.0,
) -> list[Path]:
    """Writes each figure under its name in each format, on white, and returns the files.

    A browser is started once for all of them. It needs no network.

    Args:
        figures: by the names of their files, without a suffix.
        folder: where to; it is made.
        formats: of each figure.
        width_px: of every figure; the height is the figure's own.
        scale: a PNG's pixels for each of ``width_px``: 3 make 300 dots an inch of a figure 7.2 inches wide.

    Raises:
        ImportError: kaleido is not installed.
        OSError: there is no Chrome or Chromium, or the folder can't be written.
    """
    try:
        import kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError as error:
        raise ImportError(f"figures as files need kaleido; {_EXTRA}") from error
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    drawn = [(target / f"{name}.{suffix}", suffix, figure) for name, figure in figures.items() for suffix in formats]
    specs = [
        {
            "fig": go.Figure(figure).update_layout(paper_bgcolor="white", plot_bgcolor="white").to_plotly_json(),
            "path": path,
            "opts": {"format": suffix, "width": width_px, "height": figure.layout.height or 420, "scale": scale},
        }
        for path, suffix, figure in drawn
    ]
    try:
        kaleido.write_fig_from_object_sync(specs, kopts={"mathjax": False})  # it would be fetched from the network
    except ChromeNotFoundError as error:
        raise FileNotFoundError(
            "figures as files need Chrome or Chromium, and none was found; install one, or name it in BROWSER_PATH"
        ) from error
    return [path for path, _, _ in drawn]
