"""The files for schedulers and clusters that come with mtsearch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["launch_file"]


def launch_file(name: str) -> Path:
    """A shipped file, such as ``slurm/search.sbatch``."""
    package = Path(__file__).parents[1]
    # An editable install has them in the repository.
    return next(path for path in (package / "launch" / name, package.parent / "launch" / name) if path.is_file())
