"""A space is tried out before it runs: its ends, its options, pairs of branches, and random draws."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any

from mtsearch.config.algorithms import Grid
from mtsearch.config.constraints import Constraint
from mtsearch.config.domains import Float, number_text, same_scalar, scalar_text
from mtsearch.config.messages import Problem, did_you_mean, raise_problems
from mtsearch.config.nodes import Located, Path, Where, dotted
from mtsearch.config.objectives import OVERALL_METRICS, direction_of, measured_metrics
from mtsearch.config.pairs import pair_problems
from mtsearch.config.search import SearchConfig
from mtsearch.config.space import Branch, Dimension, Draw, Infeasible, SearchSpace
from mtsearch.config.trial import TrialConfig

__all__ = ["check", "default_problems"]

NUM_DRAWS = 200
NUM_DRAWS_WITH_ONE_VALUE = 20


def default_problems(space: SearchSpace) -> list[Problem]:
    """The rules about one field that the default point breaks.

    Told first and alone: what is wrong outside the domains would be wrong again in every draw.
    """
    tried = _Tried(space)
    tried.at({})
    return tried.problems


def check(space: SearchSpace, places: Located) -> float:
    """The share of random draws that rules across fields refuse.

    Tried are the default point; from it each end of a range and each option, one at a time; every pair
    of branches; and 200 random draws. A rule about one field must hold everywhere. A rule across fields may
    refuse draws, but no value may be refused with whatever it is joined.

    Args:
        space: what to try.
        places: where the ``search`` section is written.

    Raises:
        InvalidConfigError: a value, a start point or the metric breaks a rule; located.
        ConfigError: a ``same_as`` that names nothing.
    """
    tried = _Tried(space)
    tried.at({})
    dimensions = space.dimensions()
    singles = [dimension.params_with(end) for dimension in dimensions for end in dimension.domain.extremes]
    refused = [forced for forced in singles if not tried.at(forced)]
    branches = dict.fromkeys(dimension.branch for dimension in dimensions if dimension.branch)
    for one, other in combinations(branches, 2):
        if (options := _under_both(one, other)) is not None:
            tried.at(options)
    raise_problems([*tried.problems, *_grid_problems(space, places), *pair_problems(space, places)])

    rng = random.Random(0)
    num_draws = NUM_DRAWS if dimensions else 1
    accepted = sum(tried.at({}, rng) for _ in range(num_draws))
    raise_problems(tried.problems)
    if not accepted:
        raise_problems(tried.refusals[:1])
    for forced in refused:
        if not any(tried.at(forced, rng) for _ in range(NUM_DRAWS_WITH_ONE_VALUE)):
            tried.problems.append(_never_legal(space, forced, tried.refusals[-1]))
    tried.problems += [*_objective_problems(space, tried.configs, places), *_start_problems(space, places)]
    raise_problems(tried.problems)
    return (num_draws - accepted) / num_draws


@dataclass
class _Tried:
    """The points tried so far: configs that the rules accept, and what they said against the others."""

    space: SearchSpace
    configs: list[TrialConfig] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refusals: list[Problem] = field(default_factory=list)

    def at(self, forced: Mapping[str, Any], rng: random.Random | None = None) -> bool:
        """Whether the point with the ``forced`` values is legal; the others are random, or the defaults."""

        def suggest(dimension: Dimension) -> Any:
            if rng is None or dimension.name in forced:
                return _given_or_middle(forced, dimension)
            return dimension.domain.sample(rng)

        draw = self.space.draw(suggest)
        try:
            self.configs.append(self.space.config(draw))
        except Infeasible as infeasible:
            if infeasible.crosses_fields:
                self.refusals += infeasible.problems
            else:
                alone = [problem for problem in infeasible.problems if not problem.crosses_fields]
                self.problems += [_with_remedy(problem, self.space, draw) for problem in alone]
            return False
        return True


def _under_both(one: Branch, other: Branch) -> dict[str, Any] | None:
    """Options under which both branches exist; None if there are none."""
    joined = dict(one)
    for name, options in other:
        joined[name] = tuple(
            option for option in joined.get(name, options) if any(same_scalar(option, legal) for legal in options)
        )
    return {name: options[0] for name, options in joined.items()} if all(joined.values()) else None


def _with_remedy(problem: Problem, space: SearchSpace, draw: Draw) -> Problem:
    """A range of real numbers where integers belong is a slip of the keyword."""
    drawn = [d for d in space.dimensions() if d.name in draw.params and d.path == problem.path]
    if drawn and isinstance(drawn[-1].domain, Float) and problem.message.startswith("must be an integer"):
        low, high = (number_text(round(end)) for end in drawn[-1].domain.extremes)
        message = f"must be an integer, but {drawn[-1].domain} gives real numbers; write int: [{low}, {high}]"
        return Problem(drawn[-1].where, problem.path, message)
    return problem


def _never_legal(space: SearchSpace, forced: Mapping[str, Any], refusal: Problem) -> Problem:
    name, value = list(forced.items())[-1]
    dimension = next(dimension for dimension in space.dimensions() if dimension.name == name)
    draw = space.draw(partial(_given_or_middle, forced))
    place = next((place for path, place in draw.where.items() if dotted(path) == dimension.path), None)
    message = f"{scalar_text(value)} is refused whatever the rest is: {refusal.reason}"
    return Problem(place.value if place else dimension.where, dimension.path, message)


def _grid_problems(space: SearchSpace, places: Located) -> list[Problem]:
    """A grid takes every point in its own order: there must be countably many, and none is tried first."""
    if not isinstance(space.search.algorithm, Grid):
        return []
    problems = [
        Problem(
            dimension.where,
            dimension.path,
            f"a grid takes every value, but got {dimension.domain}; list some with choice: [...], or give a step, as "
            f"in quniform: [low, high, step]",
        )
        for dimension in space.dimensions()
        if dimension.domain.size is None
    ]
    if space.search.start:
        message = (
            "must be empty with a grid, which takes every point in its order; leave it out (--set search.start=[])"
        )
        problems.append(Problem(_place(places, ("search", "start")), "search.start", message))
    return problems


def _objective_problems(space: SearchSpace, configs: Sequence[TrialConfig], places: Located) -> list[Problem]:
    """Metrics must mean the same in all trials that are compared by them, and the first must be one to maximise."""
    task_sets = {frozenset(config.tasks) for config in configs}
    always = frozenset.intersection(*task_sets)
    search, problems = space.search, []
    if search.scored_tasks is None and len(task_sets) > 1 and (use := _use_of_scores(search)):
        common = [name for name in configs[0].tasks if name in always]
        remedy = (
            f"name those that mean_score is the mean of: scored_tasks: [{', '.join(common)}]"
            if common
            else "no task is in every trial, so have each compared by itself: algorithm: {name: grid} or "
            "{name: random}, with scheduler: {name: none}"
        )
        message = f"missing; the tasks themselves are searched, and {use} compares trials whatever theirs are; {remedy}"
        problems.append(Problem(_place(places, ("search",)), "search.scored_tasks", message))
    for i, task in enumerate(search.scored_tasks or ()):
        if task not in always:
            message = f"{task!r} is not a task of every trial; {did_you_mean(task, sorted(always))}"
            problems.append(Problem(_place(places, ("search", "scored_tasks", i)), "search.scored_tasks", message))
    measured = set.intersection(*({*measured_metrics(config)} for config in configs))
    choices = [name for name in measured_metrics(configs[0]) if name in measured]
    for i, text in enumerate(search.constraints):
        name = Constraint.parse(text).metric
        if name not in measured:
            problems.append(
                Problem(
                    _place(places, ("search", "constraints", i)),
                    f"search.constraints.{i}",
                    f"{name!r} is not measured in every trial{_only(name)}; {did_you_mean(name, choices)}",
                )
            )
    for i, name in enumerate(search.metrics):
        message = ""
        if name not in measured:
            message = f"{name!r} is not measured in every trial{_only(name)}; {did_you_mean(name, choices)}"
        elif i == 0 and direction_of(name, space.plugins) != "maximize":
            message = (
                f"the first metric says what is best and must be one where more is better, but got {name!r}; "
                "put another first, such as mean_score"
            )
        if message:
            path: Path = ("search", "metric", i) if isinstance(search.metric, tuple) else ("search", "metric")
            problems.append(Problem(_place(places, path), dotted(path), message))
    return problems


def _only(name: str) -> str:
    return f", but only {OVERALL_METRICS[name].condition}" if name in OVERALL_METRICS else ""


def _use_of_scores(search: SearchConfig) -> str:
    """The first setting that holds scores of trials with other tasks against each other; empty if there is none."""
    uses = {
        f"scheduler: {{name: {search.scheduler.name}}}": search.scheduler.name != "none",
        f"algorithm: {{name: {search.algorithm.name}}}": search.algorithm.name not in ("grid", "random"),
        "a list of metrics": len(search.metrics) > 1,
        "retrain_best": search.retrain_best,
        "goal": search.goal is not None,
        "patience": search.patience is not None,
    }
    return next((use for use, is_made in uses.items() if is_made), "")


def _start_problems(space: SearchSpace, places: Located) -> list[Problem]:
    problems = []
    for number, point in enumerate(space.search.start):
        path: Path = ("search", "start", number)
        broken, params = space.read_start(point)
        for key, message in broken:
            problems.append(Problem(_place(places, (*path, key)), f"search.start.{number}.{key}", message))
        if broken:
            continue
        draw = space.draw(partial(_given_or_middle, params))
        try:
            space.config(draw)
        except Infeasible as infeasible:
            problems.append(Problem(_place(places, path), f"search.start.{number}", f"is refused: {infeasible}"))
    return problems


def _given_or_middle(params: Mapping[str, Any], dimension: Dimension) -> Any:
    return params.get(dimension.name, dimension.domain.middle)


def _place(places: Located, path: Path) -> Where | None:
    place = places.get(path)
    return (place.value if len(path) > 1 else place.key) if place else None
