"""What pyproject.toml promises, held to the code and to the versions that are tested."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mtsearch
from tests.architecture.test_imports import MODULES, PACKAGES, imports

ROOT = Path(__file__).parents[2]

# Needed, but imported by another library for us: torch.utils.tensorboard, which writes pictures by pillow.
IMPORTED_FOR_US = {"pillow", "tensorboard"}
# Imported, but a part of another library, which requires one version of it.
COMES_WITH = {"mlflow": "mlflow-skinny", "pydantic-core": "pydantic"}


def project(folder: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return metadata


PROJECT, ANALYSIS = project(ROOT), project(ROOT / "analysis")


def requirements(*groups: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(text) for group in groups for text in group]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


EVERYTHING = requirements(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
REQUIRED = {
    "mtsearch": EVERYTHING,
    "mtsearch_analysis": requirements(ANALYSIS["dependencies"], *ANALYSIS["optional-dependencies"].values()),
}


def lower_bounds(wanted: dict[str, Requirement]) -> dict[str, Version]:
    return {
        name: Version(clause.version)
        for name, requirement in wanted.items()
        for clause in requirement.specifier
        if clause.operator == ">="
    }


def pins(file: str) -> dict[str, Version]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def imported_distributions(package: str) -> Iterator[set[str]]:
    """For each library that a package imports: the installed distributions that hold it."""
    holders = packages_distributions()
    libraries = {
        name.split(".")[0] for module in MODULES if module.split(".")[0] == package for _, name in imports(module)
    }
    for library in libraries - set(sys.stdlib_module_names) - set(PACKAGES):
        names = (canonicalize_name(holder) for holder in holders.get(library, [library]))
        yield {COMES_WITH.get(name, name) for name in names}


# Older ones are meant to work, too, but there is no CPU build of them on the index that CI takes packages from.
NOT_TESTED_AT_ITS_BOUND = {"torch"}


def test_the_lower_bounds_are_the_versions_that_ci_tests() -> None:
    bounds, tested = lower_bounds(EVERYTHING), pins("constraints-lowest.txt")
    assert bounds.keys() == tested.keys()
    for name, bound in bounds.items():
        assert tested[name] > bound if name in NOT_TESTED_AT_ITS_BOUND else tested[name] == bound, name


def test_the_analysis_package_alone_has_the_same_bounds() -> None:
    shared = lower_bounds(REQUIRED["mtsearch_analysis"])
    assert shared
    assert shared.items() <= lower_bounds(EVERYTHING).items()


def test_every_requirement_has_a_tested_version() -> None:
    tested = pins("constraints.txt")
    assert sorted(EVERYTHING.keys() - tested.keys()) == []
    assert [str(wanted) for name, wanted in EVERYTHING.items() if not wanted.specifier.contains(tested[name])] == []
    assert [name for name, version in tested.items() if version.local] == []


# Whose own requirements exclude what we need: the config that asks for it says how it is installed.
CANNOT_BE_REQUIRED = {"hebo"}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_required(package: str) -> None:
    known = REQUIRED[package].keys() | CANNOT_BE_REQUIRED
    missing = [holders for holders in imported_distributions(package) if not holders & known]
    assert missing == []


def test_what_is_required_is_imported() -> None:
    imported = {name for package in PACKAGES for holders in imported_distributions(package) for name in holders}
    assert sorted(requirements(PROJECT["dependencies"]).keys() - imported - IMPORTED_FOR_US) == []


def test_both_packages_have_one_version() -> None:
    assert mtsearch.__version__ == PROJECT["version"] == ANALYSIS["version"]


def test_ci_calls_the_command_that_the_readme_gives() -> None:
    command = "make test"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert f"step 'tests' {command}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
