"""A table of a report: what each cell shows, and the exact values behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10

from histsearch.reports.statistics import Estimate
from histsearch.wording import configuration_text

Exact = str | int | float | None

_OF_AN_ESTIMATE = ("mean", "low", "high", "n")
_PERCENT = 100.0
_LEAST_P = 0.001

GAP = "–"
"""What a cell shows that has no text."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        exact: Names of the exact values of its cells: one column of the CSV file each.
        is_numeric: Whether its cells are numbers, which stand below one another.
    """

    title: str
    exact: tuple[str, ...]
    is_numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is shown.
        exact: The exact values of it, one for each name of its column; None where there is none.
    """

    text: str
    exact: tuple[Exact, ...]


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: Of its files.
        caption: What it shows, in which unit.
        columns: Its columns.
        rows: Its rows, a cell for each column.
        notes: Sentences below it, such as the legend of its marks.
        has_latex: Whether it is written as LaTeX too.
        most_rows: The page shows so many rows, the files all; None for all.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    has_latex: bool = False
    most_rows: int | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            for column, cell in zip(self.columns, row, strict=True):
                if len(cell.exact) != len(column.exact):
                    raise ValueError(
                        f'found {len(cell.exact)} exact values in the column "{column.title}" of '
                        f'"{self.name}", which has {len(column.exact)}'
                    )

    @property
    def shown_notes(self) -> Sequence[str]:
        """Its notes, and the legend of cells without a value."""
        has_gaps = any(not cell.text for row in self.rows for cell in row)
        return [*self.notes, *([f"{GAP} There is no such value, or it isn't known."] * has_gaps)]

    @property
    def shown_rows(self) -> Sequence[Sequence[Cell]]:
        """The rows that the page shows."""
        return self.rows[: self.most_rows]


def text_column(title: str) -> Column:
    """A column of texts."""
    return Column(title, (title,))


def number_column(title: str) -> Column:
    """A column of numbers."""
    return Column(title, (title,), is_numeric=True)


def estimate_column(title: str) -> Column:
    """A column of estimates: mean, lower and upper end of the 95% interval, number of values."""
    return Column(title, tuple(f"{title} {part}" for part in _OF_AN_ESTIMATE), is_numeric=True)


def text_cell(text: str, mark: str = "") -> Cell:
    """A text, with a mark that a note of its table explains."""
    return Cell(text + mark, (text,))


def configuration_cell(parameters: Mapping[str, object], mark: str = "") -> Cell:
    """The values of a configuration, none of which is parted from its name at a line's end."""
    text = configuration_text(parameters)
    return Cell(text.replace(" = ", "\u00a0=\u00a0") + mark, (text,))


def number_cell(value: float | None, digits: int | None = None) -> Cell:
    """A number.

    Args:
        value: It; None for an empty cell.
        digits: Those shown behind the point; None for a count, in groups of thousands.
    """
    if value is None:
        return Cell("", (None,))
    return Cell(f"{value:,}" if digits is None else f"{value:,.{digits}f}", (value,))


def hours_cell(hours: float | None) -> Cell:
    """Hours, with three significant digits; whole ones of a hundred and more."""
    if not hours:
        return number_cell(hours, 0)
    return number_cell(hours, max(0, 2 - floor(log10(hours))))


def percent_cell(value: Estimate | None, mark: str = "") -> Cell:
    """An estimate of a fraction, as "63.1 ± 0.8" percent; its exact values are percent too."""
    if value is None:
        return empty_cell(len(_OF_AN_ESTIMATE))
    ends = [None if end is None else _PERCENT * end for end in (value.low, value.high)]
    # "±" stays beside its figures; what is longer may be broken.
    text = percent(value).replace(" ± ", "\u00a0±\u00a0")
    return Cell(text + mark, (_PERCENT * value.mean, *ends, value.n))


def difference_cell(value: Estimate | None) -> Cell:
    """A difference of fractions in points, as "-1.2 (-2.0 to -0.4)"; exact values are points."""
    if value is None:
        return empty_cell(len(_OF_AN_ESTIMATE))
    mean = _PERCENT * value.mean
    if value.low is None or value.high is None:
        return Cell(f"{mean:+z.1f}", (mean, None, None, value.n))
    low, high = _PERCENT * value.low, _PERCENT * value.high
    return Cell(f"{mean:+z.1f} ({low:+z.1f} to {high:+z.1f})", (mean, low, high, value.n))


def p_cell(p_value: float | None) -> Cell:
    """A p-value with three digits."""
    if p_value is not None and p_value < _LEAST_P:
        return Cell(f"< {_LEAST_P}", (p_value,))
    return number_cell(p_value, 3)


def published_cell(value: float | None, mark: str = "") -> Cell:
    """A published mean, in percent, without an interval."""
    if value is None:
        return empty_cell(len(_OF_AN_ESTIMATE))
    return Cell(f"{value:.1f}{mark}", (value, None, None, None))


def empty_cell(values: int = 1) -> Cell:
    """A cell without so many values."""
    return Cell("", (None,) * values)


def percent(value: Estimate) -> str:
    """An estimate of a fraction as "63.1 ± 0.8" percent, or "98.0 (95.1 to 100.0)" at an end."""
    mean = f"{_PERCENT * value.mean:.1f}"
    if value.half_width is None or value.low is None or value.high is None:
        return mean
    if value.low > value.mean - value.half_width or value.high < value.mean + value.half_width:
        return f"{mean} ({_PERCENT * value.low:.1f} to {_PERCENT * value.high:.1f})"
    return f"{mean} ± {_PERCENT * value.half_width:.1f}"
