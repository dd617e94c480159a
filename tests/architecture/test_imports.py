"""Who may import whom. Every import counts: inside functions and for type checkers only, too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"mtsearch": ROOT / "mtsearch", "mtsearch_analysis": ROOT / "analysis" / "mtsearch_analysis"}

METHODS = (
    "mtsearch.adapters",
    "mtsearch.augmentation",
    "mtsearch.experts",
    "mtsearch.optimizers",
    "mtsearch.pruning",
    "mtsearch.regularizers",
    "mtsearch.samplers",
    "mtsearch.schedules",
    "mtsearch.surgery",
    "mtsearch.tags",
    "mtsearch.unfreezing",
    "mtsearch.weighting",
)

# Part of the project -> the other parts that it may import, besides mtsearch.errors. The longest name counts.
# From the bottom to the top:
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "mtsearch.errors": (),
    "mtsearch.config.base": (),
    **dict.fromkeys(METHODS, ("mtsearch.config.base",)),
    "mtsearch.augmentation": ("mtsearch.config.base", "mtsearch.data.examples"),
    "mtsearch.pruning": ("mtsearch.config.base", "mtsearch.model.extension"),
    "mtsearch.adapters": ("mtsearch.config.base", "mtsearch.model.extension", "mtsearch.model.layers"),
    "mtsearch.experts": (
        "mtsearch.config.base",
        "mtsearch.model.extension",
        "mtsearch.model.layers",
        "mtsearch.model.pooling",
        "mtsearch.model.sublayers",
    ),
    # They read examples, keep what they told of a text, and hook into the encoder.
    "mtsearch.tags": ("mtsearch.config.base", "mtsearch.data", "mtsearch.model.extension"),
    # They run the model once more, and compare what it gives by the task kind's distance.
    "mtsearch.regularizers": (
        "mtsearch.config.base",
        "mtsearch.data.batching",
        "mtsearch.model.layers",
        "mtsearch.tasks.contract",
    ),
    "mtsearch.data": ("mtsearch.config.base", "mtsearch.samplers.contract"),
    "mtsearch.data.hub": ("mtsearch.config.inside", "mtsearch.data"),
    "mtsearch.model.layers": (),
    "mtsearch.model.pooling": (),
    "mtsearch.model.serving": ("mtsearch.data.batching",),
    "mtsearch.model.sublayers": (),
    "mtsearch.model.words": (),
    "mtsearch.model.extension": (
        "mtsearch.data.piece_tags",
        "mtsearch.model.layers",
        "mtsearch.model.serving",
        "mtsearch.model.sublayers",
    ),
    "mtsearch.tasks": (
        "mtsearch.config.base",
        "mtsearch.data.examples",
        "mtsearch.data.source",
        "mtsearch.data.windows",
        "mtsearch.model.pooling",
        "mtsearch.model.words",
    ),
    "mtsearch.config": (*METHODS, "mtsearch.tasks", "mtsearch.data.source", "mtsearch.model.extension"),
    "mtsearch.model": ("mtsearch.config", "mtsearch.data", "mtsearch.tasks"),
    # A trial may start from the best one of a run.
    "mtsearch.training.source": (
        "mtsearch.config.inside",
        "mtsearch.config.trial",
        "mtsearch.model",
        "mtsearch.tasks.contract",
        "mtsearch.training.checkpoint",
        "mtsearch.training.tagging",
        "mtsearch_analysis",
    ),
    "mtsearch.training": ("mtsearch.config", "mtsearch.data", "mtsearch.model", "mtsearch.tasks", *METHODS),
    "mtsearch_analysis": (),
    "mtsearch.search": (
        "mtsearch.config",
        "mtsearch.data.cache",
        "mtsearch.data.source",
        "mtsearch.training",
        "mtsearch_analysis.pareto",
        "mtsearch_analysis.significance",
        "mtsearch_analysis.tables",
    ),
    "mtsearch.api": ("mtsearch.config", "mtsearch.training", "mtsearch.search", "mtsearch_analysis"),
    "mtsearch": ("mtsearch.api",),
    "mtsearch.repeat": ("mtsearch.config", "mtsearch.search", "mtsearch_analysis"),
    "mtsearch.terminal": (),
    "mtsearch.overview": ("mtsearch.console", "mtsearch.search.status", "mtsearch.terminal"),
    "mtsearch.doctor": (
        "mtsearch.config.trial",
        "mtsearch.model.encoder",
        "mtsearch.search.checkup",
    ),
    "mtsearch.console": (
        "mtsearch.doctor",
        "mtsearch.config",
        "mtsearch.training",
        "mtsearch.search",
        "mtsearch.terminal",
    ),
    "mtsearch.options": (),
    "mtsearch.launching": ("mtsearch.api", "mtsearch.config", "mtsearch.search"),
    "mtsearch.launching.commands": (
        "mtsearch.console",
        "mtsearch.launching",
        "mtsearch.options",
        "mtsearch.terminal",
    ),
    "mtsearch.cli": (
        "mtsearch",
        "mtsearch.api",
        "mtsearch.config",
        "mtsearch.console",
        "mtsearch.launching.commands",
        "mtsearch.options",
        "mtsearch.overview",
        "mtsearch.doctor",
        "mtsearch.repeat",
        "mtsearch.training",
        "mtsearch.search",
        "mtsearch.terminal",
        "mtsearch_analysis",
    ),
}

# Library -> the only parts of mtsearch that may import it.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "accelerate": ("mtsearch.training",),
    "datasets": ("mtsearch.data.hub",),
    "mlflow": ("mtsearch.search.trackers.mlflow",),
    "optuna": ("mtsearch.search",),
    "ray": ("mtsearch.search",),
    "rich": ("mtsearch.console", "mtsearch.overview", "mtsearch.terminal"),
    "spacy": ("mtsearch.tags.spacy",),
    "typer": ("mtsearch.cli", "mtsearch.launching.commands", "mtsearch.options"),
    "wandb": ("mtsearch.search.trackers.wandb",),
}

# The package is what `mtsearch.search(space)` calls, too, and passes the call on.
EXCEPTIONS = {("mtsearch.search", "mtsearch.api")}

# Inside a function that asks for it; test_standalone.py sees that importing the package does not.
ONLY_WHEN_ASKED = {"optuna": ("mtsearch_analysis.importance",)}
NOT_IN_ANALYSIS = {"accelerate", "optuna", "ray", "rich", "sklearn", "torch", "transformers", "typer"}


def module_files() -> dict[str, Path]:
    """Every module of both packages, by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


MODULES = module_files()


def imports(module: str) -> Iterator[tuple[int, str]]:
    """The line and the full name of everything that a module imports."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{MODULES[module]}:{node.lineno}: a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield node.lineno, name if name in MODULES else str(node.module)


def within(name: str, part: str) -> bool:
    # The root package's own row is for its __init__ alone.
    return name == part or (part != "mtsearch" and name.startswith(f"{part}."))


def part_of(name: str) -> str:
    parts = [part for part in MAY_IMPORT if within(name, part)]
    assert parts, f"{name} belongs to no part that MAY_IMPORT names: add its row"
    return max(parts, key=len)


def trespasses(module: str) -> Iterator[str]:
    place = part_of(module)
    for line, name in imports(module):
        library = name.split(".")[0]
        allowed = True
        if library in PACKAGES:
            mine = (place, "mtsearch.errors") if library == "mtsearch" else (place,)
            allowed = any(within(name, part) for part in (*mine, *MAY_IMPORT[place]))
        elif module.startswith("mtsearch_analysis"):
            allowed = library not in NOT_IN_ANALYSIS or module in ONLY_WHEN_ASKED.get(library, ())
        elif library in ONLY_IN:
            allowed = any(within(module, part) for part in ONLY_IN[library])
        if not allowed and (module, name) not in EXCEPTIONS:
            yield f"{MODULES[module].relative_to(ROOT)}:{line} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_place_allows(module: str) -> None:
    assert list(trespasses(module)) == []


def test_no_rule_is_left_over() -> None:
    # A part that is gone, or renamed, would take its rule with it unseen.
    named = {*MAY_IMPORT, *(part for parts in (*MAY_IMPORT.values(), *ONLY_IN.values()) for part in parts)}
    assert sorted(named - set(MODULES)) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}
    assert [name for name in MODULES if empty & set(name.split("."))] == []


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["mtsearch", "mtsearch.cli"])
def test_importing_it_imports_neither_torch_nor_ray(module: str) -> None:
    heavy = {"optuna", "pandas", "ray", "torch", "transformers"}
    assert run_python(f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))") == ""


def test_the_trainer_needs_neither_ray_nor_optuna() -> None:
    modules = [name for name in MODULES if within(name, "mtsearch.training")]
    # None in sys.modules makes `import ray` fail, and find_spec say that there is no such package.
    code = (
        "import importlib, sys; sys.modules.update(ray=None, optuna=None)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print('imported')"
    )
    assert run_python(code) == "imported"
