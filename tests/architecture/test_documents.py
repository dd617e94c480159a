"""The documents say what is there: links lead somewhere, all modules have their line, all keys theirs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from mtsearch.config.domains import KEYWORDS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for folder in ("analysis", "benchmarks", "docs", "launch") for path in ROOT.glob(f"{folder}/*.md")),
    ]
)
FILE_BY_FILE = ("", "config", "data", "model", "search", "training")  # the other folders have a line each


def anchors(document: Path) -> set[str]:
    """Those that GitHub gives a document's headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    lost = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_the_readme_has_a_line_for_every_file_or_its_folder() -> None:
    listing = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The code, file by file")[2]
    package = ROOT / "mtsearch"
    files = [path.name for folder in FILE_BY_FILE for path in (package / folder).glob("*.py")]
    folders = [f"{path.parent.name}/" for path in package.glob("**/__init__.py") if path.parent != package]
    assert [name for name in [*files, *folders] if name != "__init__.py" and f" {name}" not in listing] == []


def test_the_page_of_keys_is_what_the_schema_says() -> None:
    spec = importlib.util.spec_from_file_location("space_page", ROOT / "docs" / "space.py")
    assert spec is not None
    assert spec.loader is not None
    space_page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(space_page)
    text = space_page.PAGE.read_text(encoding="utf-8")
    assert space_page.page(text) == text, "python docs/space.py writes it anew"
    assert [keyword for keyword in KEYWORDS if f"`{{{keyword}: " not in text] == []


@pytest.mark.parametrize("document", ["RELIABILITY.md", "SECURITY.md"])
def test_every_test_that_a_promise_names_is_there(document: str) -> None:
    there = {
        name
        for path in (ROOT / "tests").glob("**/test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    tables = re.findall(r"^\|.*\| tests?\b.*\|\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    cells = [row.split("|")[-2] for table in tables for row in table.splitlines()]
    named = [name for cell in cells for name in re.findall(r"`((?:\.\.)?[a-z]+_[a-z_]+(?:\.\.)?)`", cell)]
    patterns = ["test_" + name.replace("..", ".*") for name in named]
    assert len(patterns) > 10
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in there)] == []
