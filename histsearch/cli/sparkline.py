"""Learning curves on one line of text."""

import math
from collections.abc import Sequence

BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII = "_.-=+*#@"
"""For terminals whose encoding lacks the blocks: the higher a value, the more ink."""

_WIDTH = 20


def levels_for(encoding: str | None) -> str:
    """The characters of a sparkline that an encoding has, from low to high."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return BLOCKS


def sparkline(
    curve: Sequence[float | None], length: int, low: float, high: float, levels: str = BLOCKS
) -> str:
    """A curve on one line, at most 20 characters wide.

    Args:
        curve: Its values; None, a gap, where one is unknown.
        length: How many values a whole curve has; the line is as much shorter as values lack.
        low: The value of the lowest level.
        high: The value of the highest.
        levels: A character for each level, from low to high.
    """
    width = math.ceil(len(curve) * min(1.0, _WIDTH / max(length, len(curve), 1)))
    # The last of the values that one character stands for.
    shown = [curve[(place + 1) * len(curve) // width - 1] for place in range(width)]
    return "".join(" " if one is None else levels[_level(one, low, high, levels)] for one in shown)


def _level(value: float, low: float, high: float, levels: str) -> int:
    if high <= low:
        return len(levels) - 1
    return min(int(len(levels) * (value - low) / (high - low)), len(levels) - 1)
