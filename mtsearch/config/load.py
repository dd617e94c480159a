"""From a YAML file (or plain data) to a search space or a trial's config; every error is located."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from mtsearch.config import environment, yaml12
from mtsearch.config.algorithms import Grid
from mtsearch.config.check import check, default_problems
from mtsearch.config.defaults import filled
from mtsearch.config.messages import Problem, raise_problems, schema_problems
from mtsearch.config.nodes import Entry, Fields, Items, Leaf, Located, from_plain, places_of
from mtsearch.config.overrides import Override, apply, parse_override
from mtsearch.config.paths import with_absolute_paths
from mtsearch.config.search import StartPoint
from mtsearch.config.slots import Slot
from mtsearch.config.space import Around, SearchSpace, space_schema
from mtsearch.config.syntax import read, written
from mtsearch.errors import ConfigError, PluginError

__all__ = ["Source", "load_space", "locate", "shipped_spaces"]

MAX_BYTES = 10_000_000

Source = str | Path | Mapping[str, Any]
"""A path; the name of a shipped space; or plain data, whose errors have no line."""


def load_space(source: Source, overrides: Sequence[str] = ()) -> SearchSpace:
    """The search space in a file, or in plain data.

    Args:
        source: where it is.
        overrides: ``KEY=VALUE``, in order; see :func:`mtsearch.config.overrides.apply`.

    Raises:
        ConfigError: anything that is wrong, in one line with its place.
        PluginError: a module named under ``plugins:`` that cannot be used.
    """
    space, places = _assembled(_document(source), overrides)
    return replace(space, refused_share=check(space, places))


def shipped_spaces() -> dict[str, Path]:
    """The spaces that come with mtsearch, by name."""
    package = Path(__file__).parents[1]
    # An editable install has them in the repository.
    folders = (package / "search_spaces", package.parent / "search_spaces")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def locate(name: str) -> Path:
    """The file that ``name`` means: a path, or else a shipped space.

    ``baseline``, ``baseline.yaml``, ``spaces/baseline.yaml`` and ``search_spaces/baseline.yaml`` mean the shipped
    ``baseline`` where no such file exists.

    Raises:
        ConfigError: neither.
    """
    path, shipped = Path(name), shipped_spaces()
    if path.is_file():
        return path
    if path.is_dir() and path.name not in shipped:
        raise ConfigError(f"{name}: must be a YAML file, but is a folder")
    if path.parent in (Path(), Path("spaces"), Path("search_spaces")) and path.suffix in ("", ".yaml"):
        if path.stem in shipped:
            return shipped[path.stem]
        close = difflib.get_close_matches(path.stem, shipped, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(f"{name}: no such file, nor a shipped space; {hint}shipped are {', '.join(shipped)}")
    raise ConfigError(f"{name}: no such file; shipped spaces are {', '.join(shipped)}")


@dataclass(frozen=True)
class _Document:
    """What was given, before any meaning: plain nodes, the folder its paths start from, a name for it."""

    root: Fields
    folder: Path
    name: str | None
    of_run: bool = False
    """Whether it lies in a run folder, which runs no code by itself."""


def _document(source: Source) -> _Document:
    if isinstance(source, Mapping):
        return _Document(cast(Fields, from_plain(source)), Path.cwd(), None)
    path = locate(source) if isinstance(source, str) else source
    shown = os.path.relpath(path) if path.absolute().is_relative_to(Path.cwd()) else str(path)
    node = yaml12.parse(_text(path, shown), shown)
    if not isinstance(node, Fields):
        found = "is empty" if node == Leaf(None) else f"holds {'a list' if isinstance(node, Items) else 'one value'}"
        raise ConfigError(f"{shown}: must be a mapping of sections (tasks, encoder, ...), but {found}")
    folder = path.absolute().parent
    of_run = any((place / "events.jsonl").exists() for place in (folder, *folder.parents))
    return _Document(node, folder, path.stem, of_run)


def _text(path: Path, shown: str) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{shown}: is larger than {MAX_BYTES // 1_000_000} MB; a config is a small YAML text")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: must be UTF-8 text, but byte {error.start} is not; save it as UTF-8") from None
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None


def _assembled(document: _Document, overrides: Sequence[str]) -> tuple[SearchSpace, Located]:
    """The space, not yet tried out, and where its sections around the trial are written."""
    root, settings = _with_variables(document.root, [parse_override(text) for text in overrides])
    if document.of_run and not any(setting.path == ("plugins",) for setting in settings):
        _refuse_plugins(root)
    root, settings = _with_plugins(root, document.folder, settings)
    slot = _slot(root)
    problems: list[Problem] = []
    tree = cast(Fields, filled(read(root, (), slot, problems), slot))
    raise_problems(problems)
    name = tree.entries["name"]
    if document.name and not name.given and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", document.name):
        tree = _with_entry(tree, "name", replace(name, node=Leaf(document.name, name.where)))
    changed = tree
    for setting in settings:
        changed = apply(changed, slot, setting)
    space, places = _validated(with_absolute_paths(changed, slot, Path.cwd()))
    if settings and not any(setting.path[:2] == ("search", "start") for setting in settings):
        space = _without_settled_starts(space, SearchSpace(_trial(tree)))
    return space, places


def _with_variables(root: Fields, settings: list[Override]) -> tuple[Fields, list[Override]]:
    problems: list[Problem] = []
    for setting in settings:
        if setting.path[0] == "environment":
            problems.append(Problem(setting.where, "environment", "is declared in the file, not by --set"))
    section = root.entries.get("environment")
    names = environment.declared(section.node, problems) if section else ()
    rest = replace(root, entries={key: entry for key, entry in root.entries.items() if key != "environment"})
    if not any(problem.path == "environment" for problem in problems):
        rest = cast(Fields, environment.expanded(rest, (), names, problems))
        settings = [
            replace(setting, value=environment.expanded(setting.value, setting.path, names, problems))
            for setting in settings
        ]
    raise_problems(problems)
    return rest, settings


def _refuse_plugins(root: Fields) -> None:
    """Refuse those of a run folder's own file, which may be another person's, until they are named."""
    entry = root.entries.get("plugins")
    if entry is not None and (named := written(entry.node)):
        where = f"{entry.node.where}: " if entry.node.where else ""
        raise PluginError(
            f"{where}plugins: this run needs {named}; if you trust that, name it yourself with "
            f"--set 'plugins={json.dumps(named)}', since loading it runs its code"
        )


def _with_plugins(root: Fields, folder: Path, settings: list[Override]) -> tuple[Fields, list[Override]]:
    """The plugins settled first, because the schema depends on them; files beside the space made absolute."""
    for setting in settings:
        if setting.path == ("plugins",):
            folder = Path.cwd()
            root = _with_entry(root, "plugins", Entry(setting.value, setting.where))
    entry = root.entries.get("plugins")
    if entry and isinstance(entry.node, Items):
        nodes = tuple(
            replace(node, value=str((folder / node.value).resolve()))
            if isinstance(node, Leaf) and isinstance(node.value, str) and node.value.endswith(".py")
            else node
            for node in entry.node.nodes
        )
        root = _with_entry(root, "plugins", replace(entry, node=replace(entry.node, nodes=nodes)))
    return root, [setting for setting in settings if setting.path != ("plugins",)]


def _slot(root: Fields) -> Slot:
    entry = root.entries.get("plugins")
    modules = written(entry.node) if entry else []
    if not isinstance(modules, list) or not all(isinstance(module, str) for module in modules):
        where = entry.node.where if entry else None
        raise_problems([Problem(where, "plugins", "must be a list of modules' names or .py files")])
    try:
        return Slot(space_schema(tuple(modules)))
    except PluginError as error:
        where = entry.node.where if entry else None
        raise PluginError(f"{where}: {error}" if where else str(error)) from error


def _validated(tree: Fields) -> tuple[SearchSpace, Located]:
    space = SearchSpace(_trial(tree))
    problems = default_problems(space)
    sections = Fields({key: tree.entries[key] for key in Around.model_fields}, tree.where)
    places = places_of(sections)
    try:
        settings = Around.model_validate(written(sections))
    except ValidationError as error:
        raise_problems([*problems, *schema_problems(error, Slot(Around), places)])
        raise
    raise_problems(problems)
    search = settings.search
    trials = cast(Fields, sections.entries["search"].node).entries["trials"]
    if isinstance(search.algorithm, Grid) and not trials.given:
        search = search.model_copy(update={"trials": space.size() or search.trials})
    return replace(space, search=search, resources=settings.resources), places


def _trial(tree: Fields) -> Fields:
    beside = {*Around.model_fields, "environment"}
    return replace(tree, entries={key: entry for key, entry in tree.entries.items() if key not in beside})


def _without_settled_starts(space: SearchSpace, before: SearchSpace) -> SearchSpace:
    """The start points without the values that only the overrides put out of place."""

    def still_wanted(point: StartPoint) -> StartPoint:
        if not isinstance(point, dict):
            return point
        broken_before = {key for key, _ in before.read_start(point)[0]}
        while settled := {key for key, _ in space.read_start(point)[0]} - broken_before:
            point = {key: value for key, value in point.items() if key not in settled}
        return point

    points = tuple(point for point in map(still_wanted, space.search.start) if point)
    return replace(space, search=space.search.model_copy(update={"start": points}))


def _with_entry(fields: Fields, key: str, entry: Entry) -> Fields:
    return replace(fields, entries={**fields.entries, key: entry})
