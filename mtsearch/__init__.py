"""mtsearch: distributed hyperparameter search over multi-task transformer training.

``search`` (``run`` on the command line), ``replicate``, ``simulate``, ``train``, ``status``, ``stop``, ``load`` and
``export`` do what the commands do; see :mod:`mtsearch.api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtsearch.api import export, load, replicate, search, simulate, status, stop, train

__all__ = ["__version__", "export", "load", "replicate", "search", "simulate", "status", "stop", "train"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Late, so that `import mtsearch` waits for neither torch nor Ray.
    if name in __all__:
        from mtsearch import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
