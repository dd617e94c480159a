"""The search: Optuna proposes trials, Ray places them, the run folder records them. Only this part imports either."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtsearch.search.tuner import Outcome


class _Callable(ModuleType):
    """This package is also what ``mtsearch.search(space)`` calls: Python binds it to that name on its first import."""

    def __call__(self, *arguments: Any, **settings: Any) -> Outcome:
        from mtsearch.api import search

        return search(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable
