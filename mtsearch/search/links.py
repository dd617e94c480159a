"""Links in a run folder that lead out of it: through one, a driver would write and delete elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from mtsearch.errors import RunError

__all__ = ["refuse_links"]


def refuse_links(folder: Path) -> None:
    """See that no link in a run folder leads out of it; the folder itself may be reached by one.

    mtsearch makes no links; some trackers do, to what is beside them.

    Raises:
        RunError: one does.
    """
    inside = os.path.join(os.path.realpath(folder), "")
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not os.path.realpath(path).startswith(inside):
                raise RunError(
                    f"{path}: no link in a run folder may lead out of it, since its driver would write and delete "
                    "there; put the files themselves into it, or link the run folder as a whole"
                )
