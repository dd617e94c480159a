"""Where mtsearch keeps what it can always make again: token caches and the sample corpus."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """The folder named by ``MTSEARCH_CACHE``, by default ``~/.cache/mtsearch``; it need not exist yet.

    Everything under it may be deleted at any time between runs.
    """
    return Path(os.environ.get("MTSEARCH_CACHE") or "~/.cache/mtsearch").expanduser()
