"""Everything that commands print: lines, tables, and data for programs.

Whatever comes from a file, a name or the database is text here: no markup is read in it, and
control characters are made visible. The linter refuses other ways to print.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from histsearch.exceptions import HistsearchError
from histsearch.plain_text import one_line, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDEST = 1000


def echo(line: str, *, err: bool = False) -> None:
    r"""Print one line; a line break within it is shown as ``\n``."""
    typer.echo(one_line(line), err=err)


def echo_error(error: HistsearchError) -> None:
    """Print what a user can mend to stderr."""
    first, *more = error.lines
    for line in (f"error: {first}", *more):
        echo(line, err=True)


def echo_data(document: str) -> None:
    """Print a document for programs, as it is; on a terminal as `visible` shows it."""
    if sys.stdout.isatty():
        document = visible(document.replace("\r\n", "\n"))
    sys.stdout.write(document + "\n")  # typer.echo would take escape sequences out


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    gap: int = 2,
    broken: Mapping[str, int] | None = None,
) -> "RenderableType":
    """A table without lines.

    Args:
        columns: The headings.
        rows: The cells of each row.
        gap: Spaces between columns.
        broken: Columns whose cells take several lines where the table would be too wide, with the
            fewest cells that each needs.
    """
    from rich.table import Table

    made = Table(box=None, padding=(0, gap, 0, 0))
    for column in columns:
        fewest = None if broken is None else broken.get(column)
        made.add_column(text(column), no_wrap=fewest is None, min_width=fewest, overflow="fold")
    for row in rows:
        made.add_row(*map(text, row))
    return made


def echo_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, gap: int = 2) -> None:
    """Print what `table` makes, of thousands of rows too, which that takes seconds for."""
    from rich.cells import cell_len

    cells = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "".join(
            cell + " " * (width - cell_len(cell) + gap)
            for cell, width in zip(row, widths, strict=True)
        )
        for row in cells
    )
    typer.echo("\n".join(line.rstrip() for line in lines))


def text(line: str) -> "RenderableType":
    """A line for a table or a screen, without markup."""
    from rich.text import Text

    return Text(one_line(line))


def console(width: int | None = None, *, stderr: bool = False) -> "Console":
    """A console that reads neither markup nor emoji codes."""
    from rich.console import Console

    return Console(width=width, stderr=stderr, markup=False, emoji=False, highlight=False)


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how far work is; yields what is called after each of its steps."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = console(stderr=True)
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task(one_line(doing), total=total)
        yield lambda: bar.advance(task)


def print_table(renderable: "RenderableType") -> None:
    """Print a table, or a group of them, as wide as it is: a name or figure cut short is none."""
    width = console(_WIDEST).measure(renderable).maximum
    console(max(width, 1)).print(renderable, soft_wrap=False)
