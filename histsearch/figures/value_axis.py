"""Where the values of a searched parameter lie on an axis, and into which cells they fall."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from typing_extensions import override

from histsearch.figures.look import text
from histsearch.space.parameters import Parameter, Range
from histsearch.wording import value_text

Scale = Literal["linear", "log", "places"]
Tick = tuple[float, str]

_MOST_CELLS = 8
_CELLS_OF_RANGE = 6
_UNEVEN = 40.0  # widest gap between neighbours over the narrowest: beyond it they'd lie on a heap
_CHARACTER = 0.036  # width of a character, as a part of a panel's
_LONGEST = 14  # characters of a value
_MARGIN = 0.12  # of the axis, beyond its values
_FEW_DECADES = 3


class ValueAxis(ABC):
    """An axis of a parameter's values.

    Attributes:
        scale: "linear", "log", or "places" where values lie side by side.
        cells: Into how many cells they fall.
        gap: How far the nearest of a list's values are apart, as a part of the axis; 0 for a range,
            of which hardly two trials have the same value.
    """

    scale: Scale
    cells: int
    gap: float

    @abstractmethod
    def position(self, value: Any) -> float | None:
        """Where a value lies; None where the axis has no place for it."""

    @abstractmethod
    def cell(self, value: Any) -> int | None:
        """The number of the cell that a value falls into; None where it falls into none."""

    @abstractmethod
    def cell_ticks(self) -> list[Tick]:
        """Labels of the cells, or of the edges between them; a cell is one wide, from -½ on."""

    @abstractmethod
    def _ticks(self) -> list[Tick]:
        """All that the axis may be labelled with, from the left."""

    @abstractmethod
    def _span(self) -> tuple[float, float]:
        """Positions of its first value and its last one."""

    def ends(self) -> tuple[float, float]:
        """The axis's ends, a little beyond its values."""
        low, high = self._span()
        if self.scale == "places":
            return low - 0.5, high + 0.5
        if self.scale == "log":
            factor = (high / low) ** _MARGIN if high > low else 2.0
            return low / factor, high * factor
        margin = _MARGIN * (high - low) or 1.0
        return low - margin, high + margin

    def shifted(self, position: float, by: float) -> float:
        """A position, moved by a part of the axis."""
        low, high = map(self._on_paper, self.ends())
        moved = self._on_paper(position) + by * (high - low)
        return math.exp(moved) if self.scale == "log" else moved

    def apply(self, axes: Axes) -> list[Tick]:
        """Make it a panel's horizontal axis, without the labels that would overlap.

        Returns:
            The places and labels that are shown.
        """
        if self.scale == "log":
            axes.set_xscale("log")
        axes.set_xlim(*self.ends())
        shown = self._apart(self._ticks())
        axes.xaxis.set_major_locator(FixedLocator([at for at, _ in shown]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([label for _, label in shown])
        return shown

    def _apart(self, ticks: Sequence[Tick]) -> list[Tick]:
        low, high = map(self._on_paper, self.ends())
        kept: list[Tick] = []
        reached = -math.inf
        for at, label in ticks:
            middle = (self._on_paper(at) - low) / (high - low)
            half = _CHARACTER * (len(label) + 1) / 2
            if middle - half >= reached:
                kept.append((at, label))
                reached = middle + half
        return kept

    def _on_paper(self, position: float) -> float:
        return math.log(position) if self.scale == "log" else position


def value_axis(parameter: Parameter, values: Sequence[Any]) -> ValueAxis:
    """The axis of a parameter.

    Numbers lie on their own scale: that of their range; of a list the one on which its values are
    spaced more evenly. Words and switches lie side by side in the order of the list.

    Args:
        parameter: The list or the range.
        values: Values that are shown.
    """
    if not isinstance(parameter, Range):
        return _ListAxis(parameter, values)
    few = _few_values(parameter)
    return _RangeAxis(parameter) if few is None else _ListAxis(few, values)


class _ListAxis(ValueAxis):
    """The axis of a list."""

    def __init__(self, listed: Sequence[Any], values: Sequence[Any]) -> None:
        self._are_numbers = all(map(_is_number, listed))
        self._listed = sorted(listed) if self._are_numbers else list(listed)
        self.scale = _evener_scale(self._listed) if self._are_numbers else "places"
        self._groups = self._grouped(values)
        self.cells = len(self._groups)
        self.gap = self._narrowest_gap()

    @override
    def position(self, value: Any) -> float | None:
        if self.scale != "places":
            return _numeric_position(value, self.scale)
        return float(self._listed.index(value)) if value in self._listed else None

    @override
    def cell(self, value: Any) -> int | None:
        return next((at for at, group in enumerate(self._groups) if value in group), None)

    @override
    def cell_ticks(self) -> list[Tick]:
        return [(float(at), self._group_text(group)) for at, group in enumerate(self._groups)]

    @override
    def _ticks(self) -> list[Tick]:
        places = (self.position(value) for value in self._listed)
        return [
            (place, text(value_text(value), _LONGEST))
            for place, value in zip(places, self._listed, strict=True)
            if place is not None
        ]

    @override
    def _span(self) -> tuple[float, float]:
        if self.scale == "places":
            return 0.0, len(self._listed) - 1.0
        return float(self._listed[0]), float(self._listed[-1])

    def _narrowest_gap(self) -> float:
        low, high = map(self._on_paper, self.ends())
        places = [self._on_paper(at) for at, _ in self._ticks()]
        return min(np.diff(places), default=high - low) / (high - low)

    def _grouped(self, values: Sequence[Any]) -> list[list[Any]]:
        """The values of each cell: where there are many, neighbours share one, and rare ones."""
        if len(self._listed) <= _MOST_CELLS:
            return [[one] for one in self._listed]
        if self._are_numbers:
            places = np.array_split(np.arange(len(self._listed)), _MOST_CELLS)
            return [[self._listed[at] for at in some] for some in places]
        runs = Counter(values)
        frequent = sorted(self._listed, key=lambda one: -runs[one])[: _MOST_CELLS - 1]
        rest = [one for one in self._listed if one not in frequent]
        return [*([one] for one in self._listed if one in frequent), rest]

    def _group_text(self, group: Sequence[Any]) -> str:
        if len(group) == 1:
            return text(value_text(group[0]), _LONGEST)
        if self._are_numbers:
            return f"{value_text(group[0])}–{value_text(group[-1])}"
        return f"{len(group)} others"


class _RangeAxis(ValueAxis):
    """The axis of a range; its cells are of one width on its scale."""

    def __init__(self, parameter: Range) -> None:
        self.gap = 0.0
        self.scale = "log" if parameter.log else "linear"
        self.cells = _CELLS_OF_RANGE
        self._low, self._high = float(parameter.low), float(parameter.high)
        space = np.geomspace if parameter.log else np.linspace
        self._edges = space(self._low, self._high, self.cells + 1)

    @override
    def position(self, value: Any) -> float | None:
        return _numeric_position(value, self.scale)

    @override
    def cell(self, value: Any) -> int | None:
        if not _is_number(value) or not self._low <= value <= self._high:
            return None
        return int(np.searchsorted(self._edges[1:-1], value, side="right"))

    @override
    def cell_ticks(self) -> list[Tick]:
        return [(at - 0.5, f"{edge:.2g}") for at, edge in enumerate(self._edges)]

    @override
    def _ticks(self) -> list[Tick]:
        found = (
            _log_ticks(self._low, self._high)
            if self.scale == "log"
            else MaxNLocator(4).tick_values(self._low, self._high)
        )
        within = [float(one) for one in found if self._low <= one <= self._high]
        shown = within if len(within) > 1 else [self._low, self._high]
        return [(one, f"{one:.6g}") for one in shown]

    @override
    def _span(self) -> tuple[float, float]:
        return self._low, self._high


def _is_number(value: object) -> bool:
    """Whether a value has a place among numbers; a switch hasn't."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeric_position(value: Any, scale: Scale) -> float | None:
    if not _is_number(value) or (scale == "log" and value <= 0):
        return None
    return float(value)


def _few_values(parameter: Range) -> list[Any] | None:
    """The values of a range that has no more than there are cells in a heat map."""
    whole = isinstance(parameter.low, int) and isinstance(parameter.high, int)
    step = parameter.step or (1 if whole else None)
    if step is None or (parameter.high - parameter.low) / step >= _MOST_CELLS:
        return None
    number = round((parameter.high - parameter.low) / step) + 1
    # Without the digits that only binary fractions have, as in 0.1 + 2 · 0.1.
    values = [parameter.low + at * step for at in range(number)]
    return values if whole else [float(f"{one:.12g}") for one in values]


def _evener_scale(numbers: Sequence[float]) -> Scale:
    """The scale on which ascending numbers are spaced more evenly."""
    if len(numbers) < 2:
        return "linear"
    linear = _unevenness(numbers)
    log = _unevenness([math.log(one) for one in numbers]) if numbers[0] > 0 else math.inf
    if min(linear, log) > _UNEVEN:
        return "places"
    return "log" if log < linear else "linear"


def _unevenness(places: Sequence[float]) -> float:
    """The widest gap between neighbours, in the narrowest."""
    gaps = np.diff(places)
    return float(gaps.max() / gaps.min()) if gaps.min() > 0 else math.inf


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 3) if last - first <= _FEW_DECADES else (1,)
    return [digit * 10.0**decade for decade in range(first, last + 1) for digit in digits]
