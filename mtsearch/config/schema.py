"""The schema with a user's plugins in it."""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, Field, create_model

from mtsearch.adapters import Adapters
from mtsearch.augmentation import Augmentation
from mtsearch.config.plugins import load_tables
from mtsearch.config.trial import TrialConfig, only, without_nulls
from mtsearch.experts import Experts
from mtsearch.optimizers import Optimizer
from mtsearch.pruning import Pruning
from mtsearch.samplers import Sampler
from mtsearch.schedules import Schedule
from mtsearch.surgery import Surgery
from mtsearch.tags import Tags
from mtsearch.tasks import Task
from mtsearch.unfreezing import Unfreezing
from mtsearch.weighting import Weighting

__all__ = ["trial_schema"]


@lru_cache
def trial_schema(plugins: tuple[str, ...]) -> type[TrialConfig]:
    """TrialConfig with the plugins' tasks and methods in its unions.

    Raises:
        PluginError: as :func:`mtsearch.config.plugins.load_tables`.
    """
    if not plugins:
        return TrialConfig
    tables = load_tables(plugins)
    defaults = TrialConfig.model_fields
    task: Any = _extended(Task, tables.tasks, "kind")
    methods: dict[str, tuple[Any, tuple[type[BaseModel], ...]]] = {
        "augmentation": (Augmentation, tables.augmentations),
        "sampler": (Sampler, tables.samplers),
        "weighting": (Weighting, tables.weightings),
        "surgery": (Surgery, tables.surgeries),
        "optimizer": (Optimizer, tables.optimizers),
        "schedule": (Schedule, tables.schedules),
        "unfreezing": (Unfreezing, tables.unfreezings),
        "tags": (Tags, tables.tags),
        "experts": (Experts, tables.experts),
        "adapters": (Adapters, tables.adapters),
        "pruning": (Pruning, tables.prunings),
    }
    fields: dict[str, Any] = {
        "plugins": (Annotated[tuple[str, ...], only(plugins)], Field(default=(), strict=False)),
        "tasks": (Annotated[dict[str, task], BeforeValidator(without_nulls)], Field(min_length=1)),
        **{name: (_extended(union, more, "name"), defaults[name].default) for name, (union, more) in methods.items()},
    }
    return create_model("TrialConfig", __base__=TrialConfig, **fields)


def _extended(union: Any, more: tuple[type[BaseModel], ...], discriminator: str) -> Any:
    members = get_args(union)[0]
    return Annotated[reduce(or_, more, members), Field(discriminator=discriminator)]
