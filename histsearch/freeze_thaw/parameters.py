"""The values that a parameter may take: a list of choices, or a range."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

_ON_GRID = 1e-8  # of a step: how far a value may lie off the grid


@dataclass(frozen=True)
class Choices:
    """A list of values, of any kind."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.values


@dataclass(frozen=True)
class Range:
    """All numbers between two, both included.

    Attributes:
        low: The lowest; above zero where ``log`` is true.
        high: The highest.
        step: Between neighbouring values, from ``low`` on; None for any real number.
        log: Whether distances are those of logarithms.
        whole: Whether the values are whole numbers; ``step`` is then one too.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is a number of the range, and of its grid where it has one."""
        if not isinstance(value, Real) or not self.low <= float(value) <= self.high:
            return False
        steps = 0.0 if self.step is None else (float(value) - self.low) / self.step
        return abs(steps - round(steps)) < _ON_GRID


Parameter = Choices | Range
