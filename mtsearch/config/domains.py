"""What a searched value is drawn from: a range of numbers, or a list of options."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = [
    "KEYWORDS",
    "RANGES",
    "Categorical",
    "Domain",
    "Float",
    "Int",
    "Scalar",
    "grid_end",
    "number_text",
    "same_scalar",
    "scalar_text",
]

Scalar = str | int | float | bool | None

# A sampler's arithmetic (exp of log, low + k·step) may miss an end or a grid point by rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Float:
    """Real numbers from ``low`` to ``high``, both included.

    With ``step``, the grid low + k·step. With ``log``, drawn evenly on a logarithmic scale. Optuna has no
    distribution with both: there a suggestion is any number on the log scale, and :meth:`settle` rounds it
    to the grid.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def size(self) -> int | None:
        """How many values there are; None where they cannot be counted."""
        return None if self.step is None else _steps(self.low, self.high, self.step) + 1

    @property
    def middle(self) -> float:
        """The middle of the range on its own scale, on the grid."""
        return self.settle(math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2)

    @property
    def extremes(self) -> tuple[float, ...]:
        """The values whose legality stands for the rest: both ends."""
        return (self.low, self.high)

    def problem(self, value: Any) -> str | None:
        """Why ``value`` is not of this domain, or None if it is."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"must be a number, but got {value!r}"
        slack = _TOLERANCE * max(abs(self.low), abs(self.high))
        if not self.low - slack <= value <= self.high + slack:
            return f"must be in {self}, but got {number_text(value)}"
        if self.step is not None and not self.log and abs(self.settle(value) - value) > _TOLERANCE * self.step + slack:
            return f"must be in {self}, but got {number_text(value)}, which is not on its grid"
        return None

    def at(self, index: int) -> float:
        """One of the ``size`` values, from 0 for the lowest."""
        return self._on_grid(index)

    def settle(self, value: float) -> float:
        """The value of this domain that a sampler's suggestion means: rounding errors and grid put right."""
        value = min(max(float(value), self.low), self.high)
        return value if self.step is None else self._on_grid(round((value - self.low) / self.step))

    def sample(self, rng: random.Random) -> float:
        """A random value."""
        if self.log:
            return self.settle(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        if self.step is not None:
            return self._on_grid(rng.randint(0, _steps(self.low, self.high, self.step)))
        return rng.uniform(self.low, self.high)

    def written(self) -> dict[str, Any]:
        """As in YAML: ``{"loguniform": [low, high]}``."""
        ends = [self.low, self.high] if self.step is None else [self.low, self.high, self.step]
        return {f"{'q' if self.step is not None else ''}{'log' if self.log else ''}uniform": ends}

    def __str__(self) -> str:
        return _text(self.written())

    def _on_grid(self, steps: int) -> float:
        # In decimals, so that 0.1 + 2 · 0.1 is 0.3 and a value has one spelling.
        return float(Decimal(repr(self.low)) + steps * Decimal(repr(self.step)))


@dataclass(frozen=True)
class Int:
    """Integers low, low + step, ... to ``high``, both included; with ``log``, evenly on a logarithmic scale."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def size(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def middle(self) -> int:
        """The middle of the range on its own scale, on the grid."""
        return self.settle(math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2)

    @property
    def extremes(self) -> tuple[int, ...]:
        """The values whose legality stands for the rest: both ends."""
        return (self.low, self.high)

    def problem(self, value: Any) -> str | None:
        """Why ``value`` is not of this domain, or None if it is."""
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be an integer, but got {value!r}"
        if not self.low <= value <= self.high:
            return f"must be in {self}, but got {value}"
        return None if (value - self.low) % self.step == 0 else f"must be in {self}, but got {value}, not on its grid"

    def at(self, index: int) -> int:
        """One of the ``size`` values, from 0 for the lowest."""
        return self.low + index * self.step

    def settle(self, value: float) -> int:
        """The nearest value of this domain."""
        return min(max(self.low + round((value - self.low) / self.step) * self.step, self.low), self.high)

    def sample(self, rng: random.Random) -> int:
        """A random value."""
        if self.log:
            # Each integer owns the interval of half a unit on either side of it, as in Optuna.
            return self.settle(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
        return rng.randrange(self.low, self.high + 1, self.step)

    def written(self) -> dict[str, Any]:
        """As in YAML: ``{"int": [low, high]}``."""
        ends = [self.low, self.high] if self.step == 1 else [self.low, self.high, self.step]
        return {"logint" if self.log else "int": ends}

    def __str__(self) -> str:
        return _text(self.written())


@dataclass(frozen=True)
class Categorical:
    """Options, each a plain value or the label of something larger; no two are equal."""

    options: tuple[Scalar, ...]

    @property
    def size(self) -> int:
        """How many options there are."""
        return len(self.options)

    @property
    def middle(self) -> Scalar:
        """The first option: what a person writes first is what they would take."""
        return self.options[0]

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """All options."""
        return self.options

    def problem(self, value: Any) -> str | None:
        """Why ``value`` is not of this domain, or None if it is."""
        if any(same_scalar(option, value) for option in self.options):
            return None
        return f"must be one of {', '.join(map(scalar_text, self.options))}, but got {value!r}"

    def at(self, index: int) -> Scalar:
        """One of the options, from 0 for the first."""
        return self.options[index]

    def settle(self, value: Scalar) -> Scalar:
        """The option that equals ``value``."""
        return next(option for option in self.options if same_scalar(option, value))

    def sample(self, rng: random.Random) -> Scalar:
        """A random option."""
        return rng.choice(self.options)

    def __str__(self) -> str:
        return f"choice [{', '.join(map(scalar_text, self.options))}]"


Domain = Float | Int | Categorical

RANGES = ("uniform", "loguniform", "quniform", "qloguniform", "int", "logint")
KEYWORDS = (*RANGES, "choice", "subsets", "same_as")


def grid_end(low: float, high: float, step: float) -> float:
    """The largest low + k·step that is not above ``high``."""
    return float(Decimal(repr(low)) + _steps(low, high, step) * Decimal(repr(step)))


def same_scalar(one: Any, other: Any) -> bool:
    """Equality that tells true from 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def scalar_text(value: Scalar) -> str:
    """A plain value as YAML spells it: ``null``, ``true``, ``1e-5``, ``adamw``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case _:
            return value


def number_text(value: float) -> str:
    """The number as a person writes it, reading back equal: ``3e-4``, ``0.05``, ``64``."""
    plain = repr(value).removesuffix(".0")
    if isinstance(value, int) or not math.isfinite(value) or value == 0:
        return plain
    exact = Decimal(plain).normalize()
    digits = "".join(map(str, exact.as_tuple().digits))
    mantissa = f"{digits[0]}.{digits[1:]}".rstrip(".")
    scientific = f"{'-' if value < 0 else ''}{mantissa}e{exact.adjusted()}"
    return scientific if "e" in plain or (abs(value) < 0.01 and len(scientific) < len(plain)) else plain


def _steps(low: float, high: float, step: float) -> int:
    return int((Decimal(repr(high)) - Decimal(repr(low))) / Decimal(repr(step)))


def _text(written: dict[str, Any]) -> str:
    ((keyword, ends),) = written.items()
    return f"{keyword} [{', '.join(map(number_text, ends))}]"
