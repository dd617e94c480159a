from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.documents import Document, Section, TextTable, as_latex, as_markdown
from mtsearch_analysis.load import Run, load_runs
from mtsearch_analysis.report import write_report
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import metric_row, trial_row, write_run, write_tables

DOCUMENT = Document(
    "a_b & c",
    [
        Section("One", ["50% of *all* | τ ± 1"], ["first", "second"]),
        Section("Two", tables=[TextTable("Scores.", ["trial", "x_y"], [["t0000", "0.5"]], [False, True])]),
    ],
)


def test_markdown_has_headings_points_and_tables_with_its_own_marks_escaped() -> None:
    assert as_markdown(DOCUMENT, [("A curve.", "my figures/curves")]) == (
        "# a\\_b & c\n\n## One\n\n50% of \\*all\\* \\| τ ± 1\n\n- first\n- second\n\n## Two\n\nScores.\n\n"
        "| trial | x\\_y |\n|---|---:|\n| t0000 | 0.5 |\n\n"
        "## Figures\n\n![A curve.](my%20figures/curves.png)\n\n*A curve.*\n"
    )


def test_latex_has_sections_items_and_booktabs_with_its_own_marks_escaped() -> None:
    text = as_latex(DOCUMENT, [("A curve.", "figures/curves")])
    assert r"\section{a\_\allowbreak{}b \& c}" in text
    assert r"50\% of *all* \textbar{} $\tau$ $\pm$ 1" in text
    assert "\\begin{itemize}\n  \\item first\n  \\item second\n\\end{itemize}" in text
    assert "  \\begin{tabular}{lr}\n    \\toprule\n    trial & x\\_\\allowbreak{}y \\\\\n    \\midrule\n" in text
    assert "\\midrule\n    t0000 & 0.5 \\\\\n    \\bottomrule" in text
    assert r"\includegraphics[width=\linewidth]{figures/curves.pdf}" in text
    assert text.count(r"\begin") == text.count(r"\end{")


def test_a_table_wider_than_the_page_has_headings_of_lines_and_is_shrunk() -> None:
    headings = ["trial", *(f"tasks.number_{i}.head.hidden_size" for i in range(12))]
    rows = [["t0000", *(["0.5"] * 12)]]
    table = TextTable("Wide.", headings, rows, [False] + [True] * 12)
    text = as_latex(Document("wide", [Section("One", tables=[table])]))
    assert r"trial & \shortstack[r]{tasks.\\number\_\allowbreak{}0.\\head.\\hidden\_\allowbreak{}size} &" in text
    assert text.count(r"\resizebox{\linewidth}{!}{%") == 1
    assert "\\end{tabular}}\n\\end{table}" in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX")
def test_latex_sets_a_report_within_its_page(finished_run: Run, tmp_path: Path) -> None:
    write_report(finished_run, tmp_path / "report.tex", "latex")
    marks = Section("Marks", ["\\ ~ ^ τ ± − – | < > Δ ↑ ↓ ⌈ ⌉ & % $ # _ { } \" '"])
    (tmp_path / "marks.tex").write_text(as_latex(Document("marks", [marks])), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{report}\input{marks}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert told.returncode == 0, told.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert "Missing character" not in log
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(too_wide, default=0.0) < 20, log


@pytest.mark.parametrize(("format", "suffix"), [("md", ".md"), ("latex", ".tex")])
def test_a_report_in_words_names_the_winner_and_lists_the_best(
    finished_run: Run, tmp_path: Path, format: object, suffix: str
) -> None:
    path = write_report(finished_run, tmp_path / f"r{suffix}", format)  # type: ignore[arg-type]
    text = path.read_text(encoding="utf-8")
    for row in best_trials(finished_run, n=10).to_dict("records"):
        assert row["trial_id"] in text
        assert f"{row['score']:.4f}" in text
    assert "The best trial is" in text
    assert "What to try next" in text
    assert "Which settings mattered" in text


def test_its_place_is_the_report_folder_of_the_run(tmp_path: Path) -> None:
    run = load_runs([write_tables(tmp_path / "a", [trial_row(0, 0.5)], [])])
    assert write_report(run, format="md") == tmp_path / "a" / "report" / "index.md"
    assert write_report(run, format="latex") == tmp_path / "a" / "report" / "index.tex"


def test_several_runs_are_compared_beside_the_first(tmp_path: Path) -> None:
    folders = [
        write_tables(
            tmp_path / name,
            [trial_row(0, value, started_at=None, **{"config/lr": value, "config/name": name})],
            [metric_row("t0000", 1, value)],
        )
        for name, value in (("a", 0.25), ("b", 0.75))
    ]
    runs = load_runs(folders)
    text = write_report(runs, format="md").read_text(encoding="utf-8")
    assert "The best trial is b's t0000 with 0.7500, 0.5000 better than the best of a." in text
    page = write_report(runs)
    assert page == tmp_path / "comparison.html"
    html = page.read_text(encoding="utf-8")
    assert '<th scope="row">lr</th><td>0.25</td><td>0.75</td>' in html
    assert '<th scope="row">name</th>' not in html


def test_runs_for_different_metrics_are_not_compared(tmp_path: Path) -> None:
    folders = [
        write_tables(tmp_path / metric, [trial_row(0, 0.5)], [], Objective(metric)) for metric in ("a.f1", "b.f1")
    ]
    with pytest.raises(ValueError, match="same metric"):
        write_report(load_runs(folders))


def test_a_search_that_has_just_begun_has_a_report_in_words(tmp_path: Path) -> None:
    run = load_runs([write_tables(tmp_path / "a", [trial_row(0, status="running")], [])])
    assert "No trial has reported a score." in write_report(run, format="md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_figures_are_written_beside_and_shown(tmp_path: Path) -> None:
    run = load_runs([write_run(tmp_path / "run", num_trials=20)])
    path = write_report(run, tmp_path / "r.md", "md", tmp_path / "figures")
    shown = [line.split("](")[1][:-1] for line in path.read_text(encoding="utf-8").splitlines() if line[:2] == "!["]
    assert "figures/curves.png" in shown
    assert all((tmp_path / name).stat().st_size > 1000 for name in shown)
    assert all((tmp_path / name).with_suffix(".pdf").read_bytes()[:4] == b"%PDF" for name in shown)
