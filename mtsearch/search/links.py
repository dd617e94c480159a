"""Links in a run folder, of which mtsearch makes none: through one, a driver would write and delete elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from mtsearch.errors import RunError

__all__ = ["refuse_links"]


def refuse_links(folder: Path) -> None:
    """See that nothing in a run folder is a link; the folder itself may be reached by one.

    Raises:
        RunError: something is.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                raise RunError(
                    f"{path}: nothing in a run folder may be a link, since its driver would write and delete where it "
                    "leads; put the files themselves there, or link the run folder as a whole"
                )
