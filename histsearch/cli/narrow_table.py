"""Tables on a screen as wide as a terminal: what says less is left out, no figure is cut short."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from histsearch.cli.output import table
from histsearch.plain_text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

_GAP = 2
_NOTHING = ("", "0")


def narrow_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int,
    *,
    less_first: Sequence[str],
    broken: Mapping[str, int],
) -> "RenderableType":
    """A table without lines in at most ``width`` cells, where leaving columns out can do that.

    Args:
        columns: The headings.
        rows: The cells of each row.
        width: Cells of the terminal.
        less_first: Columns that may be left out: as many as it takes, those first that have
            nothing but zeros, else in this order.
        broken: Columns whose cells may take several lines, with the fewest cells that each needs.
    """
    from rich.cells import cell_len

    cells = {
        column: [one_line(cell) for cell in of_column]
        for column, *of_column in zip(columns, *rows, strict=True)
    }
    widths = {column: max(map(cell_len, (column, *cells[column]))) for column in columns}
    widths |= {column: min(widths[column], fewest) for column, fewest in broken.items()}
    for column in sorted(less_first, key=lambda one: not set(cells[one]).issubset(_NOTHING)):
        if sum(widths.values()) + _GAP * len(widths) <= width:
            break
        del widths[column]
    rows_left = zip(*(cells[column] for column in widths), strict=True)
    return table(list(widths), rows_left, gap=_GAP, broken={one: widths[one] for one in broken})
