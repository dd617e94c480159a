"""The search space: a config with holes, and the walk that fills them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, assert_never

from pydantic import Field, ValidationError, create_model

from mtsearch.config.algorithms import Grid
from mtsearch.config.base import Frozen
from mtsearch.config.domains import KEYWORDS, Categorical, Domain, Scalar, number_text, same_scalar, scalar_text
from mtsearch.config.environment import escaped_tree
from mtsearch.config.messages import Problem, did_you_mean, raise_problems, schema_problems
from mtsearch.config.nodes import (
    Choice,
    Entry,
    Fields,
    Items,
    Leaf,
    Located,
    Node,
    Open,
    Path,
    Place,
    SameAs,
    Subsets,
    Where,
    branch_name,
    child_name,
    dotted,
)
from mtsearch.config.objectives import direction_of
from mtsearch.config.points import num_points, point_at, task_sets
from mtsearch.config.schema import trial_schema
from mtsearch.config.search import Resources, SearchConfig
from mtsearch.config.slots import Slot
from mtsearch.config.syntax import written
from mtsearch.config.trial import TrialConfig
from mtsearch.config.yaml12 import dump, flow
from mtsearch.errors import ConfigError
from mtsearch.tasks.metrics import Direction

__all__ = ["Around", "Dimension", "Draw", "Infeasible", "SearchSpace", "Suggest", "diff", "space_schema"]

# What may change between two runs of one search: how long, how wide, what is kept and what comes after it.
_BUDGET_FIELDS = {
    "trials",
    "time",
    "gpu_hours",
    "examples",
    "patience",
    "goal",
    "concurrency",
    "keep",
    "replicate",
    "retrain_best",
    "max_retries",
    "hang_limit",
    "max_failures_in_a_row",
    "storage",
    "copy_to",
    "trackers",
}


class Infeasible(ConfigError):  # noqa: N818  (the word of the tables' status column)
    """A draw that the rules refuse; ``problems`` says which, and ``crosses_fields`` whether only together."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.reason for problem in problems))
        self.problems = tuple(problems)

    @property
    def crosses_fields(self) -> bool:
        """Whether each value is legal alone."""
        return all(problem.crosses_fields for problem in self.problems)


Branch = tuple[tuple[str, tuple[Scalar, ...]], ...]
"""Choices by name, each with those of its options under which something exists."""


@dataclass(frozen=True)
class Dimension:
    """One thing that is searched.

    Attributes:
        path: its place in a config: ``optimizer.lr``.
        name: the path with the branches it lies in, unique in the space: ``optimizer[sophiah].lr``.
        domain: what it is drawn from.
        branch: where it exists, as (name of the choice, options of it), from the outside in.
        condition: the branch in words: ``optimizer = sophiah``; empty where it always exists.
        where: where it is written.
    """

    path: str
    name: str
    domain: Domain
    branch: Branch = ()
    condition: str = ""
    where: Where | None = field(default=None, compare=False, repr=False)

    def params_with(self, value: Any) -> dict[str, Any]:
        """The dimension at ``value``, and of each choice above it the first option under which it exists."""
        return {**{name: options[0] for name, options in self.branch}, self.name: value}


Suggest = Callable[[Dimension], Any]
"""Gives a number, or for a Categorical one of its options."""


@dataclass(frozen=True)
class Draw:
    """One point of a space.

    Attributes:
        params: the values of the dimensions that exist at this point, by their names.
        tree: the config as plain data.
        where: the place in the text of everything in ``tree``.
    """

    params: Mapping[str, Any]
    tree: Mapping[str, Any]
    where: Located = field(repr=False, compare=False)


@dataclass(frozen=True)
class SearchSpace:
    """A TrialConfig in which some leaves and sections are domains, and how it is searched.

    Attributes:
        root: the config, with its defaults filled in.
        search: how it is searched.
        resources: what one trial occupies; ``auto`` fits the machine.
        refused_share: the share of random draws that rules across fields refuse.
    """

    root: Fields = field(repr=False)
    search: SearchConfig = field(default_factory=SearchConfig)
    resources: Resources | Literal["auto"] = "auto"
    refused_share: float = field(default=0.0, compare=False)

    @property
    def name(self) -> str:
        """What the run folder is called."""
        return str(written(self.root.entries["name"].node))

    @property
    def plugins(self) -> tuple[str, ...]:
        """The user's own modules."""
        return tuple(written(self.root.entries["plugins"].node))

    @property
    def objectives(self) -> Mapping[str, Direction]:
        """What is searched for, with the way in which it is better; the first one says what is best."""
        return {metric: direction_of(metric, self.plugins) for metric in self.search.metrics}

    def dimensions(self) -> tuple[Dimension, ...]:
        """Everything that is searched, of all branches, in the order of the text."""
        return self._dimensions

    @cached_property
    def _dimensions(self) -> tuple[Dimension, ...]:
        found: dict[str, Dimension] = {}
        for dimension in _dimensions(self.root, (), "", (), ()):
            if dimension.name in found:
                message = f"two domains are called {dimension.name}; rename a key or a label"
                raise_problems([Problem(dimension.where, dimension.path, message)])
            found[dimension.name] = dimension
        return tuple(found.values())

    @cached_property
    def _by_name(self) -> Mapping[str, Dimension]:
        return {dimension.name: dimension for dimension in self._dimensions}

    @cached_property
    def _schema(self) -> type[TrialConfig]:
        return trial_schema(self.plugins)

    def draw(self, suggest: Suggest) -> Draw:
        """A point of the space, each dimension asked for when the walk comes to it.

        Args:
            suggest: called once for each dimension that exists under the options taken so far.

        Raises:
            ConfigError: a suggestion outside its domain, or a ``same_as`` that names nothing here.
        """
        walk = _Walk(self._by_name, suggest)
        tree = walk.visit(self.root, (), "", None)
        return Draw(walk.params, walk.linked(tree), walk.places)

    def config(self, draw: Draw) -> TrialConfig:
        """The validated config of a draw.

        Raises:
            Infeasible: the rules refuse it.
        """
        try:
            return self._schema.model_validate(draw.tree)
        except ValidationError as error:
            raise Infeasible(schema_problems(error, Slot(space_schema(self.plugins)), draw.where)) from None

    def config_from_params(self, params: Mapping[str, Any]) -> TrialConfig:
        """The config of recorded params (``Draw.params``).

        Raises:
            ConfigError: they are not of this space.
            Infeasible: the rules refuse them.
        """

        def recorded(dimension: Dimension) -> Any:
            if dimension.name not in params:
                raise ConfigError(f"{dimension.name}: missing in the recorded params; they are of another space")
            return params[dimension.name]

        draw = self.draw(recorded)
        if unknown := [name for name in params if name not in draw.params]:
            raise ConfigError(
                f"{unknown[0]}: recorded, but not searched at this point; the params are of another space"
            )
        return self.config(draw)

    @cached_property
    def default(self) -> Draw:
        """The point that one-at-a-time checks and probes start from.

        The first option of every choice, the middle of every range (on a logarithmic scale, its geometric middle).
        """
        return self.draw(lambda dimension: dimension.domain.middle)

    def single_config(self) -> TrialConfig:
        """The one config of a space that leaves nothing open.

        Raises:
            ConfigError: values are open; it names them all.
        """
        if dimensions := self.dimensions():
            paths = list(dict.fromkeys(dimension.path for dimension in dimensions))
            example = f"--set {paths[0]}={flow(dimensions[0].domain.middle)}"
            message = f"one config is wanted, but these are open: {', '.join(paths)}; settle each, such as {example}"
            raise_problems([Problem(dimensions[0].where, "", message)])
        return self.config(self.default)

    def start_params(self) -> tuple[dict[str, Any], ...]:
        """``search.start`` by the dimensions' names; what a point leaves open is absent.

        A key is a dimension's name, or its path, which then means every branch that the point allows.

        Raises:
            ConfigError: a point that is not of this space.
        """
        points = []
        for number, point in enumerate(self.search.start):
            problems, params = self.read_start(point)
            if problems:
                key, message = problems[0]
                raise ConfigError(f"search.start.{number}.{key}: {message}")
            points.append(params)
        return tuple(points)

    def read_start(
        self, point: Mapping[str, Any] | Literal["defaults"]
    ) -> tuple[list[tuple[str, str]], dict[str, Any]]:
        """One start point by names, and what is wrong with it as (key, message)."""
        if not isinstance(point, Mapping):
            return [], dict(self.default.params)
        problems: list[tuple[str, str]] = []
        params: dict[str, Any] = {}
        for key, value in point.items():
            meant = [self._by_name[key]] if key in self._by_name else [d for d in self._dimensions if d.path == key]
            if not meant:
                known = (dimension.path for dimension in self._dimensions)
                problems.append((key, f"is not searched here; {did_you_mean(key, known)}".rstrip("; ")))
                continue
            fitting = [dimension for dimension in meant if dimension.domain.problem(value) is None]
            if not fitting:
                problems.append((key, str(meant[0].domain.problem(value))))
            params.update({dimension.name: dimension.domain.settle(value) for dimension in fitting})
        for key in point:
            given = [self._by_name[name] for name in params if key in (name, self._by_name[name].path)]
            alive = [dimension for dimension in given if _is_in_branch(dimension, params)]
            for dimension in given:
                if dimension not in alive:
                    del params[dimension.name]
            if given and not alive:
                problems.append((key, f"exists only where {' or '.join(dimension.condition for dimension in given)}"))
        return problems, params

    def size(self) -> int | None:
        """How many points the space has; None where a real-valued range makes them uncountable."""
        return self._num_points

    @cached_property
    def _num_points(self) -> int | None:
        return num_points(self.root)

    @property
    def grid_size(self) -> int | None:
        """How many points the search takes one after the other; None where it is no grid."""
        return self.size() if isinstance(self.search.algorithm, Grid) else None

    def num_trials(self, extra: int = 0) -> int:
        """How many trials a search has that was asked for so many more: at most one for every point of a grid."""
        asked = self.search.trials + extra
        return asked if self.grid_size is None else min(asked, self.grid_size)

    def task_sets(self) -> tuple[tuple[str, ...], ...]:
        """The sets of tasks that a trial may have, by name."""
        return task_sets(self.root.entries["tasks"].node)

    def point(self, index: int) -> dict[str, Any]:
        """The params of one of the ``size()`` points, counted from 0; in the order of a grid."""
        return point_at(self.root, index)

    def identity(self) -> dict[str, Any]:
        """What makes it this space, as plain JSON data: all but its name, budgets, retention and resources."""
        trial = written(self.root)
        del trial["name"]
        search = self.search.model_dump(mode="json", exclude=_BUDGET_FIELDS)
        return {**trial, "search": search}

    def to_yaml(self) -> str:
        """The space with all defaults written out, as text that loads back to an equal one."""
        resources = self.resources if self.resources == "auto" else self.resources.model_dump(mode="json")
        data = {**written(self.root), "search": self.search.model_dump(mode="json"), "resources": resources}
        return dump(escaped_tree(data))


class Around(Frozen):
    """What stands in a space file beside the trial's config."""

    search: SearchConfig = SearchConfig()
    """How the space is searched; ``train`` checks it and goes without."""
    resources: Literal["auto"] | Resources = "auto"
    """What one trial occupies; ``auto`` fits the machine."""


@lru_cache
def space_schema(plugins: tuple[str, ...] = ()) -> type[TrialConfig]:
    """What a space file admits where nothing is searched: a trial's config, and what stands beside it."""
    beside: dict[str, Any] = {key: (field.annotation, field) for key, field in Around.model_fields.items()}
    beside["environment"] = (
        tuple[str, ...],
        Field(default=(), description="Environment variables that may stand as ${NAME} in text."),
    )
    return create_model("SpaceFile", __base__=trial_schema(plugins), **beside)


def _is_in_branch(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    return all(
        name not in params or any(same_scalar(params[name], option) for option in options)
        for name, options in dimension.branch
    )


def _dimensions(node: Node, path: Path, name: str, branch: Branch, conditions: tuple[str, ...]) -> Iterator[Dimension]:
    def dimension(domain: Domain) -> Dimension:
        return Dimension(dotted(path), name, domain, branch, " and ".join(conditions), node.where)

    match node:
        case Fields():
            for key, entry in node.entries.items():
                yield from _dimensions(entry.node, (*path, key), child_name(name, key), branch, conditions)
        case Items():
            for i, child in enumerate(node.nodes):
                yield from _dimensions(child, (*path, i), child_name(name, i), branch, conditions)
        case Open():
            yield dimension(node.domain)
        case Choice():
            yield dimension(Categorical(tuple(option.key for option in node.options)))
            for option in node.options:
                yield from _dimensions(
                    option.node,
                    path,
                    branch_name(name, option.label),
                    (*branch, (name, (option.key,))),
                    (*conditions, f"{dotted(path)} = {option.label}"),
                )
        case Subsets():
            yield dimension(Categorical(node.labels))
            for key, entry in node.entries.items():
                # In every set that has the key it is the same dimension.
                yield from _dimensions(
                    entry.node,
                    (*path, key),
                    child_name(name, key),
                    (*branch, (name, node.labels_with(key))),
                    (*conditions, f"{dotted(path)} include {key}"),
                )
        case Leaf() | SameAs():
            return


@dataclass(frozen=True)
class _Link:
    """What ``same_as`` leaves in the tree until all else is drawn."""

    path: Path
    target: Path
    where: Where | None


class _Walk:
    """One pass over the tree, asking for each dimension as it comes."""

    def __init__(self, by_name: Mapping[str, Dimension], suggest: Suggest) -> None:
        self._by_name = by_name
        self._suggest = suggest
        self.params: dict[str, Any] = {}
        self.places: dict[Path, Place] = {}

    def visit(self, node: Node, path: Path, name: str, key_where: Where | None) -> Any:
        self.places[path] = Place(key_where, node.where)
        match node:
            case Leaf():
                return node.value
            case Items():
                return [
                    self.visit(child, (*path, i), child_name(name, i), child.where)
                    for i, child in enumerate(node.nodes)
                ]
            case Fields():
                return self._visit_entries(node.entries, path, name)
            case Subsets():
                return self._visit_entries(node.taken(self._ask(name)), path, name)
            case SameAs():
                return _Link(path, node.target, node.where)
            case Open():
                value = self._ask(name)
                self.places[path] = Place(key_where, node.where_of(value))
                return value
            case Choice():
                taken = self._ask(name)
                option = next(option for option in node.options if same_scalar(option.key, taken))
                return self.visit(option.node, path, branch_name(name, option.label), option.where)
            case _:
                assert_never(node)

    def _visit_entries(self, entries: Mapping[str, Entry], path: Path, name: str) -> dict[str, Any]:
        return {
            key: self.visit(entry.node, (*path, key), child_name(name, key), entry.where)
            for key, entry in entries.items()
        }

    def _ask(self, name: str) -> Any:
        dimension = self._by_name[name]
        value = self._suggest(dimension)
        if problem := dimension.domain.problem(value):
            raise ConfigError(f"{name}: {problem}")
        self.params[name] = dimension.domain.settle(value)
        return self.params[name]

    def linked(self, tree: Any) -> Any:
        """The tree with the values that ``same_as`` names."""
        return self._linked(tree, tree, ())

    def _linked(self, value: Any, tree: Any, seen: tuple[Path, ...]) -> Any:
        match value:
            case _Link():
                if value.path in seen:
                    raise self._broken(value, "goes round in a circle")
                return self._linked(self._target(value, tree), tree, (*seen, value.path))
            case dict():
                return {key: self._linked(child, tree, seen) for key, child in value.items()}
            case list():
                return [self._linked(child, tree, seen) for child in value]
            case _:
                return value

    def _target(self, link: _Link, tree: Any) -> Any:
        found = tree
        for key in link.target:
            if isinstance(found, _Link):
                found = self._target(found, tree)
            legal = isinstance(found, dict) and key in found
            if not legal and not (isinstance(found, list) and isinstance(key, int) and key < len(found)):
                paths = [dotted(path) for path in self.places]
                raise self._broken(link, f"names nothing that is there; {did_you_mean(dotted(link.target), paths)}")
            found = found[key]
        return found

    def _broken(self, link: _Link, message: str) -> ConfigError:
        taken = [f"{name} = {value}" for name, value in self.params.items() if isinstance(value, str)]
        given = f" (where {', '.join(taken)})" if taken else ""
        line = f"same_as: {dotted(link.target)} {message.rstrip('; ')}{given}"
        return ConfigError(str(Problem(link.where, dotted(link.path), line)))


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, a line each: ``optimizer.lr: loguniform [1e-5, 3e-4] -> 8e-5``."""
    before, after = dict(_flat(old, "")), dict(_flat(new, ""))
    return [
        f"{name}: {before.get(name, '(absent)')} -> {after.get(name, '(absent)')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _flat(data: Any, name: str) -> Iterator[tuple[str, str]]:
    """An identity's values and domains as text, by branch-qualified name."""
    match data:
        case dict() if len(data) == 1 and next(iter(data)) in KEYWORDS:
            ((keyword, argument),) = data.items()
            if keyword == "subsets":
                yield name, f"subsets [{', '.join(map('+'.join, argument['sets']))}]"
                yield from _flat(argument["of"], name)
                return
            if keyword != "choice":
                yield name, f"{keyword} {_flow(argument)}"
                return
            options = [_option(option) for option in argument]
            yield name, f"choice [{', '.join(label for label, _ in options)}]"
            for label, value in options:
                if isinstance(value, dict | list):
                    yield from _flat(value, branch_name(name, label))
        case dict() if data:
            for key, child in data.items():
                yield from _flat(child, child_name(name, key))
        case _:
            yield name, _flow(data)


def _option(option: Any) -> tuple[str, Any]:
    if isinstance(option, dict):
        if option.keys() == {"label", "value"}:
            return scalar_text(option["label"]), option["value"]
        label = option.get("name") or option.get("kind") or next(iter(option))
        return (label if isinstance(label, str) else next(iter(option))), option
    return _flow(option), option


def _flow(data: Any) -> str:
    """Plain data on one line."""
    match data:
        case dict():
            return f"{{{', '.join(f'{key}: {_flow(value)}' for key, value in data.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_flow, data))}]"
        case int() | float() if not isinstance(data, bool):
            return number_text(data)
        case _:
            return scalar_text(data)
