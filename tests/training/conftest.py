"""A trial on the tiny encoder, built and ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.trial import TrialConfig
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.report import Objective


@pytest.fixture
def start(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> Callable[..., Parts]:
    """Keyword arguments replace sections of the config."""

    def make(
        folder: Path | None = None, *, resume: Path | None = None, objective: Objective = Objective(), **sections: Any
    ) -> Parts:
        config = TrialConfig.model_validate(tiny_config(**sections))
        return build(config, Place(folder, tiny_data), objective, resume_from=resume)

    return make
