from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import mtsearch_analysis


def test_the_package_imports_neither_torch_nor_ray_nor_optuna_nor_mtsearch() -> None:
    source = Path(mtsearch_analysis.__file__).parent.parent
    modules = sorted(path.stem for path in (source / "mtsearch_analysis").glob("*.py") if path.stem != "__init__")
    code = (
        f"import importlib, sys; sys.path.insert(0, {str(source)!r})\n"
        f"for name in {modules!r}: importlib.import_module('mtsearch_analysis.' + name)\n"
        "print(*sorted({'torch', 'ray', 'optuna', 'mtsearch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert {"tables", "load", "report"} <= set(modules)


def test_every_exported_name_is_there() -> None:
    assert all(hasattr(mtsearch_analysis, name) for name in mtsearch_analysis.__all__)
    assert mtsearch_analysis.__all__ == sorted(mtsearch_analysis.__all__)


def test_the_readme_says_which_question_each_function_answers() -> None:
    readme = (Path(mtsearch_analysis.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    functions = [name for name in mtsearch_analysis.__all__ if name.islower() and not name.endswith("_figure")]
    assert [name for name in functions if not re.search(rf"[`.]{name}[`(]", readme)] == []
