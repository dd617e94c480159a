"""The kinds of task: one file each, and the table of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mtsearch.tasks.classification import Classification, PairClassification
from mtsearch.tasks.constituency import Constituency
from mtsearch.tasks.dependency import Dependency
from mtsearch.tasks.ner import Ner
from mtsearch.tasks.qa import Qa
from mtsearch.tasks.regression import PairRegression, Regression
from mtsearch.tasks.srl import Srl
from mtsearch.tasks.tagging import Tagging

__all__ = [
    "Classification",
    "Constituency",
    "Dependency",
    "Ner",
    "PairClassification",
    "PairRegression",
    "Qa",
    "Regression",
    "Srl",
    "Tagging",
    "Task",
]

Task = Annotated[
    Classification
    | Regression
    | PairClassification
    | PairRegression
    | Tagging
    | Ner
    | Dependency
    | Constituency
    | Srl
    | Qa,
    Field(discriminator="kind"),
]
