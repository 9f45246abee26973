"""How figures look: fonts, sizes, colours, and text that comes from users.

The colours are those of Okabe and Ito (2008), which people with any colour vision can tell apart.
What colour says, a mark, a line's width or a word says as well, so that figures print in grey.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from histsearch.plain_text import one_line

WIDTH = 7.2  # inches: the text of a page of A4
MANY = 800  # marks in a panel: from here on they are drawn as one image, to keep files small

INK = "#222222"
QUIET = "#5F6875"  # notes; 5.7 : 1 on white
FADED = "#A7B0BB"  # what lies behind
PALE = "#E6E9ED"  # grids, empty tiles
STRONG = "#0072B2"
ACCENT = "#D55E00"  # the winner; what is wrong
CLASSES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#8C6D1F")
CLASS_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
# From pale to dark, so that it is in order in grey too; white is left to cells without a run.
HEAT = LinearSegmentedColormap.from_list("heat", ("#DCEAF4", "#6FAFD6", "#0072B2", "#063A5C"))

SMALL = 7.0  # points
_LONGEST = 30  # characters of a name
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",  # text stays text: readers find it, and have the fonts for it
    "svg.hashsalt": "histsearch",
    "savefig.dpi": 200,
}

# Whatever else was set by whoever draws or writes doesn't count.
our_look = style.context(["default", _STYLE])
"""A decorator: within the function figures have this look."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def panels(figure: Figure, number: int, columns: int, *, share_scores: bool = False) -> list[Axes]:
    """So many panels in rows from the left.

    Args:
        figure: The figure they fill.
        number: How many.
        columns: The most in a row.
        share_scores: Whether they have one vertical axis.
    """
    grid = figure.subplots(
        ceil(number / columns), min(columns, number), squeeze=False, sharey=share_scores
    )
    for empty in grid.flat[number:]:
        empty.remove()
    return list(grid.flat[:number])


def plain(foreign: object, longest: int = _LONGEST) -> str:
    """A name from a user for an alternative text: on one line, nothing that XML can't hold, cut.

    Args:
        foreign: The name, or a value.
        longest: The most characters that are shown.
    """
    whole = "".join(one if _is_in_xml(one) else "\ufffd" for one in one_line(str(foreign)))
    return whole if len(whole) <= longest else f"{whole[: longest - 1]}…"


def text(foreign: object, longest: int = _LONGEST) -> str:
    """The same for a figure, which takes it for no formula."""
    return plain(foreign, longest).replace("$", r"\$")


def wrapped(foreign: object, width: int, lines: int = 2) -> str:
    """The same on several lines.

    Args:
        foreign: The name.
        width: Characters of a line.
        lines: The most lines.
    """
    whole = plain(foreign, width * lines)
    parts = (whole[at : at + width] for at in range(0, len(whole), width))
    return "\n".join(part.replace("$", r"\$") for part in parts)


def _is_in_xml(character: str) -> bool:
    return ord(character) not in (0xFFFE, 0xFFFF)


def scatter(axes: Axes, points: Sequence[tuple[float, float]], size: float, **how: Any) -> None:
    """Draw marks, many of them smaller and as one image; nothing where there are none.

    Args:
        axes: The panel.
        points: Where they are.
        size: Of a mark, in square points.
        how: As `Axes.scatter` has it.
    """
    if not points:
        return
    x, y = zip(*points, strict=True)
    if len(points) > MANY:
        size, how = size / 3, {"alpha": 0.6, **how}
    axes.scatter(x, y, s=size, rasterized=len(points) > MANY, **{"linewidths": 0, **how})


def hollow(size: float, color: str) -> dict[str, Any]:
    """How marks look in `scatter` that are an outline."""
    return {"size": size, "facecolors": "#FFFFFF", "edgecolors": color, "linewidths": 0.8}


def key(axes: Axes) -> None:
    """Say above a panel what its few kinds of marks are."""
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=5,
        frameon=False,
        fontsize=SMALL,
        borderaxespad=0.2,
        handletextpad=0.4,
        columnspacing=1.4,
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)  # where there are many, they are faint


def rows(axes: Axes, names: Sequence[str]) -> None:
    """Give a panel a row for each name, the first on top, and vertical lines behind."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def beside_row(axes: Axes, row: int, words: str) -> None:
    """Write something to the right of a row."""
    axes.annotate(
        words,
        (1.01, row),
        xycoords=axes.get_yaxis_transform(),
        va="center",
        fontsize=SMALL,
        color=QUIET,
        annotation_clip=False,
    )


def note(figure: Figure, sentences: Sequence[str]) -> None:
    """Write what else is to be said below a figure; nothing where that is nothing."""
    if sentences:
        figure.supxlabel(
            "  ·  ".join(sentences), x=0.01, ha="left", fontsize=SMALL, color=QUIET, wrap=True
        )


def and_more(shown: int, number: int, noun: str) -> list[str]:
    """The sentence that says how many are left out, where any are.

    Args:
        shown: How many are shown.
        number: How many there are.
        noun: What they are, in the plural.
    """
    return [f"… and {number - shown:,} more {noun}"] if number > shown else []
