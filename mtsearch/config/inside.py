"""Paths that a run folder records: they name what is in it, whoever wrote it down."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from mtsearch.errors import RunError

__all__ = ["is_inside", "path_inside"]


def is_inside(recorded: str) -> bool:
    """Whether a recorded path leads to something in the folder that it is relative to."""
    path = PurePosixPath(recorded)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in recorded


def path_inside(folder: Path, recorded: str) -> Path:
    """What a recorded path means.

    Args:
        folder: that it is relative to.
        recorded: as a table or an event has it.

    Raises:
        RunError: it leads out of the folder.
    """
    if not is_inside(recorded):
        raise RunError(
            f"{folder}: what a run folder names must be in it, but it names {recorded!r}; it was not written by "
            "mtsearch, or has been changed"
        )
    return folder / recorded
