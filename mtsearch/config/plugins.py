"""A user's own methods: Python modules named under ``plugins:`` that extend the tables.

A plugin defines any of these names, each a tuple::

    TASKS        config classes with ``kind: Literal["..."]`` (mtsearch.tasks.contract)
    METRICS      mtsearch.tasks.metrics.Metric
    AUGMENTATIONS config classes with ``name: Literal["..."]``, as in mtsearch.augmentation
    OPTIMIZERS   config classes with ``name: Literal["..."]`` and ``build`` (as in mtsearch.optimizers)
    SCHEDULES    the same, as in mtsearch.schedules
    SAMPLERS     the same, as in mtsearch.samplers
    WEIGHTINGS   the same, as in mtsearch.weighting
    SURGERIES    the same, as in mtsearch.surgery
    UNFREEZINGS  config classes with ``name: Literal["..."]``, as in mtsearch.unfreezing
    TAGS         config classes with ``name: Literal["..."]``, as in mtsearch.tags
    EXPERTS      config classes with ``name: Literal["..."]`` and ``build``, as in mtsearch.experts
    ADAPTERS     config classes with ``name: Literal["..."]`` and ``build``, as in mtsearch.adapters
    PRUNINGS     config classes with ``name: Literal["..."]`` (mtsearch.pruning.contract)

Nothing registers itself: what is not in these tuples does not exist. The driver and every worker load the
same modules.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import BaseModel

from mtsearch.errors import PluginError
from mtsearch.tasks.metrics import METRICS, Metric

__all__ = ["Tables", "load_tables"]


@dataclass(frozen=True)
class Tables:
    """What the plugins add, and all metrics by name."""

    tasks: tuple[type[BaseModel], ...]
    augmentations: tuple[type[BaseModel], ...]
    optimizers: tuple[type[BaseModel], ...]
    schedules: tuple[type[BaseModel], ...]
    samplers: tuple[type[BaseModel], ...]
    weightings: tuple[type[BaseModel], ...]
    surgeries: tuple[type[BaseModel], ...]
    unfreezings: tuple[type[BaseModel], ...]
    tags: tuple[type[BaseModel], ...]
    experts: tuple[type[BaseModel], ...]
    adapters: tuple[type[BaseModel], ...]
    prunings: tuple[type[BaseModel], ...]
    metrics: Mapping[str, Metric]


@lru_cache
def load_tables(plugins: tuple[str, ...]) -> Tables:
    """The tables with these plugins' entries.

    Args:
        plugins: importable module names, or absolute paths of ``.py`` files.

    Raises:
        PluginError: a module that cannot be imported, or a name in it that is no tuple of the right things.
    """
    modules = [_module(plugin) for plugin in plugins]
    metrics = dict(METRICS)
    for module in modules:
        for metric in _entries(module, "METRICS", Metric):
            if metric.name in metrics:
                raise PluginError(
                    f"plugin {module.__name__}: METRICS: there is already a metric {metric.name!r}; rename it"
                )
            metrics[metric.name] = metric

    def classes(table: str) -> tuple[type[BaseModel], ...]:
        return tuple(entry for module in modules for entry in _entries(module, table, type))

    return Tables(
        tasks=classes("TASKS"),
        augmentations=classes("AUGMENTATIONS"),
        optimizers=classes("OPTIMIZERS"),
        schedules=classes("SCHEDULES"),
        samplers=classes("SAMPLERS"),
        weightings=classes("WEIGHTINGS"),
        surgeries=classes("SURGERIES"),
        unfreezings=classes("UNFREEZINGS"),
        tags=classes("TAGS"),
        experts=classes("EXPERTS"),
        adapters=classes("ADAPTERS"),
        prunings=classes("PRUNINGS"),
        metrics=MappingProxyType(metrics),
    )


def _module(plugin: str) -> ModuleType:
    try:
        if not plugin.endswith(".py"):
            return importlib.import_module(plugin)
        # The name depends on the path alone, so that driver and workers agree and nothing is loaded twice.
        name = f"mtsearch_plugin_{hashlib.sha256(plugin.encode()).hexdigest()[:12]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, Path(plugin))
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module
    except Exception as error:
        raise PluginError(
            f"plugins: {plugin!r} must be an importable module or a .py file beside the space, "
            f"but loading it gave {type(error).__name__}: {error}"
        ) from error


def _entries(module: ModuleType, table: str, kind: type) -> tuple[Any, ...]:
    entries = getattr(module, table, ())
    if not isinstance(entries, tuple) or not all(isinstance(entry, kind) for entry in entries):
        raise PluginError(f"plugin {module.__name__}: {table} must be a tuple of {kind.__name__}, but got {entries!r}")
    return entries
