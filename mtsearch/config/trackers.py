"""The experiment trackers that are told of every trial, beside the run folder."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mtsearch.config.base import Frozen
from mtsearch.config.urls import Shown

__all__ = ["Mlflow", "Tracker", "Trackers", "Wandb"]


class Mlflow(Frozen):
    """MLflow: an experiment for the search, and a run in it for each trial."""

    name: Literal["mlflow"] = "mlflow"
    experiment: str | None = Field(default=None, min_length=1)
    """Its name; null takes the run folder's."""
    uri: Annotated[Shown, Field(min_length=1)] | None = Field(default=None, repr=False)
    """Of the tracking server or store; null takes ``MLFLOW_TRACKING_URI``, and without that MLflow's own default."""

    @model_validator(mode="after")
    def _is_installed(self) -> Self:
        _require("mlflow")
        return self


class Wandb(Frozen):
    """Weights & Biases: a group for the search, and a run in it for each trial. ``WANDB_MODE=offline`` works, too."""

    name: Literal["wandb"] = "wandb"
    project: str = Field(default="mtsearch", min_length=1)
    """Its name."""
    entity: str | None = Field(default=None, min_length=1)
    """Whose project it is; null takes ``WANDB_ENTITY``, and without that the account's own."""

    @model_validator(mode="after")
    def _is_installed(self) -> Self:
        _require("wandb")
        return self


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"needs the package {package}, which is not installed; pip install 'mtsearch[{package}]'")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Tracker = Annotated[Mlflow | Wandb, Field(discriminator="name")]
Trackers = tuple[Annotated[Tracker, BeforeValidator(_named, json_schema_input_type=Tracker | str)], ...]
"""Each by its name alone, or with its settings: ``[mlflow]``, ``[{name: wandb, project: films}]``."""
