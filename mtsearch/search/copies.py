"""Copies of a run folder in an object store (``search.copy_to``), made in the background while the search runs.

What is copied is found in the folder alone: the driver neither waits for it nor says what has changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from mtsearch.config.urls import without_passwords
from mtsearch_analysis.tables import TRIALS

__all__ = ["Copies", "copy_report"]

_SECONDS_BETWEEN = 10.0
_SHARE_OF_TIME = 0.2
_SECONDS_AFTER_FAILURE = 30.0
_LAST_SECONDS = 300.0

_SMALL = ("trials/*/config.yaml", "report/**/*", "*.yaml", "*.json", "*.jsonl", "*.journal", "*.parquet")
_WEIGHTS = "checkpoints"  # the folder that they are in
_FIXED = ("trials/", "retrained/")  # what is there is deleted at most


class Copies:
    """Copies of what a run folder holds, in a thread of its own: the newest of each file, and nothing beside.

    Of the weights there are those that stay: of a trial that has stopped, if it is among the best. They are removed
    from the copy when they are from the disk. An error is told of once, and tried again.

    Args:
        folder: the run folder.
        url: where the folder of copies goes that has the run folder's name.
        warn: told, in words and by any thread, what does not work, or works again.
        seconds_between: at least so long from one look at the folder to the next.
    """

    def __init__(
        self, folder: Path, url: str, warn: Callable[[str], None], seconds_between: float = _SECONDS_BETWEEN
    ) -> None:
        self._store = _Store(folder, url)
        self._warn = warn
        self._seconds_between = seconds_between
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="copies", daemon=True)
        self._thread.start()

    def close(self, seconds: float = _LAST_SECONDS) -> None:
        """Copy what has changed since the last time; waits for that, up to so long."""
        self._is_closing.set()
        self._thread.join(seconds)
        missing = [name for name, *_ in self._store.missing()]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            self._warn(f"not copied to {self._store.shown}: {', '.join(missing[:3])}{more}")

    def _keep_up(self) -> None:
        is_failing = False
        while True:
            is_last = self._is_closing.is_set()
            begun = time.monotonic()
            try:
                self._store.catch_up()
            except Exception as error:  # whatever a store's client raises
                if not is_failing:
                    self._warn(
                        f"search.copy_to: {self._store.shown} must take copies, but got {_told(error)}; the search "
                        "goes on, and it is tried again"
                    )
                is_failing, pause = True, max(_SECONDS_AFTER_FAILURE, self._seconds_between)
            else:
                if is_failing:
                    self._warn(f"search.copy_to: {self._store.shown} takes copies again")
                is_failing = False
                pause = max(self._seconds_between, (time.monotonic() - begun) / _SHARE_OF_TIME)
            if is_last:
                return
            self._is_closing.wait(pause)


def copy_report(folder: Path, url: str) -> str:
    """Copy the report, which is written when the search is over.

    Args:
        folder: the run folder.
        url: as for :class:`Copies`.

    Returns:
        Where the copies are.

    Raises:
        OSError: it cannot be written, or ValueError.
    """
    filesystem, base = _opened(folder, url)
    for path in _files(folder, "report/**/*"):
        _copy(path, filesystem, f"{base}/{path.relative_to(folder).as_posix()}")
    return _shown(folder, url)


class _Store:
    """The copies of one run folder, and what is known of them."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._copied: dict[str, tuple[int, int]] = {}  # time of change and size, by the name in the folder
        self._opened: tuple[FileSystem, str] | None = None
        self.shown = _shown(folder, url)

    def missing(self) -> Iterator[tuple[str, Path, tuple[int, int]]]:
        """The files that are not copied as they are now, and how they are, in the order in which they are to be."""
        for path in _to_copy(self._folder):
            name = path.relative_to(self._folder).as_posix()
            version = _version(path)
            if version is not None and self._copied.get(name) != version:
                yield name, path, version

    def catch_up(self) -> None:
        """Copy what is missing, and remove weights that are gone."""
        if self._opened is None:
            filesystem, base = _opened(self._folder, self._url)
            self._take_up(filesystem, base)
            self._opened = filesystem, base
        filesystem, base = self._opened
        for name, path, version in self.missing():
            try:
                _copy(path, filesystem, f"{base}/{name}")
            except FileNotFoundError:
                if path.exists():
                    raise
                continue  # deleted meanwhile
            self._copied[name] = version
        gone = [name for name in self._copied if name.startswith(_FIXED) and not (self._folder / name).exists()]
        for name in gone:
            with suppress(FileNotFoundError):
                filesystem.delete_file(f"{base}/{name}")
            del self._copied[name]

    def _take_up(self, filesystem: FileSystem, base: str) -> None:
        """What is there already, and never changes, need not be copied again."""
        for info in filesystem.get_file_info(FileSelector(base, recursive=True, allow_not_found=True)):
            name = info.path[len(base) + 1 :]
            if info.type == FileType.File and name.startswith(_FIXED):
                version = _version(self._folder / name)
                self._copied[name] = version if version and version[1] == info.size else (0, 0)


def _shown(folder: Path, url: str) -> str:
    return f"{without_passwords(url).partition('?')[0].rstrip('/')}/{folder.name}"


def _opened(folder: Path, url: str) -> tuple[FileSystem, str]:
    """The store, and the place of this run's copies in it."""
    filesystem, path = _filesystem(url)
    return filesystem, f"{path.rstrip('/')}/{folder.name}"


def _filesystem(url: str) -> tuple[FileSystem, str]:
    if url.startswith("s3://"):
        with suppress(ValueError):  # pyarrow 17 does not know it, and makes three requests for each small file
            filesystem, path = FileSystem.from_uri(f"{url}{'&' if '?' in url else '?'}allow_delayed_open=true")
            return filesystem, path
    filesystem, path = FileSystem.from_uri(url)
    return filesystem, path


def _to_copy(folder: Path) -> Iterator[Path]:
    """Weights before the tables that name them."""
    for trial_id in _stopped(folder):
        yield from _files(folder / "trials" / trial_id, f"attempt-*/{_WEIGHTS}/*/**/*")
    yield from _files(folder / "retrained", f"*/attempt-*/{_WEIGHTS}/*/**/*")
    for pattern in _SMALL:
        yield from _files(folder, pattern)


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for path in sorted(folder.glob(pattern)):
        if path.is_file() and not path.name.startswith("."):
            yield path


def _stopped(folder: Path) -> list[str]:
    """The trials whose weights will not be changed any more, only deleted."""
    path = folder / TRIALS.file
    if not path.is_file():
        return []
    with path.open("rb") as file:  # by its path pyarrow would open it twice, between which it may be replaced
        rows = pq.read_table(file, columns=["trial_id", "status"]).to_pylist()
    return [row["trial_id"] for row in rows if row["status"] not in ("running", "interrupted")]


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _copy(path: Path, filesystem: FileSystem, place: str) -> None:
    """Copy a file; whoever reads the copy sees the old one or the new one, as a whole."""
    local = LocalFileSystem()
    if filesystem.type_name in ("s3", "gcs", "abfs"):
        copy_files(str(path), place, local, filesystem)
        return
    folder, _, name = place.rpartition("/")
    filesystem.create_dir(folder, recursive=True)
    copy_files(str(path), f"{folder}/.{name}.tmp", local, filesystem)
    filesystem.move(f"{folder}/.{name}.tmp", place)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {without_passwords(' '.join(str(error).split()))[:300]}"
