from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.config.environment import escaped, expanded
from mtsearch.config.nodes import Leaf
from mtsearch.config.space import SearchSpace
from mtsearch.errors import ConfigError
from tests.config.spaces import TASK, space_of


@pytest.fixture(autouse=True)
def _variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.delenv("UNSET", raising=False)


def model_of(space: SearchSpace) -> str:
    return space.config(space.default).encoder.model


def test_a_declared_variable_is_expanded_in_text() -> None:
    text = TASK + "environment: [SCRATCH]\nencoder: {model: '${SCRATCH}/minilm'}\n"
    assert model_of(space_of(text, Path())) == "/scratch/me/minilm"


def test_a_declared_variable_is_expanded_in_an_override() -> None:
    space = space_of(TASK + "environment: [SCRATCH]\n", Path(), "encoder.model=${SCRATCH}/x")
    assert model_of(space) == "/scratch/me/x"


def test_a_dollar_is_a_dollar_and_an_escaped_brace_is_text() -> None:
    assert model_of(space_of(TASK + "encoder: {model: a$b}\n", Path())) == "a$b"
    space = space_of(TASK + "encoder: {model: '$${SCRATCH}'}\n", Path())
    assert model_of(space) == "${SCRATCH}"
    assert model_of(space_of(space.to_yaml(), Path())) == "${SCRATCH}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "encoder: {model: '${SCRATCH}/x'}\n",
            "x.yaml:3:18: encoder.model: ${SCRATCH} is not a declared environment variable; "
            "add environment: [SCRATCH] at the top",
        ),
        ("environment: [UNSET]\n", "x.yaml:3:15: environment: the variable UNSET is not set; export UNSET=..."),
        ("environment: UNSET\n", "x.yaml:3:14: environment: must be a list of names of environment variables"),
        ("environment: [a-b]\n", "x.yaml:3:15: environment: must be a list of names of environment variables"),
        ("encoder: {model: '${A:-b}'}\n", "encoder.model: ${A:-b} is not a declared environment variable"),
    ],
)
def test_any_other_variable_is_refused_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        space_of(TASK + text, Path())
    assert message in str(error.value)


@given(st.text("${}aS"))
def test_escaped_text_expands_to_itself(text: str) -> None:
    assert expanded(Leaf(escaped(text)), (), (), []) == Leaf(text)
