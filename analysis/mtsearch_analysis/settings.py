"""What a search varied: each setting once, with the range or the options that it was drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mtsearch_analysis.load import Run
from mtsearch_analysis.wording import setting

__all__ = ["Range", "Setting", "searched_columns", "searched_settings"]

_RANGES = ("uniform", "loguniform", "quniform", "qloguniform", "int", "logint")
_MOST_OPTIONS = 6  # numbers that no range is known of are options up to so many
_LOG_FROM_RATIO = 20.0


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Args:
        low: the lowest.
        high: the highest.
        is_log: whether they were drawn evenly on a logarithmic scale.
        is_integer: whether they are integers.
    """

    low: float
    high: float
    is_log: bool = False
    is_integer: bool = False

    def share(self, values: pd.Series) -> pd.Series:
        """Where each value lies between ``low``, 0, and ``high``, 1, on the range's own scale.

        NaN for what has no place on that scale: 0 where it is logarithmic.
        """
        numbers = values.astype("float64")
        if self.is_log:
            return (numbers.where(numbers > 0) / self.low).map(math.log) / math.log(self.high / self.low)
        return (numbers - self.low) / (self.high - self.low)

    def at(self, share: float) -> float:
        """The value at a share of the way from ``low`` to ``high``, on the range's own scale."""
        if self.is_log:
            return self.low * math.exp(share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True)
class Setting:
    """One thing that a search varied.

    Args:
        column: its column in the trials table.
        range: what it was drawn from; None for options.
        may_be_null: whether null is one of the options; otherwise a trial with null does not have the setting.
    """

    column: str
    range: Range | None = None
    may_be_null: bool = False

    @property
    def name(self) -> str:
        """Its name in a config: ``optimizer.lr``."""
        return self.column.removeprefix("config/")

    def values(self, trials: pd.DataFrame) -> pd.Series:
        """Each trial's value: a float of a range, the option's text else; null where a trial does not have it."""
        values = trials[self.column]
        if self.range is not None:
            return values.astype("float64")
        texts = values.map(lambda value: None if pd.isna(value) else setting(value)).astype(object)
        return texts.fillna("null") if self.may_be_null else texts

    def options(self, trials: pd.DataFrame) -> list[str]:
        """The options that trials took, as text: numbers in their order, then words; null last."""
        taken = trials[self.column].dropna().unique().tolist()
        are_numbers = all(isinstance(value, int | float) for value in taken)
        texts = [setting(value) for value in sorted(taken, key=None if are_numbers else str)]
        has_null = self.may_be_null and bool(trials[self.column].isna().any())
        return [*dict.fromkeys(texts), *(["null"] if has_null else [])]


def searched_settings(run: Run) -> list[Setting]:
    """The settings that differ between trials, in the order of the table.

    A setting that follows from another one of its section is left out, such as ``optimizer.beta3`` where only one of
    the optimizers has it, and with one value. What ranges there are is read from the run's space; where that is not
    known, or a setting lies in several ranges, one that spans all is taken. Where a word is an option beside a range
    (``{choice: [auto, {int: [1, 8]}]}``) all values are options.

    Raises:
        ValueError: the run's space is none.
    """
    trials = run.trials[run.trials["status"] != "infeasible"]
    domains = _Domains()
    try:
        domains.visit(run.space or {}, "")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{run.path / 'resolved.yaml'}: not the search space that mtsearch wrote: {error}") from error
    found = []
    for column in run.varied_columns:
        name = column.removeprefix("config/")
        values = trials[column]
        # Of a sub-tree that is either there or not, all that differs is that: its values and null are the options.
        may_be_null = name in domains.with_null or values.nunique() == 1
        is_numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        drawn_from = (domains.range_of(name) or _observed(values)) if is_numeric else None
        found.append(Setting(column, drawn_from, may_be_null))
    codes = {one.column: pd.factorize(trials[one.column], use_na_sentinel=False)[0] for one in found}
    return [one for one in found if not any(_follows(one, other, codes) for other in found)]


def searched_columns(run: Run) -> list[str]:
    """The columns of the searched settings."""
    return [one.column for one in searched_settings(run)]


class _Domains:
    """The ranges of a space by the paths that they stand at, and the paths at which null is an option."""

    def __init__(self) -> None:
        self.with_null: set[str] = set()
        self._ranges: dict[str, list[Range]] = {}
        self._same_as: dict[str, str] = {}

    def visit(self, node: Any, path: str) -> None:
        if not isinstance(node, Mapping):
            return
        keyword: str = next(iter(node)) if len(node) == 1 else ""
        argument: Any = node.get(keyword)
        if keyword in _RANGES:
            low, high = (float(end) for end in argument[:2])
            if not (0 if "log" in keyword else -math.inf) < low <= high < math.inf:
                raise ValueError(f"{path}: {keyword} from {low:g} to {high:g} is no range")
            of_path = self._ranges.setdefault(path, [])
            of_path.append(Range(low, high, "log" in keyword, keyword in ("int", "logint")))
        elif keyword == "same_as":
            self._same_as[path] = str(argument)
        elif keyword == "choice":
            for option in argument:
                self._visit_option(option, path)
        elif keyword == "subsets":
            self.visit(argument["of"], path)
        else:
            for key, child in node.items():
                self.visit(child, f"{path}.{key}" if path else str(key))

    def range_of(self, path: str) -> Range | None:
        """What spans the ranges at a path; None if there are none, or none that could be spanned."""
        ranges = self._ranges.get(self._same_as.get(path, path), [])
        wide = [one for one in ranges if one.low < one.high]
        if not wide:
            return None
        return Range(
            min(one.low for one in wide),
            max(one.high for one in wide),
            all(one.is_log for one in wide),
            all(one.is_integer for one in wide),
        )

    def _visit_option(self, option: Any, path: str) -> None:
        if isinstance(option, Mapping) and set(option) == {"label", "value"}:
            option = option["value"]
        if option is None:
            self.with_null.add(path)
        self.visit(option, path)


def _observed(values: pd.Series) -> Range | None:
    """A range that spans numbers of which no range is known; None where they are few."""
    present = values.dropna()
    if present.nunique() <= _MOST_OPTIONS:
        return None
    low, high = float(present.min()), float(present.max())
    is_log = low > 0 and high / low >= _LOG_FROM_RATIO and _looks_logarithmic(float(present.median()), low, high)
    return Range(low, high, is_log, pd.api.types.is_integer_dtype(present))


def _looks_logarithmic(median: float, low: float, high: float) -> bool:
    """Whether the median lies nearer to the geometric middle of the range than to the arithmetic one."""
    at = math.log(median)
    return abs(at - math.log(low * high) / 2) < abs(at - math.log((low + high) / 2))


def _follows(one: Setting, other: Setting, codes: Mapping[str, np.ndarray]) -> bool:
    """Whether an option of ``other``, of the same section, says what ``one`` is."""
    if one is other or one.range is not None or other.range is not None:
        return False
    if one.name.split(".")[0] != other.name.split(".")[0]:
        return False
    mine, its = codes[one.column], codes[other.column]
    num_pairs = len(np.unique(np.stack([mine, its]), axis=1).T)
    if num_pairs > its.max() + 1:
        return False
    # Where each says what the other is, the one whose name is that of a method stays, or else the first.
    says_the_other = num_pairs == mine.max() + 1
    return not says_the_other or _precedence(other) < _precedence(one)


def _precedence(one: Setting) -> tuple[bool, str]:
    return not one.name.endswith(".name"), one.name
