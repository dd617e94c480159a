"""The kinds of task: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.tasks.classification import Classification, PairClassification
from mtsearch.tasks.regression import PairRegression, Regression

__all__ = ["Classification", "PairClassification", "PairRegression", "Regression", "Task"]

Task = Annotated[Classification | Regression | PairClassification | PairRegression, Field(discriminator="kind")]
