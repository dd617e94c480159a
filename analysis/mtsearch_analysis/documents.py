"""Reports in words and tables: Markdown, and LaTeX for papers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from mtsearch_analysis import wording
from mtsearch_analysis.best import best_trials, task_table
from mtsearch_analysis.comparison import run_table
from mtsearch_analysis.findings import Findings
from mtsearch_analysis.load import Run, Runs
from mtsearch_analysis.pareto import pareto_front
from mtsearch_analysis.replication import replication_table, replication_verdict
from mtsearch_analysis.settings import searched_columns
from mtsearch_analysis.summary import summarise, summarise_runs

__all__ = ["Document", "Section", "TextTable", "as_latex", "as_markdown", "comparison_document", "run_document"]

_MOST_TRIALS = 10
_PAGE_WIDTH = 75  # characters in a line of LaTeX's article


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Args:
        caption: what it shows.
        headings: of its columns.
        rows: each with a text for each column.
        are_numbers: which columns are set to the right.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    are_numbers: Sequence[bool]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it: paragraphs, then points, then tables."""

    heading: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    tables: Sequence[TextTable] = field(default=())


@dataclass(frozen=True)
class Document:
    """A title, and sections."""

    title: str
    sections: Sequence[Section]


def run_document(findings: Findings) -> Document:
    """One run's report."""
    run = findings.run
    sections = [Section("Summary", [" ".join(findings.summary)])]
    if findings.advice:
        sections.append(Section("What to try next", points=findings.advice))
    if not best_trials(run, n=1).empty:
        tables = [_best_table(run)]
        if len(task_table(run)):
            tables.append(_task_table(run))
        sections.append(Section("Best trials", tables=tables))
    if run.objective.others:
        sections.append(Section("Pareto front", tables=[_front_table(run)]))
    if len(run.replications):
        sections.append(
            Section("With other seeds", [" ".join(replication_verdict(run))], tables=[_replication_table(run)])
        )
    if not findings.early_order.empty:
        paragraphs = [findings.early_verdict] if findings.early_verdict else []
        sections.append(Section("Stopping early", paragraphs, tables=[_early_table(findings.early_order)]))
    if not findings.importance.empty:
        sections.append(Section("Which settings mattered", tables=[_importance_table(findings.importance)]))
    elif findings.importance_note:
        sections.append(Section("Which settings mattered", [findings.importance_note]))
    return Document(run.name, sections)


def comparison_document(runs: Runs) -> Document:
    """The report of several runs."""
    rows = [
        (
            row["run"],
            wording.score(row["score"]),
            wording.setting(row["best_trial"]),
            f"{row['trials']:,}",
            wording.duration(row["seconds"]),
            wording.large(float(row["examples_seen"])),
        )
        for row in run_table(runs).to_dict("records")
    ]
    headings = ("run", f"best {next(iter(runs)).main_metric}", "best trial", "trials", "time", "examples")
    table = TextTable("The runs.", headings, rows, (False, True, False, True, True, True))
    return Document(
        wording.listing(list(runs.by_name)),
        [
            Section("Summary", [" ".join(summarise_runs(runs))], tables=[table]),
            *(
                Section(name, [" ".join(summarise(run))], tables=[_best_table(run)] if len(best_trials(run)) else [])
                for name, run in runs.by_name.items()
            ),
        ],
    )


def as_markdown(document: Document, figures: Sequence[tuple[str, str]] = ()) -> str:
    """The document in Markdown, with GitHub's tables.

    Args:
        document: the document.
        figures: (caption, path without a suffix as it is to be written) of images to show at its end.
    """
    lines = [f"# {_md(document.title)}", ""]
    for section in document.sections:
        lines += [f"## {_md(section.heading)}", ""]
        for paragraph in section.paragraphs:
            lines += [_md(paragraph), ""]
        if section.points:
            lines += [*(f"- {_md(point)}" for point in section.points), ""]
        for table in section.tables:
            lines += [_md(table.caption), "", _md_row(table.headings)]
            lines.append("|" + "|".join("---:" if is_number else "---" for is_number in table.are_numbers) + "|")
            lines += [*map(_md_row, table.rows), ""]
    if figures:
        lines += ["## Figures", ""]
        for caption, path in figures:
            lines += [f"![{_md(caption)}]({path.replace(' ', '%20')}.png)", "", f"*{_md(caption)}*", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def as_latex(document: Document, figures: Sequence[tuple[str, str]] = ()) -> str:
    """The document as LaTeX to ``\\input``; it needs the packages booktabs and graphicx.

    Args:
        document: the document.
        figures: as for :func:`as_markdown`.
    """
    lines = ["% \\usepackage{booktabs,graphicx}", f"\\section{{{_tex(document.title)}}}", ""]
    for section in document.sections:
        lines += [f"\\subsection{{{_tex(section.heading)}}}", ""]
        for paragraph in section.paragraphs:
            lines += [_tex(paragraph), ""]
        if section.points:
            items = [f"  \\item {_tex(point)}" for point in section.points]
            lines += ["\\begin{itemize}", *items, "\\end{itemize}", ""]
        for table in section.tables:
            lines += [*_latex_table(table), ""]
    for caption, path in figures:
        lines += [
            "\\begin{figure}[htbp]",
            "  \\centering",
            f"  \\includegraphics[width=\\linewidth]{{{path}.pdf}}",
            f"  \\caption{{{_tex(caption)}}}",
            "\\end{figure}",
            "",
        ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _latex_table(table: TextTable) -> list[str]:
    """A float; what is wider than the page has headings of several lines, and is shrunk to it if need be."""
    places = ["r" if is_number else "l" for is_number in table.are_numbers]
    headings = [[heading] for heading in table.headings]
    if _width(headings, table.rows) > _PAGE_WIDTH:
        headings = [heading.replace(".", ". ").split() for heading in table.headings]
    is_too_wide = _width(headings, table.rows) > _PAGE_WIDTH
    head = [_stacked(lines, place) for lines, place in zip(headings, places, strict=True)]
    rows = [" & ".join(cells) + r" \\" for cells in (head, *(map(_tex, row) for row in table.rows))]
    return [
        "\\begin{table}[htbp]",
        "  \\centering",
        f"  \\caption{{{_tex(table.caption)}}}",
        *(["  \\resizebox{\\linewidth}{!}{%"] if is_too_wide else []),
        f"  \\begin{{tabular}}{{{''.join(places)}}}",
        "    \\toprule",
        f"    {rows[0]}",
        "    \\midrule",
        *(f"    {row}" for row in rows[1:]),
        "    \\bottomrule",
        "  \\end{tabular}" + ("}" if is_too_wide else ""),
        "\\end{table}",
    ]


def _stacked(lines: Sequence[str], place: str) -> str:
    text = r"\\".join(map(_tex, lines))
    return text if len(lines) == 1 else f"\\shortstack[{place}]{{{text}}}"


def _width(headings: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> int:
    """Of a table in characters, and two between columns."""
    columns = [[*heading, *(row[i] for row in rows)] for i, heading in enumerate(headings)]
    return sum(2 + max(map(len, texts)) for texts in columns)


def _best_table(run: Run) -> TextTable:
    settings = searched_columns(run)
    tasks = [name for name in run.task_metrics if name != run.main_metric]
    is_bound = bool(run.trials["is_admissible"].notna().any())
    numeric = [pd.api.types.is_numeric_dtype(run.trials[column]) for column in settings]
    rows = [
        (
            row["trial_id"],
            wording.score(row["score"]),
            *(wording.score(row[f"best/{name}"]) for name in tasks),
            *([wording.yes_or_no(row["is_admissible"])] if is_bound else []),
            *(wording.setting(row[column]) for column in settings),
        )
        for row in best_trials(run, n=_MOST_TRIALS).to_dict("records")
    ]
    return TextTable(
        "The best trials, each at its best evaluation, with the settings that varied.",
        [
            *("trial", run.main_metric, *tasks),
            *(["meets the constraints"] if is_bound else []),
            *(column.removeprefix("config/") for column in settings),
        ],
        rows,
        [False, True, *(True for _ in tasks), *([False] if is_bound else []), *numeric],
    )


def _task_table(run: Run) -> TextTable:
    rows = [
        (
            f"{row['task']}.{row['metric']}",
            wording.score(row["score"]),
            wording.score(row["median"]),
            f"{wording.score(row['best_score'])} ({row['best_trial']})",
        )
        for row in task_table(run).to_dict("records")
    ]
    headings = ("task", "best trial", "median of completed", "best of any trial")
    return TextTable("The best trial on each task.", headings, rows, (False, True, True, True))


def _front_table(run: Run) -> TextTable:
    names = [name for name in run.objective.metrics if f"best/{name}" in run.trials]
    rows = [
        (row["trial_id"], *(wording.score(row[f"best/{name}"]) for name in names))
        for row in pareto_front(run).to_dict("records")
    ]
    caption = "The completed trials that no other completed trial beats."
    return TextTable(caption, ["trial", *names], rows, [False, *(True for _ in names)])


def _replication_table(run: Run) -> TextTable:
    rows = [
        (
            row["config_id"],
            row["metric"],
            row["split"],
            f"{row['num_seeds']}",
            wording.score(row["mean"]),
            "–" if pd.isna(row["high"]) else wording.score(row["high"] - row["mean"]),
        )
        for row in replication_table(run).to_dict("records")
    ]
    headings = ("config", "metric", "split", "seeds", "mean", "±")
    caption = "Means over other seeds, with half of Student's 95% interval."
    return TextTable(caption, headings, rows, (False, False, False, True, True, True))


def _early_table(frame: pd.DataFrame) -> TextTable:
    rows = [
        (
            f"{row['evaluation']}",
            f"{row['stopped']}",
            f"{row['trials']}",
            f"{row['tau']:.2f}",
            f"{row['in_order']:.0%}",
            f"{row['winner_rank']}",
        )
        for row in frame.to_dict("records")
    ]
    headings = ("after evaluation", "stopped there", "completed", "Kendall's τ", "pairs in order", "rank of the winner")
    return TextTable("How early scores told the final order of the completed trials.", headings, rows, [True] * 6)


def _importance_table(frame: pd.DataFrame) -> TextTable:
    rows = [
        (row["parameter"], f"{row['importance']:.0%}", f"{row['low']:.0%} to {row['high']:.0%}")
        for row in frame.to_dict("records")
    ]
    caption = (
        f"Importance by PED-ANOVA over {wording.count(int(frame['num_trials'].iloc[0]), 'completed trial')}, with 95% "
        "bootstrap intervals."
    )
    return TextTable(caption, ("setting", "importance", "interval"), rows, (False, True, True))


def _md(text: str) -> str:
    """Text with what Markdown would read as its own escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)


def _md_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_md, cells)) + " |"


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "τ": r"$\tau$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "Δ": r"$\Delta$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "⌈": r"$\lceil$",
    "⌉": r"$\rceil$",
    "_": r"\_\allowbreak{}",
    "/": r"/\allowbreak{}",
    **{character: "\\" + character for character in "&%$#{}"},
}


def _tex(text: str) -> str:
    """Text with what LaTeX would read as its own escaped."""
    return "".join(_TEX.get(character, character) for character in text)
