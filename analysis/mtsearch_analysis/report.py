"""The report of a run, or of several side by side: a page, Markdown or LaTeX, and its figures as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from mtsearch_analysis.documents import as_latex, as_markdown, comparison_document, run_document
from mtsearch_analysis.findings import find
from mtsearch_analysis.images import save_figures
from mtsearch_analysis.load import Run, Runs
from mtsearch_analysis.page import comparison_page, run_page
from mtsearch_analysis.report_figures import ReportFigure, comparison_figures, run_figures

__all__ = ["ReportFormat", "write_report"]

ReportFormat = Literal["html", "md", "latex"]

_SUFFIXES: Mapping[ReportFormat, str] = {"html": ".html", "md": ".md", "latex": ".tex"}


def write_report(
    run: Run | Runs,
    out: str | Path | None = None,
    format: ReportFormat = "html",
    figures: str | Path | None = None,
) -> Path:
    """Writes the report of a run, or of several side by side, as one file and returns its path.

    The HTML page holds its figures and the code that draws them, works offline, and reads without JavaScript up to the
    figures. Markdown and LaTeX hold the words and the tables, and show the figures' files if these are written. The
    file is replaced in one step, so that nobody sees half of it.

    Args:
        run: the run or runs, finished or not; several need the same main metric.
        out: the file to write; None for ``report/index.html`` in the run folder, or ``comparison.html`` beside the
            first of several; with the suffix of the format.
        format: ``html``, ``md``, or ``latex``, which is to be put into another file by ``\\input``.
        figures: a folder into which every figure is written as PNG and PDF; None for no such files.

    Raises:
        ImportError: figures are asked for, and kaleido is not installed.
        OSError: a file can't be written, or there is no browser to draw the figures' files with.
        ValueError: the runs have different main metrics, or the run's folder ``report`` is a link out of it.
    """
    if isinstance(run, Runs) and len(run) == 1:
        run = next(iter(run))
    target = Path(out) if out is not None else _default_path(run, format)
    findings = run if isinstance(run, Runs) else find(run)
    drawn: Mapping[str, Sequence[ReportFigure]] = {}
    if format == "html" or figures is not None:
        drawn = comparison_figures(findings) if isinstance(findings, Runs) else run_figures(findings)
    files = _written(drawn, Path(figures)) if figures is not None else {}
    if format == "html":
        text = comparison_page(findings, drawn) if isinstance(findings, Runs) else run_page(findings, drawn)
    else:
        document = comparison_document(findings) if isinstance(findings, Runs) else run_document(findings)
        links = [(caption, os.path.relpath(path, target.parent)) for caption, path in files.items()]
        text = as_markdown(document, links) if format == "md" else as_latex(document, links)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    with partial.open("x", encoding="utf-8") as file:
        file.write(text)
    partial.replace(target)
    return target


def _default_path(run: Run | Runs, format: ReportFormat) -> Path:
    if isinstance(run, Runs):
        return next(iter(run)).path.parent / f"comparison{_SUFFIXES[format]}"
    folder = run.path / "report"
    if not folder.resolve().is_relative_to(run.path.resolve()):  # another person's run folder would have us write there
        raise ValueError(
            f"{folder}: must be in the run folder, but is a link that leads out of it; name a file to write"
        )
    return folder / f"index{_SUFFIXES[format]}"


def _written(drawn: Mapping[str, Sequence[ReportFigure]], folder: Path) -> dict[str, Path]:
    """The figures' files without their suffixes, by caption."""
    figures = [figure for section in drawn.values() for figure in section]
    save_figures({figure.id: figure.figure for figure in figures}, folder)
    return {figure.caption: folder / figure.id for figure in figures}
