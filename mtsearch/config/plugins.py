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
same modules. A module that names none of them is not run: a space alone, without a plugin that somebody has installed
or put there, runs nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.abc import InspectLoader
from itertools import accumulate
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


_NAMES = tuple(table.name.upper() for table in fields(Tables))


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
            _refuse_what_is_no_plugin(plugin, _source(plugin))
            return importlib.import_module(plugin)
        # The name depends on the path alone, so that driver and workers agree and nothing is loaded twice.
        name = f"mtsearch_plugin_{hashlib.sha256(plugin.encode()).hexdigest()[:12]}"
        if name in sys.modules:
            return sys.modules[name]
        _refuse_what_is_no_plugin(plugin, Path(plugin).read_text(encoding="utf-8"))
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
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"plugins: {plugin!r} must be an importable module or a .py file beside the space, "
            f"but loading it gave {type(error).__name__}: {error}"
        ) from error


def _source(module: str) -> str:
    """The source of a module that has not been imported, nor any package that it is in."""
    path, spec = None, None
    for name in accumulate(module.split("."), "{}.{}".format):
        spec = next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        path = spec.submodule_search_locations
    source = spec.loader.get_source(module) if spec is not None and isinstance(spec.loader, InspectLoader) else None
    return source or ""


def _refuse_what_is_no_plugin(plugin: str, source: str) -> None:
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    if names.isdisjoint(_NAMES):
        raise PluginError(
            f"plugins: {plugin!r} must define what it adds, in one of {', '.join(_NAMES)}, but defines none; it was "
            "not run"
        )


def _entries(module: ModuleType, table: str, kind: type) -> tuple[Any, ...]:
    entries = getattr(module, table, ())
    if not isinstance(entries, tuple) or not all(isinstance(entry, kind) for entry in entries):
        raise PluginError(f"plugin {module.__name__}: {table} must be a tuple of {kind.__name__}, but got {entries!r}")
    return entries
